/**
 * Histories that are right: a sequential object takes calls one after the other, each at a moment
 * of its own, and every client says that its call lasted from some time before that moment to some
 * time after it. Calls of one client follow each other.
 */
import type { AppendCall } from '../history/core/append.ts';
import type { Timed } from '../history/core/history.ts';
import type { LockCall } from '../history/core/locks.ts';
import type { NamesCall } from '../history/core/names.ts';
import type { BlockCall } from '../history/core/register.ts';
import type { Random } from './random.ts';

/** How long a call may take on either side of its moment, in moments of one nanosecond. */
const SPREAD = 4;

class Clients {
  readonly #random: Random;
  readonly #freeAtNs: number[];

  constructor(random: Random, count: number) {
    this.#random = random;
    this.#freeAtNs = Array.from({ length: count }, () => 0);
  }

  /** The interval of a call that takes effect at `momentNs`; undefined when all are busy. */
  at(momentNs: number): Timed | undefined {
    const free = this.#freeAtNs.flatMap((ns, index) => (ns < momentNs - 1 ? [index] : []));
    if (free.length === 0) return undefined;
    const index = this.#random.pick(free);
    const earliest = (this.#freeAtNs[index] ?? 0) + 1;
    const invokeNs = Math.max(earliest, momentNs - 1 - this.#random.below(SPREAD));
    const returnNs = momentNs + 1 + this.#random.below(SPREAD);
    this.#freeAtNs[index] = returnNs;
    return { client: `p${index}`, mount: index, invokeNs, returnNs };
  }
}

function generate<C>(random: Random, length: number, call: (when: Timed) => C): C[] {
  const clients = new Clients(random, 5);
  return Array.from({ length }, (_, index) => clients.at(index * 2 + 2))
    .filter((when) => when !== undefined)
    .map(call);
}

export function randomBlock(random: Random, length = 60): BlockCall[] {
  let value = 0;
  let next = 0;
  return generate(random, length, (when): BlockCall => {
    if (random.chance(0.55)) return { ...when, kind: 'read', value };
    if (random.chance(0.15)) {
      value = 0;
      return { ...when, kind: 'zero' };
    }
    next += 1;
    value = next;
    return { ...when, kind: 'write', value };
  });
}

export function randomAppends(
  random: Random,
  length = 60,
): { readonly calls: AppendCall[]; readonly final: readonly number[] } {
  const final: number[] = [];
  const calls = generate(random, length, (when): AppendCall => {
    if (random.chance(0.3)) return { ...when, kind: 'size', records: final.length };
    if (random.chance(0.4)) return { ...when, kind: 'read', records: [...final] };
    final.push(final.length + 100);
    return { ...when, kind: 'append', record: final.at(-1) ?? 0, synced: true };
  });
  return { calls, final };
}

const NAMES = ['a', 'b', 'c', 'd'] as const;

export function randomNames(random: Random, length = 60): NamesCall[] {
  const files = new Map<string, number>();
  let next = 0;
  return generate(random, length, (when): NamesCall => {
    const name = random.pick(NAMES);
    const mark = files.get(name);
    const to = random.pick(NAMES.filter((each) => each !== name));
    if (random.chance(0.5)) return lookAt(when, name, mark);
    if (mark === undefined) {
      next += 1;
      files.set(name, next);
      return { ...when, kind: 'create', name, mark: next };
    }
    if (random.chance(0.3) && !files.has(to)) {
      files.set(to, mark);
      return { ...when, kind: 'link', name, to };
    }
    if (random.chance(0.5) && files.get(to) !== mark) {
      files.delete(name);
      files.set(to, mark);
      return { ...when, kind: 'rename', name, to, replaces: true };
    }
    files.delete(name);
    return { ...when, kind: 'unlink', name };
  });
}

const ENDS = [0, 1, 2, 3] as const;

/** Each client is an owner; it is refused what is in conflict with what others have. */
export function randomLocks(random: Random, length = 60): LockCall[] {
  const held = new Map<string, { exclusive: boolean }>();
  return generate(random, length, (when): LockCall => {
    const owner = when.client;
    const from = random.pick(ENDS.slice(0, -1));
    const to = random.pick(ENDS.filter((end) => end > from));
    const bytes = ENDS.filter((byte) => byte >= from && byte < to);
    const range = { owner, start: from, end: to };
    if (random.chance(0.5)) {
      for (const byte of bytes) held.delete(`${owner} ${byte}`);
      return { ...when, kind: 'unlock', ...range };
    }
    const exclusive = random.chance(0.5);
    const isInTheWay = ([key, other]: readonly [string, { exclusive: boolean }]): boolean =>
      !key.startsWith(`${owner} `) &&
      bytes.some((byte) => key.endsWith(` ${byte}`)) &&
      (exclusive || other.exclusive);
    const outcome = [...held].some(isInTheWay) ? 'refused' : 'granted';
    if (outcome === 'granted')
      for (const byte of bytes) held.set(`${owner} ${byte}`, { exclusive });
    return { ...when, kind: 'lock', ...range, exclusive, waits: false, outcome };
  });
}

function lookAt(when: Timed, name: string, mark: number | undefined): NamesCall {
  return mark === undefined
    ? { ...when, kind: 'absent', name }
    : { ...when, kind: 'present', name, mark };
}
