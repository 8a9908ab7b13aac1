/**
 * `dfs mount`, step by step under the start lock: what is there already, the mountpoint, the
 * state folder, the processes, the mount itself. Everything that can be refused is refused before
 * anything is made; what this command started is stopped again when a later step fails.
 */
import { type Config, loadConfig } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, findMount } from '../common/mount-table.ts';
import { hasState, type LoadedState, makeStateDir } from '../common/state-dir.ts';
import { refuseDfsMount, resolveStateDir } from '../common/state-location.ts';
import { statePaths } from '../common/state-paths.ts';
import { loadFuseNative } from '../mount/driver/fuse-native/load.ts';
import type { MountRequest } from '../mount/mounted.ts';
import type { NodeStatus } from '../mount/status.ts';
import { type Environment, note, say, sayJson, stateEnvironment } from './environment.ts';
import { findServingState } from './find-state.ts';
import { followNode } from './foreground.ts';
import { startGuardian } from './guardian.ts';
import { type DriverName, type MountFlags, planMount, stateFlag } from './mount-plan.ts';
import { readMountRecord } from './mount-record.ts';
import {
  checkMountpoint,
  clearForeignMount,
  detachMount,
  makeMountpoint,
  refuseOverlap,
  resolveMountpoint,
} from './mountpoint.ts';
import { postMount } from './node-client.ts';
import { type OpenInput, openState, type Prepared, planJoin } from './prepare-state.ts';
import { probeMount } from './probe.ts';
import { underStartLock } from './start-lock.ts';
import { runningNode, type Started, startNode, stopStarted } from './start-node.ts';

export interface MountCall {
  readonly mountpoint: string | undefined;
  readonly flags: MountFlags;
  readonly environment: Environment;
}

interface MountOutcome {
  readonly prepared: Prepared;
  readonly started: Started;
  readonly already: boolean;
}

async function refuseUnbuilt(driver: DriverName): Promise<void> {
  if (driver === 'native') return;
  const load = await loadFuseNative();
  const reason = load.loads
    ? 'the adapter for --driver fuse-native is not in this version'
    : load.reason;
  throw new FsError('EOPNOTSUPP', `${reason}; leave --driver out to use the native driver`);
}

function noteWithoutEffect(flags: readonly string[]): void {
  if (flags.length === 0) return;
  const verb = flags.length === 1 ? 'has' : 'have';
  note(`note: ${flags.join(', ')} ${verb} no effect yet`);
}

async function configOf(dir: string): Promise<Config> {
  return (await hasState(dir)) ? loadConfig(dir) : {};
}

/** @returns whether the running node serves this mountpoint already */
async function checkRunning(node: NodeStatus | undefined, mountpoint: string): Promise<boolean> {
  const entry = await findMount(mountpoint);
  const serves = node?.mounts[0]?.mountpoint;
  if (serves === mountpoint && entry?.type === DFS_MOUNT_TYPE) return true;
  if (serves !== undefined && serves !== mountpoint) {
    throw new FsError(
      'EBUSY',
      `the node of ${node?.node.stateDir} serves ${serves} already: unmount that first, or give another --state`,
    );
  }
  if (entry !== undefined) {
    await clearForeignMount(entry);
    note(`detached a dead dfs mount from ${mountpoint}`);
  }
  return false;
}

/** A killed node leaves its mount behind; nobody but its next start knows of it. */
async function detachLeftover(dir: string, mountpoint: string): Promise<void> {
  const left = await readMountRecord(statePaths(dir));
  if (left === undefined || left === mountpoint) return;
  if ((await findMount(left))?.type !== DFS_MOUNT_TYPE) return;
  if ((await findServingState(left)) !== undefined || (await probeMount(left)) !== 'dead') return;
  await detachMount(left);
  note(`detached a dead dfs mount from ${left}`);
}

interface Target {
  readonly request: MountRequest;
  /** A service manager watches over it. */
  readonly foreground: boolean;
  readonly open: OpenInput;
}

function noteRunning({ state, changed }: Prepared, started: Started): void {
  const allFresh = started.node && (started.metaserver || !state.roles.includes('metaserver'));
  if (!changed || allFresh) return;
  note('note: the new settings are kept, and take effect after `dfs stop` and `dfs mount`');
}

async function mountUnderLock(target: Target): Promise<MountOutcome> {
  const { foreground, request, open } = target;
  const { dir, environment } = open;
  const node = await runningNode(statePaths(dir));
  const already = await checkRunning(node, request.mountpoint);
  if (node === undefined) await detachLeftover(dir, request.mountpoint);
  if (!already) await checkMountpoint(request.mountpoint);
  const prepared = await openState(open);
  const { state } = prepared;
  const started = await startNode(state, environment);
  noteRunning(prepared, started);
  if (already) {
    if (started.metaserver) note('the metaserver was down and is started again');
    if (!foreground) await startGuardian(state, environment);
    return { prepared, started, already };
  }
  try {
    await makeMountpoint(request.mountpoint);
    await postMount(state.paths, request);
  } catch (error) {
    await stopStarted(state.paths, started);
    throw error;
  }
  if (!foreground) await startGuardian(state, environment);
  return { prepared, started, already };
}

/** A cluster starts closed; who founds one should hear how others come in. */
function sayHowToOpen({ made }: Prepared, flags: MountFlags): void {
  if (made !== 'founded' || flags.listen !== undefined) return;
  say('dfs: only this machine can join so far; `dfs invite` opens the cluster to others');
}

function report({ prepared, already }: MountOutcome, mountpoint: string, flags: MountFlags): void {
  const { clusterId, clusterName, dir } = prepared.state;
  if (flags.json === true) {
    sayJson({ mountpoint, already, cluster: { id: clusterId, name: clusterName }, stateDir: dir });
    return;
  }
  const done = already ? `${mountpoint} is mounted already` : `mounted ${mountpoint}`;
  say(`dfs: ${done} (cluster ${clusterName}, state ${dir})`);
  sayHowToOpen(prepared, flags);
}

function noteName(state: LoadedState, name: string | undefined): void {
  if (name === undefined || name === state.nodeName) return;
  note(`note: this node is called ${state.nodeName}; --name ${name} has no effect now`);
}

export async function runMount({ mountpoint, flags, environment }: MountCall): Promise<void> {
  const dir = resolveStateDir(stateEnvironment(environment, stateFlag(flags)));
  await refuseDfsMount(dir);
  const config = await configOf(dir);
  const plan = planMount({ mountpoint, flags, config, uid: environment.uid });
  await refuseUnbuilt(plan.driver);
  const request = {
    ...plan.request,
    mountpoint: await resolveMountpoint(plan.request.mountpoint),
  };
  refuseOverlap(request.mountpoint, dir);
  noteWithoutEffect(plan.withoutEffect);
  const { settings } = plan;
  const target = await planJoin({ dir, join: flags.join, config, settings, environment });
  await makeStateDir(dir);
  const open = { dir, name: flags.name ?? config.name, settings, target, environment };
  const outcome = await underStartLock(dir, () =>
    mountUnderLock({ request, foreground: flags.foreground === true, open }),
  );
  const { state } = outcome.prepared;
  noteName(state, flags.name);
  report(outcome, request.mountpoint, flags);
  if (flags.foreground === true) await followNode(state.paths, outcome.started);
}
