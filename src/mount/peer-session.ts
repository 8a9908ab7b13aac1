/**
 * The peer's session at the metaserver, once it is connected: garbage to delete, space to report,
 * and the cluster's state for `dfs status`.
 */

import type { ClusterStatusReply, ServerFrame, Welcome } from '../../gen/meta.ts';
import type { GroupView } from '../common/cluster-map.ts';
import { FsError } from '../common/errno.ts';
import { asEpoch, asGroupId, asIno, asNodeId, type Ino, type NodeId } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { SessionClient } from '../common/rpc/session-client.ts';
import type { ChunkStore } from '../peer/chunk-store.ts';

const REPORT_MS = 5_000;

function nodeIdFromBytes(bytes: Uint8Array): NodeId {
  return asNodeId(Buffer.from(bytes).toString('hex'));
}

/** Boot milliseconds since when the server of a session is away, or owes an answer. */
export function silentSince({ up, sinceMs, waitingSinceMs }: SessionClient): number {
  return up ? (waitingSinceMs ?? sinceMs) : sinceMs;
}

/** The groups a Welcome names. */
export function groupViews(welcome: Welcome): GroupView[] {
  return welcome.groups.map((group) => ({
    rg: asGroupId(group.rg),
    epoch: asEpoch(group.epoch),
    primary: group.primary.length === 0 ? undefined : nodeIdFromBytes(group.primary),
    members: group.members.map(nodeIdFromBytes),
  }));
}

export class PeerSession {
  readonly #store: ChunkStore;
  readonly #log: Logger;
  readonly #tasks: TaskGroup;
  #session: SessionClient | undefined;
  #isClosed = false;
  /** To delete: pushed before the session was here, or not deleted at the first try. */
  #garbage: Ino[][] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: { readonly store: ChunkStore; readonly log: Logger }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#tasks = new TaskGroup((error) => this.#log.warn('peer work failed', { error }));
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

  onPush(frame: ServerFrame): void {
    if (frame.body?.$case !== 'reclaim') return;
    this.#garbage.push(frame.body.value.inos.map(asIno));
    this.#collect();
  }

  #turn(): void {
    this.#collect();
    this.#tasks.run(() => this.#report());
  }

  #collect(): void {
    const session = this.#session;
    if (session === undefined || this.#isClosed) return;
    for (const inos of this.#garbage.splice(0)) this.#tasks.run(() => this.#remove(session, inos));
  }

  /** The metaserver pushes no more until it is answered, so a failure is tried again. */
  async #remove(session: SessionClient, inos: Ino[]): Promise<void> {
    try {
      await this.#store.remove(inos);
    } catch (error) {
      this.#garbage.push(inos);
      throw error;
    }
    const value = { inos: inos.map((ino) => BigInt(ino)) };
    await session.request({ $case: 'reclaimDone', value });
  }

  /** @throws FsError while the metaserver is away */
  async clusterStatus(): Promise<ClusterStatusReply> {
    if (this.#session?.up !== true) throw new FsError('ENOTCONN', 'the metaserver is away');
    const result = await this.#session.request({ $case: 'clusterStatus', value: {} });
    if (result.$case !== 'clusterStatus') throw new FsError('EPROTO', 'not a cluster status');
    return result.value;
  }

  async #report(): Promise<void> {
    if (this.#session?.up !== true || this.#isClosed) return;
    const space = this.#store.space();
    const value = {
      bytesTotal: BigInt(Math.floor(space.bytesTotal)),
      bytesFree: BigInt(Math.floor(space.bytesFree)),
      bytesOwned: BigInt(Math.floor(space.bytesOwned)),
      bytesCached: BigInt(Math.floor(space.bytesCached)),
      unreachable: [],
    };
    await this.#session.request({ $case: 'peerReport', value });
  }
}
