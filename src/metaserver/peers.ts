/**
 * What the metaserver knows of the peers: their records, and beyond them whether a stream is open,
 * since when, what they last reported, and why a peer stores nothing. All but the records is in
 * memory; a new life learns it again.
 */
import type { Clock } from '../common/clock.ts';
import { wallMs } from '../common/clock.ts';
import type { NodeId } from '../common/ids.ts';
import type { PeerState } from './core/records.ts';
import type { PeerReport } from './wire.ts';

/** A peer as it is at the moment. */
export interface KnownPeer extends PeerState {
  readonly nodeId: NodeId;
  readonly up: boolean;
  /** Milliseconds since 1970 of the last change of `up`. */
  readonly sinceMs: number;
  readonly report: PeerReport;
  readonly unreachableFrom: readonly NodeId[];
  /** Why it stores nothing; empty when it does. */
  readonly clientReason: string;
  /** Nobody has found out yet whether it can store. */
  readonly undecided: boolean;
}

interface Peer {
  record: PeerState;
  up: boolean;
  sinceMs: number;
  report: PeerReport;
  servesChunks: boolean;
  /** Found reachable at its present address, or taken to be. */
  checked: boolean;
  /** Why the last check failed, and who said so; empty before one did. */
  reason: string;
  unreachedBy: NodeId | undefined;
}

const NO_REPORT: PeerReport = {
  bytesTotal: 0n,
  bytesFree: 0n,
  bytesOwned: 0n,
  bytesCached: 0n,
  unreachable: [],
};

export class Peers {
  /** Something of what all peers are told has changed. */
  onChange: () => void = () => undefined;
  readonly #clock: Clock;
  readonly #peers = new Map<NodeId, Peer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One of an earlier life of the server: down until it comes back. */
  load(nodeId: NodeId, record: PeerState): void {
    const known = { record, up: false, sinceMs: wallMs(this.#clock), report: NO_REPORT };
    const reason = { reason: '', unreachedBy: undefined };
    this.#peers.set(nodeId, { ...known, ...reason, servesChunks: true, checked: record.stores });
  }

  /** It has introduced itself. At a new address it has to be found again. */
  enrol(nodeId: NodeId, record: PeerState, servesChunks: boolean): void {
    const before = this.#peers.get(nodeId);
    if (before === undefined) this.load(nodeId, record);
    const peer = this.#peers.get(nodeId);
    if (peer === undefined) return;
    const moved = before !== undefined && before.record.address !== record.address;
    peer.record = record;
    peer.servesChunks = servesChunks;
    peer.checked = record.stores && peer.checked && !moved;
    if (moved) peer.unreachedBy = undefined;
    peer.reason = '';
    this.onChange();
  }

  promote(nodeId: NodeId): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined) return;
    peer.record = { ...peer.record, stores: true };
    this.onChange();
  }

  setUp(nodeId: NodeId, up: boolean): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || peer.up === up) return;
    peer.up = up;
    peer.sinceMs = wallMs(this.#clock);
    // Whom it reaches is to be seen again when it is back.
    if (!up) peer.report = { ...peer.report, unreachable: [] };
    this.onChange();
  }

  report(nodeId: NodeId, report: PeerReport): void {
    const peer = this.#peers.get(nodeId);
    if (peer !== undefined) peer.report = report;
  }

  /** Another peer has dialled it, or the reason why it could not; see `unchecked`. */
  reached(nodeId: NodeId): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined) return;
    peer.checked = true;
    peer.reason = '';
    peer.unreachedBy = undefined;
  }

  notReached(nodeId: NodeId, reason: string, by: NodeId | undefined): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined) return;
    peer.reason = reason;
    peer.unreachedBy = by;
  }

  /** Peers that are here and serve chunks where nobody has reached them yet. */
  unchecked(): KnownPeer[] {
    const waits = ({ up, servesChunks, checked }: Peer): boolean => up && servesChunks && !checked;
    return [...this.#peers].filter(([, peer]) => waits(peer)).map((entry) => this.#known(entry));
  }

  all(): KnownPeer[] {
    return [...this.#peers].map((entry) => this.#known(entry));
  }

  get(nodeId: NodeId): KnownPeer | undefined {
    const peer = this.#peers.get(nodeId);
    return peer === undefined ? undefined : this.#known([nodeId, peer]);
  }

  #known([nodeId, peer]: readonly [NodeId, Peer]): KnownPeer {
    const { record, up, sinceMs, report, servesChunks, reason } = peer;
    const { stores } = record;
    return {
      ...record,
      nodeId,
      up,
      sinceMs,
      report,
      unreachableFrom: this.#unreachableFrom(nodeId, peer),
      clientReason: stores ? '' : clientReason(servesChunks, reason),
      undecided: !stores && servesChunks && reason === '',
    };
  }

  /** Whoever is away can't say that it does not reach another. */
  #unreachableFrom(nodeId: NodeId, { unreachedBy }: Peer): NodeId[] {
    const from = [...this.#peers].filter(
      ([other, { up, report }]) =>
        other !== nodeId && up && (other === unreachedBy || report.unreachable.includes(nodeId)),
    );
    return from.map(([other]) => other);
  }
}

function clientReason(servesChunks: boolean, reason: string): string {
  if (!servesChunks) return 'it serves no chunks';
  return reason === '' ? 'the way back to it is being checked' : reason;
}
