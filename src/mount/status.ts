/** The status document of a node, gathered from what its parts know at this moment. */
import type { ClusterStatusReply, PeerStatus } from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import { type NodeId, safeInteger } from '../common/ids.ts';
import { within } from '../common/lifecycle.ts';
import type { Peer } from '../peer/node.ts';
import type { Mounted } from './mounted.ts';
import { type PeerSession, silentSince } from './peer-session.ts';

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly action: string;
}

/** Field names are stable: programs read them. */
export interface NodeStatus {
  readonly cluster: { readonly id: string; readonly name: string };
  readonly metaserver: { readonly address: string; readonly state: 'up' | 'down' };
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly state: 'up';
    readonly stateDir: string;
    readonly pid: number;
  };
  readonly mounts: readonly {
    readonly mountpoint: string;
    readonly driver: 'native';
    readonly state: 'up';
    readonly readOnly: boolean;
    readonly openFiles: number;
    readonly fuseMinor: number;
    readonly kernelLacks: readonly string[];
    readonly waiting: readonly {
      readonly op: string;
      readonly ms: number;
      /** `metaserver`, `disk`, or a peer: `peer beta`. */
      readonly for: string;
    }[];
  }[];
  readonly peers: readonly {
    readonly id: string;
    readonly name: string;
    readonly address: string;
    readonly state: 'up' | 'down' | 'joining';
    readonly since: string;
    /** False: a client only. */
    readonly stores: boolean;
    /** Names of the peers that cannot reach it. */
    readonly unreachableFrom: readonly string[];
    /** Why it stores nothing; empty when it does. */
    readonly clientReason: string;
    readonly bytesTotal: number;
    readonly bytesFree: number;
    readonly bytesOwned: number;
    readonly bytesCached: number;
  }[];
  readonly cache: {
    readonly bytes: number;
    readonly limitBytes: number;
    readonly hits: number;
    readonly misses: number;
    readonly bytesFetched: number;
    readonly bytesServedToPeers: number;
  };
  /** Where others fetch chunks, HOST:PORT. */
  readonly listen: { readonly peer: string | null };
  readonly fuse: { readonly requests: Readonly<Record<string, number>> };
  readonly leases: Readonly<Record<string, number>>;
  readonly replication: {
    readonly degraded: number;
    readonly missing: number;
    readonly etaSeconds: number;
  };
  readonly inodes: number;
  readonly reclaimPending: number;
  readonly problems: readonly Problem[];
}

export interface StatusSources {
  readonly state: {
    readonly dir: string;
    readonly clusterId: string;
    readonly clusterName: string;
    readonly nodeId: NodeId;
    readonly nodeName: string;
  };
  readonly peer: Peer;
  readonly peerSession: PeerSession;
  readonly mounted: Mounted | undefined;
  readonly metaserver: string;
  readonly bootMs: number;
}

const CLUSTER_STATUS_MS = 2_000;

async function clusterStatus(session: PeerSession): Promise<ClusterStatusReply | undefined> {
  try {
    return await within(session.clusterStatus(), CLUSTER_STATUS_MS, 'the metaserver’s status');
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return undefined;
  }
}

const hex = (id: Uint8Array): string => Buffer.from(id).toString('hex');

function peerEntry(
  peer: PeerStatus,
  names: ReadonlyMap<string, string>,
): NodeStatus['peers'][number] {
  return {
    id: hex(peer.nodeId),
    name: peer.name,
    address: peer.address,
    state: peer.up ? 'up' : 'down',
    stores: peer.stores,
    unreachableFrom: peer.unreachableFrom.map((id) => names.get(hex(id)) ?? hex(id)),
    clientReason: peer.clientReason,
    since: new Date(safeInteger(peer.sinceMs)).toISOString(),
    bytesTotal: safeInteger(peer.bytesTotal),
    bytesFree: safeInteger(peer.bytesFree),
    bytesOwned: safeInteger(peer.bytesOwned),
    bytesCached: safeInteger(peer.bytesCached),
  };
}

function mountEntry(mounted: Mounted): NodeStatus['mounts'][number] {
  const { minor, lacking } = mounted.driver.capabilities;
  return {
    mountpoint: mounted.mountpoint,
    driver: 'native',
    state: 'up',
    readOnly: mounted.request.readOnly,
    openFiles: mounted.vfs.openFiles,
    fuseMinor: minor,
    kernelLacks: lacking,
    waiting: mounted.driver.connection.stuck(1_000),
  };
}

function localProblems(sources: StatusSources, reachable: boolean): Problem[] {
  const problems: Problem[] = [...sources.peer.status().problems];
  if (!reachable) {
    const { bootMs, mounted, peerSession } = sources;
    const session = mounted?.session;
    const sinceMs = session?.up === false ? silentSince(session) : peerSession.silentSinceMs;
    const seconds = Math.max(0, Math.round((bootMs - sinceMs) / 1000));
    problems.push({
      code: 'metaserver-down',
      message: `the metaserver does not answer (for ${seconds} s)`,
      action: 'run the same `dfs mount` again: it starts what does not run',
    });
  }
  const slowest = sources.mounted?.driver.connection.stuck(10_000)[0];
  if (slowest !== undefined) {
    const seconds = Math.round(slowest.ms / 1000);
    problems.push({
      code: 'request-stuck',
      message: `${slowest.op} has been waiting for the ${slowest.for} for ${seconds} s`,
      action:
        slowest.for === 'metaserver'
          ? 'it fails with EIO at its bound; see the problems above for the cause'
          : 'see log/node.log, and whether the disk that holds the state folder answers',
    });
  }
  return problems;
}

export async function buildStatus(sources: StatusSources): Promise<NodeStatus> {
  const { mounted, peerSession, state } = sources;
  const cluster = await clusterStatus(peerSession);
  const reachable = cluster !== undefined && (mounted === undefined || mounted.session.up);
  const names = new Map(cluster?.peers.map((peer) => [hex(peer.nodeId), peer.name]));
  const counts = mounted?.driver.connection.counts ?? new Map<string, number>();
  return {
    cluster: { id: state.clusterId, name: state.clusterName },
    metaserver: { address: sources.metaserver, state: reachable ? 'up' : 'down' },
    node: {
      id: state.nodeId,
      name: state.nodeName,
      state: 'up',
      stateDir: state.dir,
      pid: process.pid,
    },
    mounts: mounted === undefined ? [] : [mountEntry(mounted)],
    peers: cluster?.peers.map((peer) => peerEntry(peer, names)) ?? [],
    cache: {
      bytes: 0,
      limitBytes: 0,
      hits: 0,
      misses: 0,
      bytesFetched: 0,
      bytesServedToPeers: 0,
    },
    listen: { peer: null },
    fuse: { requests: Object.fromEntries(counts) },
    leases: {},
    replication: { degraded: 0, missing: 0, etaSeconds: 0 },
    inodes: safeInteger(cluster?.inodes ?? 0n),
    reclaimPending: safeInteger(cluster?.reclaimPending ?? 0n),
    problems: [...localProblems(sources, reachable), ...(cluster?.problems ?? [])],
  };
}
