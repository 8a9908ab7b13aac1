/**
 * What the metaserver knows of the peers beyond their record: whether a stream is open, since
 * when, and what they last reported. In memory; a new life learns it again.
 */
import type * as wire from '../../gen/meta.ts';
import type { Clock } from '../common/clock.ts';
import type { NodeId } from '../common/ids.ts';
import { nodeIdToBytes } from './store-codec.ts';

export type PeerReport = wire.PeerReportRequest;

interface Peer {
  name: string;
  up: boolean;
  sinceMs: number;
  report: PeerReport;
}

const NO_REPORT: PeerReport = {
  bytesTotal: 0n,
  bytesFree: 0n,
  bytesOwned: 0n,
  bytesCached: 0n,
  unreachable: [],
};

export class Peers {
  readonly #clock: Clock;
  readonly #peers = new Map<NodeId, Peer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds it, or gives it its newest name. */
  add(nodeId: NodeId, name: string): void {
    const known = this.#peers.get(nodeId);
    if (known !== undefined) known.name = name;
    else {
      const sinceMs = this.#nowMs();
      this.#peers.set(nodeId, { name, up: false, sinceMs, report: NO_REPORT });
    }
  }

  setUp(nodeId: NodeId, up: boolean): void {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || peer.up === up) return;
    peer.up = up;
    peer.sinceMs = this.#nowMs();
  }

  report(nodeId: NodeId, report: PeerReport): void {
    const peer = this.#peers.get(nodeId);
    if (peer !== undefined) peer.report = report;
  }

  status(): wire.PeerStatus[] {
    return [...this.#peers].map(([nodeId, { name, up, sinceMs, report }]) => ({
      nodeId: nodeIdToBytes(nodeId),
      name,
      up,
      sinceMs: BigInt(sinceMs),
      ...report,
      address: '',
      stores: true,
      unreachableFrom: [],
      clientReason: '',
    }));
  }

  #nowMs(): number {
    const { sec, nsec } = this.#clock.realtime();
    return sec * 1000 + Math.floor(nsec / 1e6);
  }
}
