/** The metaserver process: the namespace, its listeners and its control socket. */
import { isLoopback } from '../common/address.ts';
import { loadConfig } from '../common/config.ts';
import { type ControlHandler, type ControlRoute, ControlServer } from '../common/control-server.ts';
import { readListenRecord } from '../common/listen-record.ts';
import { listenAsWished } from '../common/rpc/listen-wish.ts';
import { SystemClock } from '../common/system-clock.ts';
import { Metaserver } from '../metaserver/node.ts';
import { planMetaserverListener } from './listen-plan.ts';
import { openToNetwork, rememberListeners } from './listeners.ts';
import { decodeAddress } from './mount-request.ts';
import type { RoleContext } from './serve-role.ts';

async function start(context: RoleContext): Promise<Metaserver> {
  const { state, log } = context;
  const config = await loadConfig(state.dir);
  const wanted = planMetaserverListener(config, await readListenRecord(state.paths));
  const metaserver = await Metaserver.start({
    stateDir: state.dir,
    socketPath: state.paths.metaserver,
    clusterId: state.clusterId,
    clusterName: state.clusterName,
    clock: new SystemClock(),
    log: log.child('metaserver'),
    onFatal: (error) => context.fail(error),
  });
  try {
    await listenAsWished(wanted, {
      listen: ({ host, port }) => metaserver.listen(host, port),
      log: log.child('metaserver'),
    });
    await rememberListeners(state.paths, { metaserver: metaserver.status().addresses });
  } catch (error) {
    await metaserver[Symbol.asyncDispose]();
    throw error;
  }
  return metaserver;
}

/** Answers where the metaserver listens beyond this machine. */
async function open(
  { state, log }: RoleContext,
  metaserver: Metaserver,
  body: unknown,
): Promise<object> {
  const wanted = decodeAddress(body);
  const addresses = await openToNetwork(wanted, metaserver.status().addresses, {
    listen: ({ host, port }) => metaserver.listen(host, port),
    log: log.child('metaserver'),
  });
  // What is open to others is what a restart must bring back, so it comes first.
  const local = metaserver.status().addresses.filter(({ host }) => isLoopback(host));
  await rememberListeners(state.paths, { metaserver: [...addresses, ...local] });
  return { addresses };
}

export async function openMetaserver(context: RoleContext): Promise<void> {
  const { state, log, stack } = context;
  const metaserver = stack.use(await start(context));
  stack.use(
    await ControlServer.open({
      socketPath: state.paths.metaserverControl,
      mode: 0o600,
      log: log.child('control'),
      handlers: new Map<ControlRoute, ControlHandler>([
        ['GET /status', () => ({ state: 'up', pid: process.pid, ...metaserver.status() })],
        ['POST /listen', (body) => open(context, metaserver, body)],
        [
          'POST /stop',
          () => {
            context.stop();
            return { stopping: true };
          },
        ],
      ]),
    }),
  );
}
