/**
 * Advisory locks of files: flock(2) and fcntl(2), for whole files and for ranges. Who waits is
 * served in the order of arrival. Only who has no lock queues behind others who wait: nobody can
 * wait for him, so that the order makes no deadlock. Who gets one meanwhile queues no longer.
 * Without time and effects of its own. Rules L1 to L3 of docs/PROTOCOL.md.
 */
import type { Ino } from '../ids.ts';

/** Locks of the two kinds do not see each other, as on Linux. */
export type LockKind = 'flock' | 'posix';
export type LockType = 'read' | 'write';

/** Bytes from `start` to `end`, both included. */
export interface LockRange {
  readonly start: bigint;
  readonly end: bigint;
}

export const WHOLE_FILE: LockRange = { start: 0n, end: 2n ** 63n - 1n };

export interface LockPlace extends LockRange {
  readonly ino: Ino;
  readonly kind: LockKind;
  /** A process, or an open file, of one mount. */
  readonly owner: string;
}

export interface Lock extends LockPlace {
  readonly type: LockType;
  /** On the machine of its owner; for people. */
  readonly pid: number;
}

/** `deadlock`: it would wait for ever. */
export type LockOutcome = 'granted' | 'waits' | 'conflict' | 'deadlock';

interface Waiter<T> {
  readonly lock: Lock;
  readonly ticket: T;
}

interface InodeLocks<T> {
  held: Lock[];
  waiting: Waiter<T>[];
}

export class LockTable<T> {
  readonly #inodes = new Map<Ino, InodeLocks<T>>();
  /** How many locks each owner has. */
  readonly #owned = new Map<string, number>();
  /** Where each owner waits. */
  readonly #waits = new Map<string, Set<Ino>>();
  /** Somebody may go on here, as he has a lock elsewhere now and does not queue any more. */
  readonly #changed = new Set<Ino>();
  #granted: T[] = [];

