/** The status document of a node, gathered from what its parts know at this moment. */
import { readdir } from 'node:fs/promises';
import type { ClusterStatusReply, PeerStatus } from '../../gen/meta.ts';
import { formatAddress } from '../common/address.ts';
import type { Clock } from '../common/clock.ts';
import type { WaitingRequest } from '../common/core/waiting.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { safeInteger } from '../common/ids.ts';
import { within } from '../common/lifecycle.ts';
import { statePaths } from '../common/state-paths.ts';
import type { Member, NodeState } from './member.ts';
import type { Mounted, Waiting } from './mounted.ts';
import type { PeerSession } from './peer-session.ts';
import { localProblems, type Problem } from './problems.ts';

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
    /** Requests of programs that are under way for over a second; the oldest 64 of `waitingCount`. */
    readonly waiting: readonly WaitingRequest[];
    readonly waitingCount: number;
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
  /** Since the mount began: what the kernel asked, by operation, and what it was told to forget. */
  readonly fuse: {
    readonly requests: Readonly<Record<string, number>>;
    readonly notifications: Readonly<Record<string, number>>;
  };
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
  readonly state: NodeState;
  readonly member: Member;
  readonly mounted: Mounted | undefined;
  readonly metaserver: string;
  readonly clock: Clock;
}

const CLUSTER_STATUS_MS = 2_000;
/** Requests that wait for so long are shown. */
const WAITING_MS = 1_000;
const NOBODY: Waiting = { count: 0, requests: [] };

async function clusterStatus(session: PeerSession): Promise<ClusterStatusReply | undefined> {
  try {
    return await within(session.clusterStatus(), CLUSTER_STATUS_MS, 'the metaserver’s status');
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return undefined;
  }
}

const hex = (id: Uint8Array): string => Buffer.from(id).toString('hex');

function peerState({ clientReason, stores, up }: PeerStatus): 'up' | 'down' | 'joining' {
  if (!up) return 'down';
  return stores || clientReason !== '' ? 'up' : 'joining';
}

function peerEntry(
  peer: PeerStatus,
  names: ReadonlyMap<string, string>,
): NodeStatus['peers'][number] {
  return {
    id: hex(peer.nodeId),
    name: peer.name,
    address: peer.address,
    state: peerState(peer),
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

function mountEntry(mounted: Mounted, waiting: Waiting): NodeStatus['mounts'][number] {
  const { minor, lacking } = mounted.driver.capabilities;
  return {
    mountpoint: mounted.mountpoint,
    driver: 'native',
    state: 'up',
    readOnly: mounted.request.readOnly,
    openFiles: mounted.vfs.openFiles,
    fuseMinor: minor,
    kernelLacks: lacking,
    waiting: waiting.requests,
    waitingCount: waiting.count,
  };
}

function cacheEntry({ data, service }: Member): NodeStatus['cache'] {
  return {
    ...data.cache.status(),
    ...data.counts,
    bytesFetched: data.client.bytesFetched,
    bytesServedToPeers: service.bytesServed,
  };
}

async function lostFiles(stateDir: string): Promise<number> {
  try {
    return (await readdir(statePaths(stateDir).lostAndFound)).length;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw toFsError(error, 'cannot look into lost+found');
  }
}

/** What the metaserver says now, or said before it went away. */
export async function buildStatus(sources: StatusSources): Promise<NodeStatus> {
  const { member, mounted, state } = sources;
  const now = await clusterStatus(member.session);
  // One that was just found silent is not asked once more.
  const isSilent = now === undefined && member.session.up;
  const waiting = (await mounted?.waiting(WAITING_MS, { isSilent })) ?? NOBODY;
  const cluster = now ?? member.session.lastStatus;
  const reachable = now !== undefined && (mounted === undefined || mounted.session.up);
  const names = new Map(cluster?.peers.map((peer) => [hex(peer.nodeId), peer.name]));
  const { address } = member;
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
    mounts: mounted === undefined ? [] : [mountEntry(mounted, waiting)],
    peers: cluster?.peers.map((peer) => peerEntry(peer, names)) ?? [],
    cache: cacheEntry(member),
    listen: { peer: address === undefined ? null : formatAddress(address) },
    fuse: {
      requests: Object.fromEntries(mounted?.driver.connection.counts ?? []),
      notifications: Object.fromEntries(mounted?.kernel.counts ?? []),
    },
    leases: { held: mounted?.vfs.leaseCount ?? 0 },
    replication: { degraded: 0, missing: 0, etaSeconds: 0 },
    inodes: safeInteger(cluster?.inodes ?? 0n),
    reclaimPending: safeInteger(cluster?.reclaimPending ?? 0n),
    problems: [
      ...localProblems({
        ...sources,
        stateDir: state.dir,
        lostFiles: await lostFiles(state.dir),
        reachable,
        waiting: waiting.requests,
      }),
      ...(now?.problems ?? []),
    ],
  };
}
