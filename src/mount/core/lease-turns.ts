/**
 * Who has waited for the right to write, and makes use of it, keeps it for a moment before it goes to
 * the next who waits: rule C21 of docs/PROTOCOL.md. Without it a lease that several machines want
 * moves with every single write.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';

/** A turn takes no longer, however busy. */
export const TURN_MS = 20;
/** Whoever was idle for so long needs it no more. */
const IDLE_MS = 0.25;
/** Turns that have begun within TURN_MS are far fewer. */
const TURNS_MAX = 10_000;

interface Turn {
  readonly lseq: number;
  readonly sinceMs: number;
  usedMs: number;
}

export class LeaseTurns {
  readonly #turns = new BoundedMap<Ino, Turn>(TURNS_MAX);

  has(ino: Ino): boolean {
    return this.#turns.get(ino) !== undefined;
  }

  /** Requests have waited for this exclusive lease. */
  began(ino: Ino, lseq: number, nowMs: number): void {
    this.#turns.delete(ino);
    this.#turns.set(ino, { lseq, sinceMs: nowMs, usedMs: nowMs });
  }

  /** A request relies, or has relied, on the lease. */
  used(ino: Ino, nowMs: number): void {
    const turn = this.#turns.get(ino);
    if (turn === undefined) return;
    if (nowMs - turn.sinceMs >= TURN_MS) this.#turns.delete(ino);
    else turn.usedMs = nowMs;
  }

  /** It may not be given up yet: to be asked again soon. */
  lasts(ino: Ino, lseq: number, nowMs: number): boolean {
    const turn = this.#turns.get(ino);
    if (turn === undefined || turn.lseq !== lseq) return false;
    if (nowMs - turn.sinceMs < TURN_MS && nowMs - turn.usedMs <= IDLE_MS) return true;
    this.#turns.delete(ino);
    return false;
  }
}
