/** What `dfs status` knows: from the node while it answers, else from the state folder. */
import { loadConfig } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, findMount } from '../common/mount-table.ts';
import { describeMetaserver } from '../common/rpc/describe.ts';
import type { LoadedState } from '../common/state-dir.ts';
import { hasDied, isLocked, readPid } from '../common/state-lock.ts';
import type { Problem } from '../mount/problems.ts';
import type { NodeStatus } from '../mount/status.ts';
import { sentence } from './failure.ts';
import { readSupervision, type Supervision } from './guardian-report.ts';
import { joinAddress } from './join-check.ts';
import { insecureProblems, type Listening, metaserverListeners } from './listen-status.ts';
import { readMountRecord } from './mount-record.ts';
import { fetchStatus, isMetaserverUp } from './node-client.ts';

/** Lock held without an answering socket: `starting` covers the way up and the last moments. */
export type NodeState = 'up' | 'stopping' | 'starting' | 'unresponsive' | 'down';

export interface StatusDocument
  extends Omit<
    NodeStatus,
    'node' | 'mounts' | 'metaserver' | 'listen' | 'inodes' | 'reclaimPending'
  > {
  readonly node: Omit<NodeStatus['node'], 'state' | 'pid'> & {
    readonly state: NodeState;
    readonly pid: number | null;
  };
  readonly metaserver: { readonly address: string; readonly state: 'up' | 'down' | 'unknown' };
  readonly mounts: readonly (
    | NodeStatus['mounts'][number]
    | { readonly mountpoint: string; readonly driver: 'native'; readonly state: 'dead' | 'unknown' }
  )[];
  readonly listen: Listening;
  /** What starts the processes again after a crash. */
  readonly supervision: Supervision;
  readonly inodes?: number;
  readonly reclaimPending?: number;
}

/** A node that does not run caches nothing that could be counted. */
const NO_CACHE = {
  bytes: 0,
  limitBytes: 0,
  hits: 0,
  misses: 0,
  bytesFetched: 0,
  bytesServedToPeers: 0,
};
/** Asking across the network must not make the status slow. */
const DESCRIBE_MS = 2_000;
const START = 'run `dfs mount MOUNTPOINT` again: it starts what does not run';
const RESTARTED = 'it is being started again; see log/guardian.log when that takes long';
const UNGUARDED: Problem = {
  code: 'no-guardian',
  message: 'nothing starts this node again after a crash',
  action: 'run the same `dfs mount` again, unless a service manager watches over it',
};

type MetaserverState = StatusDocument['metaserver'];

/** The one of this machine by its control socket, another one by what it answers. */
async function metaserverState(state: LoadedState): Promise<MetaserverState> {
  const address = await metaserverAddress(state);
  try {
    if (address.startsWith('unix:')) {
      return { address, state: (await isMetaserverUp(state.paths)) ? 'up' : 'down' };
    }
    const { clusterId } = await describeMetaserver(address, DESCRIBE_MS);
    return { address, state: clusterId === state.clusterId ? 'up' : 'unknown' };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    // Another user's socket, or no answer from it.
    return { address, state: address.startsWith('unix:') ? 'unknown' : 'down' };
  }
}

/** Others may not read config.json; the node tells them while it runs. */
async function metaserverAddress({ dir, roles, paths }: LoadedState): Promise<string> {
  if (roles.includes('metaserver')) return `unix:${paths.metaserver}`;
  try {
    const { join } = await loadConfig(dir);
    return join === undefined ? '' : joinAddress(join);
  } catch (error) {
    if (error instanceof FsError && error.code === 'EACCES') return '';
    throw error;
  }
}

async function leftMounts(state: LoadedState, node: NodeState): Promise<StatusDocument['mounts']> {
  const mountpoint = await readMountRecord(state.paths);
  if (mountpoint === undefined) return [];
  if ((await findMount(mountpoint))?.type !== DFS_MOUNT_TYPE) return [];
  return [{ mountpoint, driver: 'native', state: node === 'down' ? 'dead' : 'unknown' }];
}

function metaserverProblem(address: string): Problem {
  const code = 'metaserver-down';
  if (address.startsWith('unix:')) {
    const message = 'the metaserver of this state folder does not run';
    return { code, message, action: START };
  }
  return {
    code,
    message: `the metaserver does not answer at ${address}`,
    action: 'check that dfs runs there, and that no firewall is in between',
  };
}

function nodeProblem(node: NodeState, why: string | undefined): Problem {
  if (node === 'unresponsive') {
    const action = '`dfs unmount MOUNTPOINT --force` ends a mount that hangs; see log/node.log';
    return { code: 'node-unresponsive', message: why ?? 'the node does not answer', action };
  }
  if (node === 'starting') {
    const message = 'the node is starting or about to end';
    return { code: 'node-starting', message, action: 'ask again in a moment' };
  }
  return {
    code: 'node-down',
    message: 'the node of this state folder does not run',
    action: START,
  };
}

async function withoutNode(
  state: LoadedState,
  node: NodeState,
  why?: string,
): Promise<StatusDocument> {
  const { paths } = state;
  const metaserver = await metaserverState(state);
  const running = node === 'down' ? undefined : await readPid(paths, 'node');
  const supervision = await readSupervision(paths);
  const problems = [nodeProblem(node, why)];
  if (metaserver.state === 'down') problems.push(metaserverProblem(metaserver.address));
  if (supervision.state === 'up') {
    for (const [at, problem] of problems.entries())
      problems[at] = { ...problem, action: RESTARTED };
  }
  const listen = { metaserver: await metaserverListeners(state, metaserver.state), peer: null };
  return {
    cluster: { id: state.clusterId, name: state.clusterName },
    metaserver,
    node: {
      id: state.nodeId,
      name: state.nodeName,
      state: node,
      stateDir: state.dir,
      pid: running ?? null,
    },
    mounts: await leftMounts(state, node),
    peers: [],
    cache: NO_CACHE,
    listen,
    supervision,
    fuse: { requests: {}, notifications: {} },
    leases: {},
    replication: { degraded: 0, missing: 0, etaSeconds: 0 },
    problems: [...problems, ...insecureProblems(listen)],
  };
}

async function withListeners(state: LoadedState, status: NodeStatus): Promise<StatusDocument> {
  const metaserver = await metaserverListeners(state, status.metaserver.state);
  const listen = { metaserver, peer: status.listen.peer };
  const supervision = await readSupervision(state.paths);
  const problems = [...status.problems, ...insecureProblems(listen)];
  if (status.mounts.length > 0 && supervision.state === 'none') problems.push(UNGUARDED);
  return { ...status, listen, supervision, problems };
}

/** Tells whatever can be told; only an unreadable state folder is an error. */
export async function statusDocument(state: LoadedState): Promise<StatusDocument> {
  try {
    const status = await fetchStatus(state.paths.status);
    if (status !== undefined) return await withListeners(state, status);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    if (await hasDied(state.paths, 'node')) return withoutNode(state, 'down');
    return withoutNode(state, 'unresponsive', sentence(error));
  }
  const runs = isLocked(state.paths, 'node') === true && !(await hasDied(state.paths, 'node'));
  return withoutNode(state, runs ? 'starting' : 'down');
}
