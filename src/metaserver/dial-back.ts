/**
 * Rule K3: whether others reach a peer is found out by one of them. A peer that serves chunks where
 * nobody has reached it yet is dialled by a storing peer, which says whether it answered. Without
 * timers of its own: `turn` is called whenever something changed, and every second.
 */
import type { Clock } from '../common/clock.ts';
import type { NodeId } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import { nodeIdToBytes } from '../common/rpc/codec.ts';
import type { KnownPeer, Peers } from './peers.ts';
import type { Session } from './session.ts';
import type { DialBackDone } from './wire.ts';

const ANSWER_MS_MAX = 10_000;
const RETRY_MS = 30_000;
export const NO_PROBER = 'no storing peer is up to check the way back';

interface Check {
  readonly id: number;
  readonly address: string;
  readonly prober: Session;
  readonly sinceMs: number;
}

export interface DialBackOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly peers: Peers;
  /** Sessions of the peers that have a stream. */
  readonly streams: ReadonlyMap<NodeId, Session>;
  /** A number never used before, not by an earlier life of the server either. */
  readonly takeNumber: () => number;
  readonly onReached: (nodeId: NodeId) => void;
}

export class DialBack {
  readonly #options: DialBackOptions;
  /** By the peer that is checked. */
  readonly #running = new Map<NodeId, Check>();
  /** Boot milliseconds before which a peer is not checked again. */
  readonly #notBeforeMs = new Map<NodeId, number>();
  #asked = 0;

  constructor(options: DialBackOptions) {
    this.#options = options;
  }

  /** A stream of this peer began or ended: what was asked of it or about it counts no more. */
  restart(nodeId: NodeId): void {
    this.#running.delete(nodeId);
    this.#notBeforeMs.delete(nodeId);
    for (const [candidate, { prober }] of this.#running) {
      if (prober.nodeId === nodeId) this.#running.delete(candidate);
    }
    this.turn();
  }

  /** Gives up what got no answer, and begins what is due. */
  turn(): void {
    const nowMs = this.#options.clock.bootMs();
    for (const [nodeId, check] of this.#running) {
      if (nowMs - check.sinceMs < ANSWER_MS_MAX) continue;
      const name = this.#nameOf(check.prober.nodeId);
      const reason = `${name} did not say whether it reaches it at ${check.address}`;
      this.#failed(nodeId, reason, undefined);
    }
    for (const peer of this.#options.peers.unchecked()) {
      const due = nowMs >= (this.#notBeforeMs.get(peer.nodeId) ?? 0);
      if (due && !this.#running.has(peer.nodeId)) this.#begin(peer, nowMs);
    }
  }

  /** An answer that nobody waits for any more changes nothing. */
  done(prober: Session, { id, reached, message }: DialBackDone): void {
    const [found] = [...this.#running].filter(([, check]) => check.id === id);
    if (found === undefined || found[1].prober !== prober) return;
    const [nodeId, { address }] = found;
    const { peers, log, onReached } = this.#options;
    if (peers.get(nodeId)?.address !== address) {
      this.#running.delete(nodeId);
    } else if (reached) {
      this.#running.delete(nodeId);
      log.info('a peer was reached', { node: nodeId, address, by: prober.nodeId });
      peers.reached(nodeId);
      onReached(nodeId);
    } else {
      const why = message === '' ? '' : `: ${message}`;
      const reason = `${this.#nameOf(prober.nodeId)} could not reach it at ${address}${why}`;
      this.#failed(nodeId, reason, prober.nodeId);
    }
    this.turn();
  }

  #begin(peer: KnownPeer, nowMs: number): void {
    const { peers, takeNumber } = this.#options;
    const { nodeId, address } = peer;
    const prober = this.#prober(nodeId);
    if (prober === undefined) {
      peers.notReached(nodeId, NO_PROBER, undefined);
      return;
    }
    const id = takeNumber();
    this.#running.set(nodeId, { id, address, prober, sinceMs: nowMs });
    const value = { id: BigInt(id), nodeId: nodeIdToBytes(nodeId), address };
    prober.sink?.push({ $case: 'dialBack', value });
  }

  /** Another one each time, because the fault may lie with the prober. */
  #prober(candidate: NodeId): Session | undefined {
    const { peers, streams } = this.#options;
    const able = peers.all().filter(({ nodeId, up, stores }) => {
      return up && stores && nodeId !== candidate;
    });
    this.#asked += 1;
    const chosen = able[this.#asked % Math.max(1, able.length)];
    return chosen === undefined ? undefined : streams.get(chosen.nodeId);
  }

  #failed(nodeId: NodeId, reason: string, by: NodeId | undefined): void {
    const { clock, log, peers } = this.#options;
    this.#running.delete(nodeId);
    this.#notBeforeMs.set(nodeId, clock.bootMs() + RETRY_MS);
    log.warn('a peer was not reached', { node: nodeId, reason });
    peers.notReached(nodeId, reason, by);
  }

  #nameOf(nodeId: NodeId): string {
    return this.#options.peers.get(nodeId)?.name ?? nodeId;
  }
}
