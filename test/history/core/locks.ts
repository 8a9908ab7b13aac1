/**
 * The locks of one file that see each other: those of flock(2), or those of fcntl(2) of both kinds.
 *
 * A lock is *surely held* from the moment at which the call that got it returned to the moment at
 * which its owner made the next call that may change it (that unlocks or locks a part of it, a close
 * that ends it), or its process ended, or something began to be broken that may take the locks of
 * its machine: its node was killed, or its machine was silent for too long. What was locked while
 * that was broken is not sure at all. Two locks in conflict are never surely held at once.
 *
 * It is *possibly held* from the moment at which it was asked for to the moment at which the call
 * that gave it up returned; longer, where that may arrive later: a close is told to the filesystem
 * after it returned, and what was said while something was broken may arrive when that is over. What was asked for and not answered is possibly held until its file is closed. Who
 * was refused, or waited in vain, had something in his way that was possibly held.
 */
import { byTime, describe, RIGHT, type Timed, type Verdict, wrong } from './history.ts';

/** Bytes from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export type LockCall = Timed & {
  /** A process, or an open file description. */
  readonly owner: string;
} & (
    | (Range & {
        readonly kind: 'lock';
        readonly exclusive: boolean;
        /** Whether it would wait. */
        readonly waits: boolean;
        /** `late`: it was interrupted by its time limit, and may have got it just then. */
        readonly outcome: 'granted' | 'refused' | 'late' | 'unknown';
      })
    /** Of unknown outcome where it is optional. */
    | (Range & { readonly kind: 'unlock' })
    /** All that the owner has. */
    | { readonly kind: 'close'; readonly isTold: boolean }
    /** Its process made a call that never returned. */
    | { readonly kind: 'death' }
  );

/** While something was broken. */
export interface Trouble {
  readonly beginNs: number;
  readonly endNs: number;
  /** Machines that may have lost what they had locked. */
  readonly forgetters: readonly number[];
}

export interface LockReport {
  readonly verdict: Verdict;
  /** Pieces of files that were surely held for a time. */
  readonly holds: number;
  readonly refusals: number;
  /** Those that waited in vain for long enough to be judged. */
  readonly waits: number;
}

type Lock = LockCall & { readonly kind: 'lock' };

/** What one call locked, or a part of it, for a time. */
interface Piece extends Range {
  readonly lock: Lock;
  readonly beginNs: number;
  readonly endNs: number;
}

/** Within that the filesystem has heard of a close that has returned, and of what it is owed. */
const TOLD_NS = 1e9;
/** Nobody waits that long for what is free. */
const WAIT_NS = 1e9;
/** Who came not much later may have come first. */
const ABREAST_NS = 0.3e9;

function shown(call: Lock): string {
  const { start, end, exclusive, waits, outcome } = call;
  const how = `${exclusive ? 'an exclusive' : 'a shared'} lock of ${start} .. ${end}`;
  const answer = {
    granted: 'got',
    refused: 'was refused',
    late: 'waited in vain for',
    unknown: 'asked for',
  }[outcome];
  return describe(call, `${call.owner} ${answer} ${how}${waits ? '' : ' at once'}`);
}

function conflict(piece: Piece, other: Pick<Lock, 'owner' | 'exclusive'> & Range): boolean {
  const { lock, start, end } = piece;
  if (lock.owner === other.owner || start >= other.end || other.start >= end) return false;
  return lock.exclusive || other.exclusive;
}

/** The pieces of one owner, while its calls are walked in their order. */
class Pieces {
  readonly ended: Piece[] = [];
  #open: Piece[] = [];

  add(lock: Lock, beginNs: number): void {
    const { start, end } = lock;
    this.#open.push({ lock, start, end, beginNs, endNs: Number.POSITIVE_INFINITY });
  }

  /** What lies in the range ends; what is left of its pieces beside it does not. */
  end(range: Range, endNs: number): void {
    const open = this.#open;
    this.#open = [];
    for (const piece of open) {
      const start = Math.max(piece.start, range.start);
      const end = Math.min(piece.end, range.end);
      if (start >= end) {
        this.#open.push(piece);
        continue;
      }
      this.ended.push({ ...piece, start, end, endNs });
      if (piece.start < start) this.#open.push({ ...piece, end: start });
      if (end < piece.end) this.#open.push({ ...piece, start: end });
    }
  }

  all(): readonly Piece[] {
    return [...this.ended, ...this.#open];
  }
}

const ALL: Range = { start: 0, end: Number.POSITIVE_INFINITY };

class Locks {
  readonly #object: string;
  readonly #calls: readonly LockCall[];
  readonly #troubles: readonly Trouble[];

  constructor(object: string, calls: readonly LockCall[], troubles: readonly Trouble[]) {
    this.#object = object;
    this.#calls = [...calls].sort(byTime);
    this.#troubles = troubles;
  }

