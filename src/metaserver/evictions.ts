/**
 * What has to be true before the leases of a session that ended may fall (rule C14): every home it
 * may have written to refuses it, and its own lease has run out wherever its machine may be. A
 * home confirms, or has no lease itself any more. `sweep` is called every second.
 */
import type { Clock } from '../common/clock.ts';
import type { Epoch, NodeId, SessionId } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { Session } from './session.ts';

export interface Fence {
  readonly sid: SessionId;
  /** Calls below this epoch are refused. */
  readonly sepoch: Epoch;
}

/** A mount whose session ended. */
export interface EndedMount extends Fence {
  readonly nodeId: NodeId;
}

/** A session that ended, and whose leases stand until the rule is met. */
export interface Eviction extends EndedMount {
  /** Boot milliseconds when its machine answers nothing from memory any more. */
  readonly untilMs: number;
  /** Homes that have not confirmed. */
  readonly homes: ReadonlySet<NodeId>;
}

interface Running extends Eviction {
  readonly homes: Set<NodeId>;
}

export interface EvictionsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** The peer session of a node that is heard of. */
  peer(nodeId: NodeId): Session | undefined;
  /** Its leases fall now. */
  onDone(sid: SessionId): void;
}

export class Evictions {
  readonly #options: EvictionsOptions;
  readonly #running = new Map<SessionId, Running>();

  constructor(options: EvictionsOptions) {
    this.#options = options;
  }

  /** @param homes the primaries of the groups in which it may write */
  begin(ended: EndedMount, homes: Iterable<NodeId>, untilMs: number): void {
    const eviction = { ...ended, untilMs, homes: new Set(homes) };
    this.#running.set(ended.sid, eviction);
    for (const nodeId of eviction.homes) this.#push(nodeId, eviction);
    this.sweep();
  }

  /** What is still to happen before the leases of an ended session fall. */
  find(sid: SessionId): Eviction | undefined {
    return this.#running.get(sid);
  }

  /** This home refuses the session from now on. */
  confirmed(nodeId: NodeId, { sid, sepoch }: Fence): void {
    const eviction = this.#running.get(sid);
    if (eviction === undefined || sepoch < eviction.sepoch) return;
    eviction.homes.delete(nodeId);
    this.sweep();
  }

  /** A peer has a new stream: what it may have missed comes again. */
  attach(nodeId: NodeId): void {
    for (const eviction of this.#running.values()) {
      if (eviction.homes.has(nodeId)) this.#push(nodeId, eviction);
    }
  }

  sweep(): void {
    const nowMs = this.#options.clock.bootMs();
    for (const [sid, { homes, untilMs }] of this.#running) {
      for (const nodeId of homes) {
        if (this.#options.peer(nodeId) === undefined) homes.delete(nodeId);
      }
      if (homes.size > 0 || nowMs < untilMs) continue;
      this.#running.delete(sid);
      this.#options.log.info('the leases of an ended session fall', { sid });
      this.#options.onDone(sid);
    }
  }

  #push(nodeId: NodeId, { sid, sepoch }: Fence): void {
    const value = { sid: BigInt(sid), sepoch: BigInt(sepoch) };
    this.#options.peer(nodeId)?.sink?.push({ $case: 'fence', value });
  }
}
