/**
 * The node process: peer and mount, its control socket and the status socket for everybody.
 * The sockets outlive the node while it ends, so that status can say what it waits for.
 */
import { chmod } from 'node:fs/promises';
import { isLoopback, parseAddress } from '../common/address.ts';
import { loadConfig } from '../common/config.ts';
import { type ControlHandler, type ControlRoute, ControlServer } from '../common/control-server.ts';
import { FsError } from '../common/errno.ts';
import { DisposeStack } from '../common/lifecycle.ts';
import { readListenRecord } from '../common/listen-record.ts';
import type { Logger } from '../common/log.ts';
import { findMount } from '../common/mount-table.ts';
import { listenAsWished } from '../common/rpc/listen-wish.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { SystemClock } from '../common/system-clock.ts';
import { parseMask } from '../mount/driver/native/capabilities.ts';
import { DfsNode } from '../mount/node.ts';
import type { Environment } from './environment.ts';
import { planPeerListener } from './listen-plan.ts';
import { rememberListeners } from './listeners.ts';
import { readMountRequest, removeMountRecord, writeMountRecord } from './mount-record.ts';
import {
  decodeAddress,
  decodeIno,
  decodeMountRequest,
  fieldsOf,
  textField,
} from './mount-request.ts';
import { clearForeignMount } from './mountpoint.ts';
import type { RoleContext } from './serve-role.ts';

interface Served {
  readonly node: DfsNode;
  readonly log: Logger;
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
  await writeMountRecord(paths, request);
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

/** Answers where the chunk service listens; a port that is taken gives way to a free one. */
async function listen({ node, paths, log }: Served, body: unknown): Promise<object> {
  const wanted = decodeAddress(body);
  const { listen: now } = await node.status();
  const open = now.peer === null ? undefined : parseAddress(now.peer, 0);
  if (open !== undefined && !isLoopback(open.host)) return open;
  const address = await listenAsWished(
    { ...wanted, exact: false },
    { listen: (place) => node.listenPeer(place), log },
  );
  await rememberListeners(paths, { peer: address });
  return address;
}

/** What config.json and the ports of before make of this node. */
async function nodeOptions(
  { state, log }: RoleContext,
  environment: Environment,
): Promise<Parameters<typeof DfsNode.start>[0]> {
  const { paths } = state;
  const config = await loadConfig(state.dir);
  const wanted = planPeerListener(config, await readListenRecord(paths));
  const metaserver = state.roles.includes('metaserver') ? `unix:${paths.metaserver}` : config.join;
  if (metaserver === undefined) {
    throw new FsError(
      'EINVAL',
      `${paths.config} does not say which metaserver this node has joined: \`dfs mount --join HOST:PORT\` does`,
    );
  }
  return {
    state,
    metaserver,
    peerListen: wanted,
    advertise: config.advertise,
    cacheBytes: config.cacheBytes,
    mask: parseMask(environment.env['DFS_FUSE_MASK'] ?? ''),
    clock: new SystemClock(),
    log,
  };
}

function handlers(served: Served): Map<ControlRoute, ControlHandler> {
  return new Map<ControlRoute, ControlHandler>([
    ['GET /status', () => status(served)],
    ['GET /locks', () => served.node.locks()],
    ['POST /fsck', () => served.node.fsck()],
    ['POST /info', (body) => served.node.info(decodeIno(body))],
    ['POST /mount', (body) => mount(served, body)],
    ['POST /listen', (body) => listen(served, body)],
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

/** After a crash: what the process before this one had mounted. */
async function remount({ node, paths, log }: Served): Promise<void> {
  const request = await readMountRequest(paths);
  if (request === undefined) return;
  const { mountpoint } = request;
  try {
    const entry = await findMount(mountpoint);
    if (entry !== undefined) await clearForeignMount(entry, paths.dir);
    await node.mount(request);
    log.info('mounted again', { mountpoint });
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    log.error('could not be mounted again', { mountpoint, error });
  }
}

export async function openNode(
  context: RoleContext,
  environment: Environment,
  options: { readonly remount: boolean } = { remount: false },
): Promise<void> {
  const { state, log, stack } = context;
  const { paths } = state;
  await using starting = new DisposeStack();
  const node = starting.use(await DfsNode.start(await nodeOptions(context, environment)));
  const { peerAddress } = node;
  if (peerAddress !== undefined) await rememberListeners(paths, { peer: peerAddress });
  const served: Served = { node, paths, log, signal: context.signal, stop: () => context.stop() };
  // Before anybody is answered: who asks finds the mount as it was.
  if (options.remount) await remount(served);
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