  check(): LockReport {
    const sure: Piece[] = [];
    const possible: Piece[] = [];
    for (const calls of this.#owners().values()) {
      sure.push(...this.#sure(calls));
      possible.push(...this.#possible(calls));
    }
    const locks = this.#calls.filter((call) => call.kind === 'lock');
    const refusals = locks.filter(({ outcome }) => outcome === 'refused');
    const waits = locks.filter((lock) => this.#isJudgedWait(lock));
    const verdict =
      this.#twoHolders(sure) ??
      this.#refusedByNobody(refusals, possible) ??
      this.#waitedForNobody(waits, possible) ??
      RIGHT;
    return { verdict, holds: sure.length, refusals: refusals.length, waits: waits.length };
  }

  #owners(): ReadonlyMap<string, LockCall[]> {
    const owners = new Map<string, LockCall[]>();
    for (const call of this.#calls) {
      const calls = owners.get(call.owner);
      if (calls === undefined) owners.set(call.owner, [call]);
      else calls.push(call);
    }
    return owners;
  }

  #sure(calls: readonly LockCall[]): readonly Piece[] {
    const pieces = new Pieces();
    for (const call of calls) {
      pieces.end('start' in call ? call : ALL, call.invokeNs);
      if (call.kind === 'lock' && call.outcome === 'granted') pieces.add(call, call.returnNs);
    }
    return pieces
      .all()
      .map((piece) => ({ ...piece, endNs: Math.min(piece.endNs, this.#forgottenNs(piece)) }))
      .filter(({ beginNs, endNs }) => beginNs < endNs);
  }

  /** When it may have been lost with its machine. */
  #forgottenNs({ lock: { mount }, beginNs }: Piece): number {
    const losses = this.#troubles.filter(
      ({ forgetters, endNs }) => forgetters.includes(mount) && endNs >= beginNs,
    );
    return losses.reduce((first, loss) => Math.min(first, loss.beginNs), Number.POSITIVE_INFINITY);
  }

  #possible(calls: readonly LockCall[]): readonly Piece[] {
    const pieces = new Pieces();
    for (const call of calls) {
      if (call.kind === 'death') continue;
      if (call.kind === 'close') {
        const toldNs = call.returnNs + (call.isTold ? 0 : TOLD_NS);
        pieces.end(ALL, this.#arrivedNs(call.invokeNs, toldNs));
        continue;
      }
      const isAnswered =
        call.kind === 'unlock' ? call.optional !== true : call.outcome === 'granted';
      if (isAnswered) pieces.end(call, this.#arrivedNs(call.invokeNs, call.returnNs));
      if (call.kind === 'lock' && call.outcome !== 'refused') pieces.add(call, call.invokeNs);
    }
    return pieces.all();
  }

  /** What is said in that time is heard when it is over, and whatever is broken then is whole. */
  #arrivedNs(fromNs: number, toNs: number): number {
    const broken = this.#troubles.filter(
      ({ beginNs, endNs }) => beginNs <= toNs && endNs >= fromNs,
    );
    return broken.reduce((latest, { endNs }) => Math.max(latest, endNs + TOLD_NS), toNs);
  }

  #twoHolders(sure: readonly Piece[]): Verdict | undefined {
    const begun = [...sure].sort((one, other) => one.beginNs - other.beginNs);
    for (const [index, first] of begun.entries()) {
      for (const second of begun.slice(index + 1)) {
        if (second.beginNs >= first.endNs) break;
        const { owner, exclusive } = second.lock;
        if (!conflict(first, { ...second, owner, exclusive })) continue;
        const calls = [first.lock, second.lock].sort(byTime);
        return wrong(this.#object, 'two have a lock at the same time', calls.map(shown));
      }
    }
    return undefined;
  }

  #refusedByNobody(refusals: readonly Lock[], possible: readonly Piece[]): Verdict | undefined {
    const refused = refusals.find(
      (lock) =>
        !possible.some(
          (piece) =>
            conflict(piece, lock) && piece.beginNs <= lock.returnNs && piece.endNs >= lock.invokeNs,
        ),
    );
    if (refused === undefined) return undefined;
    return wrong(this.#object, 'a lock was refused that nobody had', [
      ...this.#lastInTheWay(refused, possible),
      shown(refused),
    ]);
  }

  /** Long enough, and while nothing was broken. */
  #isJudgedWait(lock: Lock): boolean {
    const { outcome, invokeNs, returnNs } = lock;
    if (outcome !== 'late' || returnNs - invokeNs < WAIT_NS) return false;
    return this.#arrivedNs(invokeNs - TOLD_NS, returnNs) === returnNs;
  }

  #waitedForNobody(waits: readonly Lock[], possible: readonly Piece[]): Verdict | undefined {
    for (const lock of waits) {
      const inTheWay = possible.filter(
        (piece) => conflict(piece, lock) && mayBeFirst(piece.lock, lock),
      );
      if (longestFree(inTheWay, lock) < WAIT_NS) continue;
      return wrong(this.#object, 'a lock was waited for that nobody had', [
        ...this.#lastInTheWay(lock, possible),
        shown(lock),
      ]);
    }
    return undefined;
  }

  /** Whose lock it was before. */
  #lastInTheWay(lock: Lock, possible: readonly Piece[]): readonly string[] {
    const before = possible
      .filter((piece) => conflict(piece, lock) && piece.beginNs <= lock.returnNs)
      .sort((one, other) => one.endNs - other.endNs);
    return before.slice(-1).map((piece) => shown(piece.lock));
  }
}

/** Who has it, or waits and came before; of those who came later and wait in vain nobody is. */
function mayBeFirst(one: Lock, other: Lock): boolean {
  return one.outcome === 'granted' || one.invokeNs < other.invokeNs + ABREAST_NS;
}

/** The longest time within the call in which nothing was in its way. */
function longestFree(inTheWay: readonly Piece[], { invokeNs, returnNs }: Timed): number {
  let longest = 0;
  let freeNs = invokeNs;
  for (const { beginNs, endNs } of [...inTheWay].sort((a, b) => a.beginNs - b.beginNs)) {
    longest = Math.max(longest, Math.min(beginNs, returnNs) - freeNs);
    freeNs = Math.max(freeNs, endNs);
  }
  return Math.max(longest, returnNs - freeNs);
}

export function checkLocks(
  object: string,
  calls: readonly LockCall[],
  troubles: readonly Trouble[] = [],
): LockReport {
  return new Locks(object, calls, troubles).check();
}
