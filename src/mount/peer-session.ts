/**
 * The peer's session at the metaserver, once it is connected: the map of the cluster, garbage to
 * delete, space to report, peers to look for, and the cluster's state for `dfs status`.
 */

import type { ClusterStatusReply, DialBack, ServerFrame, Welcome } from '../../gen/meta.ts';
import type { GroupView, PeerView } from '../common/cluster-map.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino, type NodeId, safeInteger } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { nodeIdFromBytes, nodeIdToBytes } from '../common/rpc/codec.ts';
import type { SessionClient } from '../common/rpc/session-client.ts';
import type { ChunkStore } from '../peer/chunk-store.ts';
import type { Home } from '../peer/home.ts';
import type { ClusterView } from './data/rights.ts';
import { groupFromWire, mapFromWire } from './map-codec.ts';
import type { PeerProbe } from './peer-probe.ts';

const REPORT_MS = 5_000;

/** Boot milliseconds since when the server of a session is away, or owes an answer. */
export function silentSince({ up, sinceMs, waitingSinceMs }: SessionClient): number {
  return up ? (waitingSinceMs ?? sinceMs) : sinceMs;
}

export interface PeerSessionOptions {
  readonly nodeId: NodeId;
  /** Where the metaserver is dialled: other peers on its host are reached there too. */
  readonly metaserver: string;
  readonly store: Pick<ChunkStore, 'setGroups' | 'space'>;
  readonly home: Pick<Home, 'fence' | 'remove'>;
  readonly view: ClusterView;
  readonly probe: PeerProbe;
  readonly log: Logger;
}

export class PeerSession {
  readonly #options: PeerSessionOptions;
  readonly #tasks: TaskGroup;
  #session: SessionClient | undefined;
  #isClosed = false;
  /** To delete: pushed before the session was here, or not deleted at the first try. */
  #garbage: Ino[][] = [];
  #dialBacks: DialBack[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lastStatus: ClusterStatusReply | undefined;

  constructor(options: PeerSessionOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup((error) => options.log.warn('peer work failed', { error }));
  }

  attach(session: SessionClient): void {
    this.#session = session;
    this.#timer = setInterval(() => this.#turn(), REPORT_MS);
    this.#turn();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosed = true;
    await this.#tasks.settle();
  }

  get up(): boolean {
    return this.#session?.up ?? false;
  }

  /** Boot milliseconds since when the metaserver is away or owes an answer. */
  get silentSinceMs(): number {
    return this.#session === undefined ? 0 : silentSince(this.#session);
  }

  /** What the metaserver last said of the cluster; it may be away since. */
  get lastStatus(): ClusterStatusReply | undefined {
    return this.#lastStatus;
  }

  onWelcome(welcome: Welcome): void {
    this.#lead(welcome.groups.map(groupFromWire));
  }

  onPush({ body }: ServerFrame): void {
    switch (body?.$case) {
      case 'reclaim':
        this.#garbage.push(body.value.inos.map(asIno));
        this.#collect();
        return;
      case 'map': {
        const { metaserver, nodeId, view } = this.#options;
        view.update(mapFromWire(body.value, metaserver));
        this.#lead([...view.map.groups.values()].filter(({ primary }) => primary === nodeId));
        return;
      }
      case 'dialBack':
        this.#dialBacks.push(body.value);
        this.#collect();
        return;
      case 'fence': {
        const { sid, sepoch } = body.value;
        this.#tasks.run(() => this.#fence(sid, sepoch));
        return;
      }
      case 'welcome':
      case 'reply':
      case 'refusal':
      case 'recall':
      case 'lockGranted':
      case 'lockRecall':
      case 'glimpse':
      case undefined:
        // The session's own affair.
        return;
    }
  }

  /** This node stores the files of these groups, in these epochs. */
  #lead(groups: readonly GroupView[]): void {
    this.#options.store.setGroups(groups);
    this.#options.view.lead(groups);
  }

  #turn(): void {
    this.#collect();
    this.#tasks.run(() => this.#report());
  }

  #collect(): void {
    const session = this.#session;
    if (session === undefined || this.#isClosed) return;
    for (const inos of this.#garbage.splice(0)) this.#tasks.run(() => this.#remove(session, inos));
    for (const asked of this.#dialBacks.splice(0)) {
      this.#tasks.run(() => this.#dialBack(session, asked));
    }
  }

  /** The metaserver pushes no more until it is answered, so a failure is tried again. */
  async #remove(session: SessionClient, inos: Ino[]): Promise<void> {
    try {
      await this.#options.home.remove(inos);
    } catch (error) {
      this.#garbage.push(inos);
      throw error;
    }
    const value = { inos: inos.map((ino) => BigInt(ino)) };
    await session.request({ $case: 'reclaimDone', value });
  }

  /** Rule C14: confirmed when nothing that came earlier is under way any more. */
  async #fence(sid: bigint, sepoch: bigint): Promise<void> {
    await this.#options.home.fence(safeInteger(sid), safeInteger(sepoch));
    await this.#session?.request({ $case: 'fenced', value: { sid, sepoch } });
  }

  /** Whether a peer that joins can be reached from here (K3 in docs/PROTOCOL.md). */
  async #dialBack(session: SessionClient, { id, nodeId, address }: DialBack): Promise<void> {
    const { metaserver, probe } = this.#options;
    const message = await probe.dial(nodeIdFromBytes(nodeId), address, metaserver);
    const value = { id, reached: message === undefined, message: message ?? '' };
    await session.request({ $case: 'dialBackDone', value });
  }

  /** @throws FsError while the metaserver is away */
  async clusterStatus(): Promise<ClusterStatusReply> {
    if (this.#session?.up !== true) throw new FsError('ENOTCONN', 'the metaserver is away');
    const result = await this.#session.request({ $case: 'clusterStatus', value: {} });
    if (result.$case !== 'clusterStatus') throw new FsError('EPROTO', 'not a cluster status');
    this.#lastStatus = result.value;
    return result.value;
  }

  async #report(): Promise<void> {
    const { probe, store } = this.#options;
    const unreachable = await probe.look(this.#others());
    if (this.#session?.up !== true || this.#isClosed) return;
    const space = store.space();
    const value = {
      bytesTotal: BigInt(Math.floor(space.bytesTotal)),
      bytesFree: BigInt(Math.floor(space.bytesFree)),
      bytesOwned: BigInt(Math.floor(space.bytesOwned)),
      bytesCached: BigInt(Math.floor(space.bytesCached)),
      unreachable: unreachable.map(nodeIdToBytes),
    };
    await this.#session.request({ $case: 'peerReport', value });
  }

  #others(): PeerView[] {
    const { nodeId, view } = this.#options;
    return [...view.map.peers.values()].filter((peer) => peer.nodeId !== nodeId);
  }
}
