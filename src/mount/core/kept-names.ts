/**
 * In which directories the kernel may keep names, and when it has to be made to forget them all:
 * rule C20 of docs/PROTOCOL.md. Without time and effects of its own.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';

/** After names were called back the kernel is told none to keep for so long, at first. */
const SHY_MIN_MS = 4_000;
const SHY_MAX_MS = 64_000;
/** A directory that is called back again within so many times that is left alone for twice as long. */
const AGAIN = 8;
/** So long after names were called back a directory that is new here is left alone at first. */
const BUSY_MS = 60_000;
const DIRECTORIES_MAX = 16_384;

/** Until when names in a directory are not told, and for how long that was decided. */
interface Shy {
  readonly ms: number;
  readonly untilMs: number;
}

const QUIET: Shy = { ms: 0, untilMs: 0 };

export class KeptNames {
  /** Names in them may be kept, as far as this mount knows. */
  readonly #told = new Set<Ino>();
  /** Whether the kernel knows them at the moment or not. */
  readonly #known = new BoundedMap<Ino, Shy>(DIRECTORIES_MAX);
  #busyUntilMs = 0;

  /** A name in the directory is told under a lease. @returns whether the kernel may keep it */
  tell(dir: Ino, nowMs: number): boolean {
    const known = this.#known.get(dir);
    if (known === undefined) {
      if (nowMs < this.#busyUntilMs) {
        this.avoid(dir, nowMs, SHY_MIN_MS);
        return false;
      }
      this.#known.set(dir, QUIET);
    } else if (nowMs < known.untilMs) return false;
    this.mark(dir);
    return true;
  }

  /**
   * The kernel takes a name from one directory to another, and with it the permission to keep it.
   * @param held there is a lease on `to`, which can be called back
   * @returns whether every name has to be forgotten for it
   */
  moved(from: Ino, to: Ino, held: boolean): boolean {
    if (!this.#told.has(from)) return false;
    if (held) this.mark(to);
    return !held;
  }

  /** Names in it may be kept. */
  mark(dir: Ino): void {
    this.#told.add(dir);
  }

  /** The lease on a directory is called back. @returns whether there may be names to forget */
  recalled(dir: Ino, nowMs: number): boolean {
    const isTold = this.#told.has(dir);
    const { ms, untilMs } = this.#known.get(dir) ?? QUIET;
    const isRecent = nowMs < untilMs + AGAIN * ms;
    if (!isTold && !isRecent) return false;
    this.#busyUntilMs = nowMs + BUSY_MS;
    this.avoid(dir, nowMs, isRecent ? Math.min(2 * ms, SHY_MAX_MS) : SHY_MIN_MS);
    return isTold;
  }

  /** Names in the directory are not told for so long: it is hard to make the kernel forget them. */
  avoid(dir: Ino, nowMs: number, ms = SHY_MAX_MS): void {
    this.#known.set(dir, { ms, untilMs: nowMs + ms });
  }

  /** The kernel is told to forget every name: what it was told before is not kept. */
  forgotten(): void {
    this.#told.clear();
  }

  /** Names in this directory have been forgotten, or the kernel has dropped it. */
  emptied(dir: Ino): void {
    this.#told.delete(dir);
  }
}
