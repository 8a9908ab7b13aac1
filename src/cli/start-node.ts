/** Brings up what of a node does not run, and takes down again what one command started. */
import { delay } from '../common/lifecycle.ts';
import type { LoadedState } from '../common/state-dir.ts';
import { isLocked, type LockHolder } from '../common/state-lock.ts';
import type { StatePaths, StateRole } from '../common/state-paths.ts';
import type { NodeStatus } from '../mount/status.ts';
import type { Environment } from './environment.ts';
import { readSupervision } from './guardian-report.ts';
import { fetchStatus, isMetaserverUp, postStop } from './node-client.ts';
import { startRole } from './start-role.ts';

export interface Started {
  readonly metaserver: boolean;
  readonly node: boolean;
}

const POLL_MS = 50;
const OTHER_START_MS = 30_000;
const GUARDIAN_MS = 5_000;
/** After that `dfs status` tells what is wrong. */
const RECONNECT_MS = 5_000;

/** @throws FsError why one of them cannot start; the other is not left behind */
export async function startNode(state: LoadedState, environment: Environment): Promise<Started> {
  const { paths } = state;
  const common = { paths, environment };
  const metaserver = state.roles.includes('metaserver') && !(await isMetaserverUp(paths));
  const node = (await fetchStatus(paths.control)) === undefined;
  if (metaserver) {
    const title = 'the metaserver';
    await startUnlessUp(paths, 'metaserver', () =>
      startRole({ command: 'metaserver', title, logName: 'metaserver.log', ...common }),
    );
  }
  if (!node) {
    if (metaserver) await waitUntilReconnected(paths);
    return { metaserver, node };
  }
  try {
    await startUnlessUp(paths, 'node', () =>
      startRole({ command: 'serve-node', title: 'the node', logName: 'node.log', ...common }),
    );
  } catch (error) {
    await stopStarted(paths, { metaserver, node: false });
    throw error;
  }
  return { metaserver, node };
}

/** The guardian may be at it at the same moment; one of the two is enough. */
async function startUnlessUp(
  paths: StatePaths,
  role: StateRole,
  start: () => Promise<void>,
): Promise<void> {
  try {
    await start();
  } catch (error) {
    if (isLocked(paths, role) !== true || !(await serves(paths, role))) throw error;
  }
}

async function serves(paths: StatePaths, role: StateRole): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < OTHER_START_MS; waitedMs += POLL_MS) {
    const up = role === 'node' ? await fetchStatus(paths.control) : await isMetaserverUp(paths);
    if (up !== undefined && up !== false) return true;
    if (isLocked(paths, role) === false) return false;
    await delay(POLL_MS);
  }
  return false;
}

/** A node that ran all the while comes back to its metaserver within about a second. */
async function waitUntilReconnected(paths: StatePaths): Promise<void> {
  for (let waitedMs = 0; waitedMs < RECONNECT_MS; waitedMs += POLL_MS) {
    if ((await fetchStatus(paths.control))?.metaserver.state === 'up') return;
    await delay(POLL_MS);
  }
}

/** @returns whether the process was gone within the bound */
export async function waitUntilGone(
  paths: StatePaths,
  role: LockHolder,
  timeoutMs: number,
): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += POLL_MS) {
    if (isLocked(paths, role) === false) return true;
    await delay(POLL_MS);
  }
  return false;
}

const STOP_MS = 100_000;

/** The node first: what it has not published yet, it publishes to the metaserver. */
export async function stopStarted(paths: StatePaths, started: Started): Promise<void> {
  if (started.node && (await postStop(paths.control))) await waitUntilGone(paths, 'node', STOP_MS);
  if (started.metaserver && (await postStop(paths.metaserverControl))) {
    await waitUntilGone(paths, 'metaserver', STOP_MS);
  }
}

/**
 * The running node's status; undefined when none runs. One that is about to be there, because the
 * guardian or another command starts it, is waited for a little.
 */
export async function runningNode(paths: StatePaths): Promise<NodeStatus | undefined> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const status = await fetchStatus(paths.control);
    const awaited = isLocked(paths, 'node') === true || (await isAwaited(paths));
    if (status !== undefined || !awaited || waitedMs >= GUARDIAN_MS) return status;
    await delay(POLL_MS);
  }
}

async function isAwaited(paths: StatePaths): Promise<boolean> {
  const { roles, state } = await readSupervision(paths);
  return state === 'up' && roles['node'] !== undefined && roles['node'].state !== 'ended';
}
