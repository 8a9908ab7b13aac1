/**
 * The node process: peer and mount, its control socket and the status socket for everybody.
 * The sockets outlive the node while it ends, so that status can say what it waits for.
 */
import { chmod } from 'node:fs/promises';
import { type ControlHandler, type ControlRoute, ControlServer } from '../common/control-server.ts';
import { FsError } from '../common/errno.ts';
import { DisposeStack } from '../common/lifecycle.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { SystemClock } from '../common/system-clock.ts';
import { parseMask } from '../mount/driver/native/capabilities.ts';
import { DfsNode } from '../mount/node.ts';
import type { Environment } from './environment.ts';
import { removeMountRecord, writeMountRecord } from './mount-record.ts';
import { decodeMountRequest, fieldsOf, textField } from './mount-request.ts';
import type { RoleContext } from './serve-role.ts';

interface Served {
  readonly node: DfsNode;
  readonly paths: StatePaths;
  readonly signal: AbortSignal;
  stop(): void;
}

async function status({ node, signal }: Served): Promise<object> {
  const document = await node.status();
  if (!signal.aborted) return document;
  return { ...document, node: { ...document.node, state: 'stopping' } };
}

async function mount({ node, paths, signal }: Served, body: unknown): Promise<object> {
  if (signal.aborted) throw new FsError('EBUSY', 'the node is ending');
  const request = decodeMountRequest(body);
  await node.mount(request);
  await writeMountRecord(paths, request.mountpoint);
  return { mountpoint: request.mountpoint };
}

async function unmount({ node, paths }: Served, body: unknown): Promise<object> {
  const fields = fieldsOf(body);
  const mountpoint = textField(fields, 'mountpoint');
  if (node.mountpoint !== mountpoint) {
    throw new FsError('EINVAL', `this node does not serve ${mountpoint}`);
  }
  await node.unmount({ force: fields.get('force') === true });
  await removeMountRecord(paths);
  return { unmounted: mountpoint };
}

function handlers(served: Served): Map<ControlRoute, ControlHandler> {
  return new Map<ControlRoute, ControlHandler>([
    ['GET /status', () => status(served)],
    ['POST /mount', (body) => mount(served, body)],
    ['POST /unmount', (body) => unmount(served, body)],
    [
      'POST /flush',
      async () => {
        await served.node.flush();
        return { flushed: true };
      },
    ],
    [
      'POST /stop',
      () => {
        served.stop();
        return { stopping: true };
      },
    ],
  ]);
}

export async function openNode(context: RoleContext, environment: Environment): Promise<void> {
  const { state, log, stack } = context;
  const { paths } = state;
  await using starting = new DisposeStack();
  const node = starting.use(
    await DfsNode.start({
      state,
      metaserverSocket: paths.metaserver,
      mask: parseMask(environment.env['DFS_FUSE_MASK'] ?? ''),
      clock: new SystemClock(),
      log,
    }),
  );
  const served: Served = { node, paths, signal: context.signal, stop: () => context.stop() };
  const table = handlers(served);
  const control = { log: log.child('control') };
  stack.use(
    await ControlServer.open({
      ...control,
      socketPath: paths.control,
      mode: 0o600,
      handlers: table,
    }),
  );
  const readable = new Map<ControlRoute, ControlHandler>([['GET /status', () => status(served)]]);
  stack.use(
    await ControlServer.open({
      ...control,
      socketPath: paths.status,
      mode: 0o666,
      handlers: readable,
    }),
  );
  // The start made run/ under its own umask; others must pass it to reach the status socket.
  if (paths.sockets === paths.run) await chmod(paths.run, 0o755);
  stack.defer(() => removeMountRecord(paths));
  stack.use(starting.move());
}
