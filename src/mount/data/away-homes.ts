import type { GroupId } from '../../common/ids.ts';

/** Long enough to notice that it is back. */
const KNOWN_AWAY_MS = 2_000;
/** So long after the last miss a home has its full bound again. */
const FORGET_MS = 30_000;

interface Away {
  readonly sinceMs: number;
  readonly missedMs: number;
}

/**
 * Homes that were not reached for a whole bound. While that goes on nobody waits so long for them
 * again: a program that goes through a thousand of their files would wait a thousand times.
 * Times are boot milliseconds.
 */
export class AwayHomes {
  readonly #away = new Map<GroupId, Away>();

  /** How long to wait for a home, when nothing is known against it `fullMs`. */
  boundMs(rg: GroupId, fullMs: number, nowMs: number): number {
    return this.#known(rg, nowMs) === undefined ? fullMs : Math.min(fullMs, KNOWN_AWAY_MS);
  }

  reached(rg: GroupId): void {
    this.#away.delete(rg);
  }

  /**
   * A wait that began at `startMs` ended without reaching it.
   * @returns since when it is away, as far as this mount has tried
   */
  missed(rg: GroupId, startMs: number, nowMs: number): number {
    const sinceMs = this.#known(rg, nowMs)?.sinceMs ?? startMs;
    this.#away.set(rg, { sinceMs, missedMs: nowMs });
    return sinceMs;
  }

  #known(rg: GroupId, nowMs: number): Away | undefined {
    const away = this.#away.get(rg);
    return away !== undefined && nowMs - away.missedMs < FORGET_MS ? away : undefined;
  }
}
