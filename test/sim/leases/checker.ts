/**
 * What applications may see. Each page, name and attribute is a register whose values are versions
 * that only grow; a read must not return less than what was complete before it began, and nobody
 * may see more first and less later.
 */
import type { Ino } from '../../../src/common/ids.ts';
import type { Tally } from '../tally.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

interface Register {
  floor: number;
  /** Rises when something was lost with a word. */
  losses: number;
  /** The lowest floor a loss has left. */
  lowest: number;
  /** Versions whose operation has not returned. */
  open: number[];
}

/** A read that has begun. */
export interface Look {
  readonly key: number;
  readonly floor: number;
  readonly losses: number;
}

const KINDS = ['page', 'size', 'mode', 'name'] as const;
export const pageKey = (ino: Ino, page: number): number => (ino * 8 + page) * 4;
export const sizeKey = (ino: Ino): number => ino * 32 + 1;
export const modeKey = (ino: Ino): number => ino * 32 + 2;
export const nameKey = (dir: Ino, name: number): number => (dir * 8 + name) * 4 + 3;

function shown(key: number): string {
  return `${KINDS[key % 4]} ${Math.floor(key / 32)}.${Math.floor(key / 4) % 8}`;
}

export class Checker {
  readonly #registers = new Map<number, Register>();
  readonly #tally: Tally;
  #version = 0;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  nextVersion(): number {
    this.#version += 1;
    return this.#version;
  }

  begin(key: number): Look {
    const { floor, losses } = this.#of(key);
    return { key, floor, losses };
  }

  /** A read returns this. */
  end({ key, floor, losses }: Look, version: number, who: string): void {
    const register = this.#of(key);
    const least = register.losses === losses ? floor : Math.min(floor, register.lowest);
    if (version < least) {
      throw new Violation(`S1: ${who} reads ${shown(key)} v${version} after v${least}`);
    }
    if (version <= register.floor) return;
    // Its own operation has not returned: the mount that did it may still show what was before.
    if (register.open.some((open) => open <= version)) this.#tally.count('seen before it returned');
    else register.floor = version;
  }

  /** An operation of a mount has changed it at the metaserver. */
  changed(key: number, version: number): void {
    this.#of(key).open.push(version);
  }

  /** An operation that changed it has returned, or its caller is no more. */
  returned(key: number, version: number): void {
    const register = this.#of(key);
    register.open = register.open.filter((open) => open > version);
    register.floor = Math.max(register.floor, version);
  }

  /** Newer values than this are lost with a word. */
  lost(key: number, left: number): void {
    const register = this.#registers.get(key);
    if (register === undefined || register.floor <= left) return;
    this.#tally.count('lost with a word');
    register.lowest = register.losses === 0 ? left : Math.min(left, register.lowest);
    register.losses += 1;
    register.floor = left;
  }

  floorOf(key: number): number {
    return this.#registers.get(key)?.floor ?? 0;
  }

  #of(key: number): Register {
    const known = this.#registers.get(key);
    if (known !== undefined) return known;
    const register: Register = { floor: 0, losses: 0, lowest: 0, open: [] };
    this.#registers.set(key, register);
    return register;
  }
}
