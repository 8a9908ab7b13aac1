/** What `dfs status` knows: from the node while it answers, else from the state folder. */
import { FsError } from '../common/errno.ts';
import { DFS_MOUNT_TYPE, findMount } from '../common/mount-table.ts';
import type { LoadedState } from '../common/state-dir.ts';
import { isLocked, readPid } from '../common/state-lock.ts';
import type { NodeStatus, Problem } from '../mount/status.ts';
import { sentence } from './failure.ts';
import { readMountRecord } from './mount-record.ts';
import { fetchStatus, isMetaserverUp } from './node-client.ts';

/** Lock held without an answering socket: `starting` covers the way up and the last moments. */
export type NodeState = 'up' | 'stopping' | 'starting' | 'unresponsive' | 'down';

export interface StatusDocument
  extends Omit<NodeStatus, 'node' | 'mounts' | 'metaserver' | 'inodes' | 'reclaimPending'> {
  readonly node: Omit<NodeStatus['node'], 'state' | 'pid'> & {
    readonly state: NodeState;
    readonly pid: number | null;
  };
  readonly metaserver: { readonly address: string; readonly state: 'up' | 'down' | 'unknown' };
  readonly mounts: readonly (
    | NodeStatus['mounts'][number]
    | { readonly mountpoint: string; readonly driver: 'native'; readonly state: 'dead' | 'unknown' }
  )[];
  readonly inodes?: number;
  readonly reclaimPending?: number;
}

const START = 'run `dfs mount MOUNTPOINT` again: it starts what does not run';

async function metaserverState(state: LoadedState): Promise<'up' | 'down' | 'unknown'> {
  try {
    return (await isMetaserverUp(state.paths)) ? 'up' : 'down';
  } catch (error) {
    // Another user's socket, or no answer.
    if (error instanceof FsError) return 'unknown';
    throw error;
  }
}

async function leftMounts(state: LoadedState, node: NodeState): Promise<StatusDocument['mounts']> {
  const mountpoint = await readMountRecord(state.paths);
  if (mountpoint === undefined) return [];
  if ((await findMount(mountpoint))?.type !== DFS_MOUNT_TYPE) return [];
  return [{ mountpoint, driver: 'native', state: node === 'down' ? 'dead' : 'unknown' }];
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
  const problems = [nodeProblem(node, why)];
  if (metaserver === 'down') {
    const message = 'the metaserver of this state folder does not run';
    problems.push({ code: 'metaserver-down', message, action: START });
  }
  return {
    cluster: { id: state.clusterId, name: state.clusterName },
    metaserver: { address: paths.metaserver, state: metaserver },
    node: {
      id: state.nodeId,
      name: state.nodeName,
      state: node,
      stateDir: state.dir,
      pid: running ?? null,
    },
    mounts: await leftMounts(state, node),
    peers: [],
    cache: { bytes: 0, hits: 0, misses: 0, bytesServedToPeers: 0 },
    fuse: { requests: {} },
    leases: {},
    replication: { degraded: 0, missing: 0, etaSeconds: 0 },
    problems,
  };
}

/** Tells whatever can be told; only an unreadable state folder is an error. */
export async function statusDocument(state: LoadedState): Promise<StatusDocument> {
  try {
    const status = await fetchStatus(state.paths.status);
    if (status !== undefined) return status;
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return withoutNode(state, 'unresponsive', sentence(error));
  }
  const locked = isLocked(state.paths, 'node') === true;
  return withoutNode(state, locked ? 'starting' : 'down');
}
