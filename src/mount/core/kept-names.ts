/**
 * Which names the kernel may keep, and how it has to be made to forget them: rule C20 of
 * docs/PROTOCOL.md. Without time and effects of its own.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';

/** How long names are left alone, milliseconds. */
export interface Reserve {
  /** After names of a directory were called back, at first. */
  readonly shyMs: number;
  readonly shyMsMax: number;
  /** After any were, where that is often so: new directories, and names of directories. */
  readonly busyMs: number;
  /** It is often so when all names had to be forgotten some times within this. */
  readonly oftenMs: number;
}

const RESERVE: Reserve = { shyMs: 4_000, shyMsMax: 64_000, busyMs: 60_000, oftenMs: 10_000 };
const OFTEN = 4;
/** A directory that is called back again within so many times that is left alone for twice as long. */
const AGAIN = 8;
const DIRECTORIES_MAX = 16_384;
/** More are forgotten with all others. */
const NAMES_MAX = 64;

/** Until when names in a directory are not told, and for how long that was decided. */
interface Shy {
  readonly ms: number;
  readonly untilMs: number;
}

const QUIET: Shy = { ms: 0, untilMs: 0 };

/** What is told of a name. */
export interface ToldName {
  readonly name: string;
  /** It leads to a directory, which may be somebody's working directory. */
  readonly isDirectory: boolean;
}

/** What the kernel has to forget: these names in the directory, or every name of the mount. */
export type Forgotten = 'nothing' | 'everything' | ReadonlySet<string>;

export class KeptNames {
  /** Directories with names that may be kept, as far as this mount knows. */
  readonly #told = new Map<Ino, Set<string> | 'many'>();
  /** Whether the kernel knows them at the moment or not. */
  readonly #known = new BoundedMap<Ino, Shy>(DIRECTORIES_MAX);
  /** The kernel is being made to forget names in them, one by one. */
  readonly #takingBack = new Set<Ino>();
  readonly #reserve: Reserve;
  /** When all names had to be forgotten; the latest come last. */
  #forgottenMs: number[] = [];
  #busyUntilMs = 0;

  constructor(reserve = RESERVE) {
    this.#reserve = reserve;
  }

  /** A name in the directory is told under a lease. @returns whether the kernel may keep it */
  tell(dir: Ino, { isDirectory, name }: ToldName, nowMs: number): boolean {
    const isBusy = nowMs < this.#busyUntilMs;
    if (isBusy && isDirectory) return false;
    const known = this.#known.get(dir);
    if (known === undefined) {
      if (isBusy) {
        this.#leave(dir, nowMs, this.#reserve.shyMs);
        return false;
      }
      this.#known.set(dir, QUIET);
    } else if (nowMs < known.untilMs) return false;
    this.mark(dir, isBusy ? name : undefined);
    return true;
  }

  /**
   * The kernel takes a name from one directory to another, and with it the permission to keep it.
   * @param held there is a lease on `to`, which can be called back
   * @returns whether every name has to be forgotten for it
   */
  moved(from: Ino, to: Ino, { held, newName }: { held: boolean; newName: string }): boolean {
    // What is being taken back there would escape.
    if (this.#takingBack.has(from)) return true;
    const told = this.#told.get(from);
    if (told === undefined) return false;
    if (held) this.mark(to, told === 'many' ? undefined : newName);
    return !held;
  }

  /** The kernel may keep a name there. @param name undefined: any */
  mark(dir: Ino, name?: string): void {
    const told = this.#told.get(dir);
    if (told === 'many') return;
    const names = told ?? new Set<string>();
    if (name === undefined || names.size >= NAMES_MAX) this.#told.set(dir, 'many');
    else this.#told.set(dir, names.add(name));
  }

  /** The lease on a directory is called back. @returns what there is to forget */
  recalled(dir: Ino, nowMs: number): Forgotten {
    const told = this.#told.get(dir);
    const { ms, untilMs } = this.#known.get(dir) ?? QUIET;
    const isRecent = nowMs < untilMs + AGAIN * ms;
    if (told === undefined && !isRecent) return 'nothing';
    const { shyMs, shyMsMax } = this.#reserve;
    if (told === 'many') this.#forgottenMs = [...this.#forgottenMs, nowMs].slice(-OFTEN);
    this.#growBusy(nowMs);
    this.#leave(dir, nowMs, isRecent ? Math.min(2 * ms, shyMsMax) : shyMs);
    this.#told.delete(dir);
    if (told === 'many') return 'everything';
    if (told === undefined) return 'nothing';
    this.#takingBack.add(dir);
    return told;
  }

  /** What recalled() named is forgotten. */
  takenBack(dir: Ino): void {
    this.#takingBack.delete(dir);
  }

  /** Names in the directory are not told for so long: it is hard to make the kernel forget them. */
  avoid(dir: Ino, nowMs: number): void {
    this.#leave(dir, nowMs, this.#reserve.shyMsMax);
  }

  /** The kernel is told to forget every name: what it was told before is not kept. */
  forgotten(): void {
    this.#told.clear();
  }

  /** Names in this directory have been forgotten, or the kernel has dropped it. */
  emptied(dir: Ino): void {
    this.#told.delete(dir);
  }

  #growBusy(nowMs: number): void {
    const { busyMs, oftenMs } = this.#reserve;
    const [first] = this.#forgottenMs;
    const isOften = this.#forgottenMs.length === OFTEN && nowMs - (first ?? 0) < oftenMs;
    if (isOften || nowMs < this.#busyUntilMs) this.#busyUntilMs = nowMs + busyMs;
  }

  #leave(dir: Ino, nowMs: number, ms: number): void {
    this.#known.set(dir, { ms, untilMs: nowMs + ms });
  }
}