  /** Locks held. */
  get count(): number {
    let count = 0;
    for (const owned of this.#owned.values()) count += owned;
    return count;
  }

  /** Tickets whose wait is over since the last call. */
  takeGranted(): T[] {
    const granted = this.#granted;
    this.#granted = [];
    return granted;
  }

  /**
   * @param ticket waits for it in its turn; without one nothing waits
   * @returns conflict: somebody has it, and nobody waits
   */
  acquire(lock: Lock, ticket?: T): LockOutcome {
    const locks = this.#of(lock.ino);
    const isRepeat = locks.waiting.some((waiter) => waiter.ticket === ticket);
    if (isRepeat) return 'waits';
    // A conversion of flock(2) gives up what it had first, also when it does not succeed.
    if (lock.kind === 'flock' && !hasAll(locks, lock)) this.#clear(locks, lock);
    const outcome = this.#acquire(locks, lock, ticket);
    this.#pump(lock.ino);
    return outcome;
  }

  /** What was granted elsewhere, so that nobody can be in its way. */
  put(lock: Lock): void {
    this.#put(this.#of(lock.ino), lock);
  }

  release(place: LockPlace): void {
    const locks = this.#inodes.get(place.ino);
    if (locks === undefined) return;
    this.#clear(locks, place);
    this.#pump(place.ino);
  }

  /** @returns false when nobody waits with this ticket any more */
  cancel(ticket: T): boolean {
    for (const [ino, locks] of this.#inodes) {
      const at = locks.waiting.findIndex((waiter) => waiter.ticket === ticket);
      if (at < 0) continue;
      this.#setWaiting(ino, locks, locks.waiting.toSpliced(at, 1));
      this.#pump(ino);
      return true;
    }
    return false;
  }

  /** The first lock of the file that is in the way of this one. */
  test(lock: Lock): Lock | undefined {
    const { held } = this.#inodes.get(lock.ino) ?? { held: [] };
    let first: Lock | undefined;
    for (const other of held) {
      if (!isInTheWay(other, lock)) continue;
      if (first === undefined || other.start < first.start) first = other;
    }
    return first;
  }

  countOf(ino: Ino): { held: number; waiting: number } {
    const { held, waiting } = this.#inodes.get(ino) ?? { held: [], waiting: [] };
    return { held: held.length, waiting: waiting.length };
  }

  isLocked(ino: Ino): boolean {
    return (this.#inodes.get(ino)?.held.length ?? 0) > 0;
  }

  /** It is held as it is here. */
  has(lock: Lock): boolean {
    return this.#inodes.get(lock.ino)?.held.includes(lock) === true;
  }

  /** The owner has just this already. */
  covers(lock: Lock): boolean {
    return hasAll(this.#inodes.get(lock.ino) ?? { held: [] }, lock);
  }

  /** The owner has a lock of this kind in this range. */
  owns(place: LockPlace): boolean {
    const { held } = this.#inodes.get(place.ino) ?? { held: [] };
    return held.some((lock) => isSame(lock, place) && overlap(lock, place));
  }

  /** Nobody else has locked the file, or waits for it. */
  areAll(ino: Ino, isOwn: (owner: string) => boolean): boolean {
    const { held, waiting } = this.#inodes.get(ino) ?? { held: [], waiting: [] };
    return waiting.length === 0 && held.every(({ owner }) => isOwn(owner));
  }

  /** All that these owners have locked of a file is this; they wait as before. */
  replace(ino: Ino, isOwn: (owner: string) => boolean, own: readonly Lock[]): void {
    const locks = this.#of(ino);
    this.#setHeld(
      locks,
      locks.held.filter(({ owner }) => !isOwn(owner)),
    );
    for (const lock of own) this.#put(locks, lock);
    this.#pump(ino);
  }

  /** Everything of these owners goes, also what they wait for. */
  drop(isGone: (owner: string) => boolean): void {
    for (const [ino, locks] of this.#inodes) {
      this.#setHeld(
        locks,
        locks.held.filter(({ owner }) => !isGone(owner)),
      );
      const waiting = locks.waiting.filter(({ lock }) => !isGone(lock.owner));
      this.#setWaiting(ino, locks, waiting);
      this.#pump(ino);
    }
  }

  /** Owners of what others wait for. */
  waitedFor(): Set<string> {
    const owners = new Set<string>();
    for (const { waiting } of this.#inodes.values()) {
      for (const { lock } of waiting) for (const owner of this.#inTheWay(lock)) owners.add(owner);
    }
    return owners;
  }

  /** Who has locks, and who waits in which order. */
  *all(): Iterable<{ readonly lock: Lock; readonly waits: boolean }> {
    for (const { held, waiting } of this.#inodes.values()) {
      for (const lock of held) yield { lock, waits: false };
      for (const { lock } of waiting) yield { lock, waits: true };
    }
  }

  #acquire(locks: InodeLocks<T>, lock: Lock, ticket: T | undefined): LockOutcome {
    const isFree = !locks.held.some((other) => isInTheWay(other, lock));
    if (isFree && (ticket === undefined || this.#isNext(lock, locks.waiting))) {
      this.#put(locks, lock);
      return 'granted';
    }
    if (ticket === undefined) return 'conflict';
    if (lock.kind === 'posix' && this.#waitsFor(lock, lock.owner)) return 'deadlock';
    this.#setWaiting(lock.ino, locks, [...locks.waiting, { lock, ticket }]);
    return 'waits';
  }

  /** Who has what this lock needs waits for this owner, or for somebody who does. */
  #waitsFor(wanted: Lock, owner: string): boolean {
    const seen = new Set<string>();
    const open = [wanted];
    for (let lock = open.pop(); lock !== undefined; lock = open.pop()) {
      for (const other of this.#inTheWay(lock)) {
        if (other === owner) return true;
        if (!seen.has(other)) open.push(...this.#wantedBy(other));
        seen.add(other);
      }
    }
    return false;
  }

  #wantedBy(owner: string): Lock[] {
    const waiting = [...this.#inodes.values()].flatMap((locks) => locks.waiting);
    return waiting.map(({ lock }) => lock).filter((lock) => lock.owner === owner);
  }

  #inTheWay(lock: Lock): Set<string> {
    const { held } = this.#of(lock.ino);
    return new Set(held.filter((other) => isInTheWay(other, lock)).map(({ owner }) => owner));
  }

  /** Whoever may go on does, also elsewhere. */
  #pump(ino: Ino): void {
    this.#changed.add(ino);
    for (const changed of this.#changed) {
      this.#changed.delete(changed);
      this.#pumpOne(changed);
    }
  }

  #pumpOne(ino: Ino): void {
    const locks = this.#of(ino);
    const left: Waiter<T>[] = [];
    for (const waiter of locks.waiting) {
      const isFree = !locks.held.some((other) => isInTheWay(other, waiter.lock));
      if (isFree && this.#isNext(waiter.lock, left)) {
        this.#put(locks, waiter.lock);
        this.#granted.push(waiter.ticket);
      } else left.push(waiter);
    }
    this.#setWaiting(ino, locks, left);
    if (locks.held.length + left.length === 0) this.#inodes.delete(ino);
  }

