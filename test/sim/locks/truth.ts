/**
 * Who has what, as programs know it: from the answer to the program to the start of its unlock.
 * Nobody may know that he has what another one knows to have. What a program on an evicted machine
 * has counts until the eviction is complete.
 */
import type { Lock, LockKind, LockPlace, LockType } from '../../../src/common/core/locks.ts';
import { WHOLE_FILE } from '../../../src/common/core/locks.ts';
import type { Ino, SessionId } from '../../../src/common/ids.ts';
import { Violation } from '../leases/checker.ts';
import type { Tally } from '../tally.ts';

/** Ranges begin at one of these bytes; the last one stands for all that come after it. */
export const BYTES = 4;

export type Cells = (LockType | undefined)[];

export interface Holding {
  readonly machine: number;
  readonly pid: number;
  readonly ino: Ino;
  readonly kind: LockKind;
  /** Session under which each byte was locked, as the program knows it. */
  readonly cells: Cells;
  sid: SessionId;
}

export function cellsOf({ end, start }: Pick<LockPlace, 'start' | 'end'>): number[] {
  const last = end === WHOLE_FILE.end ? BYTES - 1 : Number(end);
  return Array.from({ length: last - Number(start) + 1 }, (_, at) => Number(start) + at);
}

function meet(one: LockType | undefined, other: LockType | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one === 'write' || other === 'write';
}

export class Truth {
  readonly #tally: Tally;
  readonly #held = new Map<string, Holding>();
  readonly #evicting = new Set<SessionId>();

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  /** A program is told that it has this. */
  has(machine: number, sid: SessionId, lock: Lock): void {
    const own = this.#of(machine, lock);
    own.sid = sid;
    const cells = cellsOf(lock);
    for (const other of this.#held.values()) {
      if (other === own || other.ino !== lock.ino || other.kind !== lock.kind) continue;
      if (!cells.some((at) => meet(other.cells[at], lock.type))) continue;
      const both = `pid ${lock.pid} and pid ${other.pid}`;
      throw new Violation(`T1: ${both} both have ${lock.kind} ${lock.ino}: ${shown(other.cells)}`);
    }
    for (const at of cells) own.cells[at] = lock.type;
  }

  /** It asks for this: what it has of it may be less from now on. */
  asks(machine: number, lock: Lock): void {
    const own = this.#of(machine, lock);
    for (const at of cellsOf(lock)) {
      const has = own.cells[at];
      if (has === undefined || has === lock.type) continue;
      // A conversion of flock(2) gives up what it had.
      own.cells[at] = lock.kind === 'flock' ? undefined : 'read';
    }
  }

  /** It begins to unlock this, or does not rely on it any more. */
  gone(machine: number, place: LockPlace & { readonly pid: number }): void {
    const own = this.#of(machine, place);
    for (const at of cellsOf(place)) own.cells[at] = undefined;
  }

  /** Programs of a machine that have the file open get EIO. */
  lost(machine: number, ino?: Ino): void {
    for (const holding of this.#held.values()) {
      if (holding.machine !== machine || (ino !== undefined && holding.ino !== ino)) continue;
      holding.cells.fill(undefined);
    }
  }

  evicting(sid: SessionId): void {
    this.#evicting.add(sid);
    const has = [...this.#held.values()].some((held) => held.sid === sid && isHeld(held.cells));
    if (has) this.#tally.count('evicted with locks');
  }

  /** @param isFenced nobody takes what is still written under the session */
  fell(sid: SessionId, isFenced: boolean): void {
    if (!isFenced) throw new Violation(`T2: locks of s${sid} fall before the fence`);
    for (const holding of this.#held.values()) {
      if (holding.sid === sid) holding.cells.fill(undefined);
    }
  }

  cells(pid: number, ino: Ino, kind: LockKind): Cells {
    return this.#held.get(`${pid} ${ino} ${kind}`)?.cells ?? nothing();
  }

  /** It has or had a lock of this kind: its mount may not have said that it is gone (L6). */
  hasHad(pid: number, kind: LockKind): boolean {
    const all = [...this.#held.values()];
    return all.some((held) => held.pid === pid && held.kind === kind && held.sid !== 0);
  }

  forget(pid: number): void {
    for (const [key, held] of this.#held) if (held.pid === pid) this.#held.delete(key);
  }

  #of(machine: number, { ino, kind, pid }: LockPlace & { readonly pid: number }): Holding {
    const key = `${pid} ${ino} ${kind}`;
    const known = this.#held.get(key);
    if (known !== undefined) return known;
    const made = { machine, pid, ino, kind, cells: nothing(), sid: 0 as SessionId };
    this.#held.set(key, made);
    return made;
  }
}

export function nothing(): Cells {
  return Array.from({ length: BYTES }, () => undefined);
}

export function isHeld(cells: Cells): boolean {
  return cells.some((cell) => cell !== undefined);
}

export function shown(cells: Cells): string {
  return cells.map((cell) => cell?.[0] ?? '-').join('');
}
