/** The metaserver process: the namespace and its control socket. */
import { type ControlHandler, type ControlRoute, ControlServer } from '../common/control-server.ts';
import { SystemClock } from '../common/system-clock.ts';
import { Metaserver } from '../metaserver/node.ts';
import type { RoleContext } from './serve-role.ts';

export async function openMetaserver(context: RoleContext): Promise<void> {
  const { state, log, stack } = context;
  const metaserver = stack.use(
    await Metaserver.start({
      stateDir: state.dir,
      socketPath: state.paths.metaserver,
      listen: [],
      clusterId: state.clusterId,
      clusterName: state.clusterName,
      clock: new SystemClock(),
      log: log.child('metaserver'),
      onFatal: (error) => context.fail(error),
    }),
  );
  stack.use(
    await ControlServer.open({
      socketPath: state.paths.metaserverControl,
      mode: 0o600,
      log: log.child('control'),
      handlers: new Map<ControlRoute, ControlHandler>([
        ['GET /status', () => ({ state: 'up', pid: process.pid, ...metaserver.status() })],
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