  #put(locks: InodeLocks<T>, lock: Lock): void {
    this.#clear(locks, lock);
    let { start, end } = lock;
    const rest: Lock[] = [];
    for (const other of locks.held) {
      const joins = isSame(other, lock) && other.type === lock.type;
      if (joins && other.start <= end + 1n && start <= other.end + 1n) {
        if (other.start < start) ({ start } = other);
        if (other.end > end) ({ end } = other);
      } else rest.push(other);
    }
    this.#setHeld(locks, [...rest, { ...lock, start, end }]);
  }

  /** What the owner has of this range goes. */
  #clear(locks: InodeLocks<T>, place: LockPlace): void {
    const left = locks.held.flatMap((lock) => {
      if (!isSame(lock, place) || !overlap(lock, place)) return [lock];
      const parts: Lock[] = [];
      if (lock.start < place.start) parts.push({ ...lock, end: place.start - 1n });
      if (lock.end > place.end) parts.push({ ...lock, start: place.end + 1n });
      return parts;
    });
    this.#setHeld(locks, left);
  }

  #setHeld(locks: InodeLocks<T>, held: Lock[]): void {
    for (const lock of locks.held) this.#own(lock, -1);
    locks.held = held;
    for (const lock of held) this.#own(lock, 1);
  }

  #setWaiting(ino: Ino, locks: InodeLocks<T>, waiting: Waiter<T>[]): void {
    for (const { lock } of locks.waiting) {
      const key = ownerKey(lock);
      const inos = this.#waits.get(key);
      inos?.delete(ino);
      if (inos?.size === 0) this.#waits.delete(key);
    }
    locks.waiting = waiting;
    for (const { lock } of waiting) {
      const key = ownerKey(lock);
      this.#waits.set(key, (this.#waits.get(key) ?? new Set()).add(ino));
    }
  }

  #own(lock: Lock, by: number): void {
    const key = ownerKey(lock);
    const before = this.#owned.get(key) ?? 0;
    const owned = before + by;
    if (before === 0) for (const ino of this.#waits.get(key) ?? []) this.#changed.add(ino);
    if (owned > 0) this.#owned.set(key, owned);
    else this.#owned.delete(key);
  }

  #isNext(lock: Lock, earlier: readonly Waiter<T>[]): boolean {
    if (this.#owned.has(ownerKey(lock))) return true;
    return !earlier.some((waiter) => isInTheWay(waiter.lock, lock));
  }

  #of(ino: Ino): InodeLocks<T> {
    const known = this.#inodes.get(ino);
    if (known !== undefined) return known;
    const locks: InodeLocks<T> = { held: [], waiting: [] };
    this.#inodes.set(ino, locks);
    return locks;
  }
}

function overlap(a: LockRange, b: LockRange): boolean {
  return a.start <= b.end && b.start <= a.end;
}

function isSame(a: LockPlace, b: LockPlace): boolean {
  return a.kind === b.kind && a.owner === b.owner;
}

function isInTheWay(held: Lock, wanted: Lock): boolean {
  if (held.kind !== wanted.kind || held.owner === wanted.owner) return false;
  return overlap(held, wanted) && (held.type === 'write' || wanted.type === 'write');
}

/** The owner has just this already. */
function hasAll({ held }: { readonly held: readonly Lock[] }, lock: Lock): boolean {
  return held.some((own) => {
    if (!isSame(own, lock) || own.type !== lock.type) return false;
    return own.start <= lock.start && lock.end <= own.end;
  });
}

function ownerKey({ kind, owner }: LockPlace): string {
  return `${kind} ${owner}`;
}
