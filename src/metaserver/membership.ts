/**
 * Who is in the cluster: which peers have a stream and were heard of, where others reach them,
 * which of them store files, in which groups. It tells all of them whenever that changes.
 */
import type * as wire from '../../gen/meta.ts';
import { type Clock, wallMs } from '../common/clock.ts';
import type { Epoch, NodeId } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { nodeIdToBytes } from '../common/rpc/codec.ts';
import type { StoringPeer } from './core/placement.ts';
import { DialBack } from './dial-back.ts';
import { MapPusher } from './map-pusher.ts';
import { peerProblems } from './peer-problems.ts';
import type { Peers } from './peers.ts';
import type { Roster } from './roster.ts';
import { isGone, type Session } from './session.ts';
import { dialBackDoneOf, reportOf } from './wire.ts';

/** So many numbers one life of the server hands out before they meet those of the next. */
const NUMBERS_PER_LIFE = 2 ** 30;

export interface MembershipOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly peers: Peers;
  readonly roster: Roster;
  readonly shardEpoch: Epoch;
  /** Runs a task in the next turn of the event loop. */
  readonly schedule: (task: () => void) => void;
  readonly onError: (error: unknown) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  /** Peers that have a stream. */
  readonly #streams = new Map<NodeId, Session>();
  readonly #dialBack: DialBack;
  readonly #maps: MapPusher;
  readonly #tasks: TaskGroup;
  #number: number;

  constructor(options: MembershipOptions) {
    const { peers, roster, shardEpoch, schedule } = options;
    this.#options = options;
    this.#number = shardEpoch * NUMBERS_PER_LIFE;
    this.#tasks = new TaskGroup(options.onError);
    const takeNumber = (): number => {
      this.#number += 1;
      return this.#number;
    };
    this.#maps = new MapPusher({
      peers,
      roster,
      schedule,
      takeNumber,
      streams: () => this.#streams.values(),
    });
    this.#dialBack = new DialBack({
      ...options,
      takeNumber,
      streams: this.#streams,
      onReached: (nodeId) => this.#promote(nodeId),
    });
    peers.onChange = () => this.#maps.changed();
  }

  /** This peer has a stream. */
  attach(session: Session): void {
    this.#streams.set(session.nodeId, session);
    this.#options.peers.setUp(session.nodeId, true);
    this.#dialBack.restart(session.nodeId);
    this.#maps.changed();
  }

  detach({ nodeId }: Session): void {
    this.#streams.delete(nodeId);
    this.#options.peers.setUp(nodeId, false);
    this.#dialBack.restart(nodeId);
  }

  /** A sign of life: brings back a peer that seemed gone on a stream that stayed open. */
  heard(session: Session): void {
    if (this.#streams.get(session.nodeId) !== session) return;
    this.#options.peers.setUp(session.nodeId, true);
  }

  /** Once a second: notices who is gone, and what was not answered. */
  sweep(): void {
    const { clock, peers } = this.#options;
    const nowMs = clock.bootMs();
    for (const session of this.#streams.values()) {
      if (isGone(session, nowMs)) peers.setUp(session.nodeId, false);
    }
    this.#dialBack.turn();
  }

  /** @throws FsError EINVAL */
  report(session: Session, report: wire.PeerReportRequest): void {
    this.#options.peers.report(session.nodeId, reportOf(report));
  }

  /** @throws FsError EINVAL */
  dialBackDone(session: Session, done: wire.DialBackDoneRequest): void {
    this.#dialBack.done(session, dialBackDoneOf(done));
  }

  /** Where files of others may go: one without an address counts as down, for nobody reaches it. */
  storingPeers(): readonly StoringPeer[] {
    const { peers, roster } = this.#options;
    return peers.all().flatMap(({ nodeId, up, stores, address, report }) => {
      const rg = roster.ledBy(nodeId);
      if (!stores || rg === undefined) return [];
      return [{ nodeId, up: up && address !== '', bytesFree: Number(report.bytesFree), rg }];
    });
  }

  isUp(nodeId: NodeId): boolean {
    return this.#options.peers.get(nodeId)?.up ?? false;
  }

  /** What people call a node; its id when it never introduced itself. */
  nameOf(nodeId: NodeId): string {
    return this.#options.peers.get(nodeId)?.name ?? nodeId;
  }

  status(): wire.PeerStatus[] {
    return this.#options.peers.all().map(({ report, ...peer }) => ({
      nodeId: nodeIdToBytes(peer.nodeId),
      name: peer.name,
      up: peer.up,
      sinceMs: BigInt(peer.sinceMs),
      bytesTotal: report.bytesTotal,
      bytesFree: report.bytesFree,
      bytesOwned: report.bytesOwned,
      bytesCached: report.bytesCached,
      address: peer.address,
      stores: peer.stores,
      unreachableFrom: peer.unreachableFrom.map(nodeIdToBytes),
      clientReason: peer.clientReason,
    }));
  }

  problems(): wire.Problem[] {
    const { clock, peers } = this.#options;
    return peerProblems(peers.all(), wallMs(clock));
  }

  /** Resolves when no change of a peer is under way. */
  async settle(): Promise<void> {
    await this.#tasks.settle();
  }

  #promote(nodeId: NodeId): void {
    this.#tasks.run(async () => {
      await this.#options.roster.promote(nodeId);
      this.#options.log.info('a peer stores files from now on', { node: nodeId });
      this.#dialBack.turn();
    });
  }
}
