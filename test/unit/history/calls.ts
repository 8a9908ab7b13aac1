/** Short histories for tests: times are small numbers, clients are numbers, each on its own mount. */
import type { AppendCall } from '../../history/core/append.ts';
import type { Timed, Verdict } from '../../history/core/history.ts';
import type { LockCall, Range } from '../../history/core/locks.ts';
import type { NamesCall } from '../../history/core/names.ts';
import type { BlockCall } from '../../history/core/register.ts';

export type Interval = readonly [invoke: number, returned: number];

export function timed(mount: number, [invokeNs, returnNs]: Interval): Timed {
  return { client: `p${mount}`, mount, invokeNs, returnNs };
}

/** Nobody knows how it ended. */
export function open(mount: number, invokeNs: number): Timed {
  return { ...timed(mount, [invokeNs, Number.POSITIVE_INFINITY]), optional: true };
}

export const read = (mount: number, at: Interval, value: number): BlockCall => ({
  ...timed(mount, at),
  kind: 'read',
  value,
});
export const write = (mount: number, at: Interval, value: number): BlockCall => ({
  ...timed(mount, at),
  kind: 'write',
  value,
});

export const append = (mount: number, at: Interval, record: number, synced = true): AppendCall => ({
  ...timed(mount, at),
  kind: 'append',
  record,
  synced,
});
export const records = (
  mount: number,
  at: Interval,
  ...seen: (number | undefined)[]
): AppendCall => ({ ...timed(mount, at), kind: 'read', records: seen });
export const size = (mount: number, at: Interval, count: number): AppendCall => ({
  ...timed(mount, at),
  kind: 'size',
  records: count,
});

export const create = (mount: number, at: Interval, name: string, mark: number): NamesCall => ({
  ...timed(mount, at),
  kind: 'create',
  name,
  mark,
});
export const unlink = (mount: number, at: Interval, name: string): NamesCall => ({
  ...timed(mount, at),
  kind: 'unlink',
  name,
});
export const rename = (mount: number, at: Interval, name: string, to: string): NamesCall => ({
  ...timed(mount, at),
  kind: 'rename',
  name,
  to,
  replaces: true,
});
export const link = (mount: number, at: Interval, name: string, to: string): NamesCall => ({
  ...timed(mount, at),
  kind: 'link',
  name,
  to,
});
export const present = (mount: number, at: Interval, name: string, mark: number): NamesCall => ({
  ...timed(mount, at),
  kind: 'present',
  name,
  mark,
});
export const absent = (mount: number, at: Interval, name: string): NamesCall => ({
  ...timed(mount, at),
  kind: 'absent',
  name,
});

/** `right`, `undecided`, or why not. */
export function outcome(verdict: Verdict): string {
  return verdict.kind === 'wrong' ? verdict.violation.reason : verdict.kind;
}

type Lock = LockCall & { readonly kind: 'lock' };

/** Each client is an owner of its own, and locks the whole file, exclusively and at once. */
export const lock = (mount: number, at: Interval, how: Partial<Lock> = {}): LockCall => ({
  ...timed(mount, at),
  kind: 'lock',
  owner: `p${mount}`,
  start: 0,
  end: Number.POSITIVE_INFINITY,
  exclusive: true,
  waits: false,
  outcome: 'granted',
  ...how,
});
export const refused = (mount: number, at: Interval, how: Partial<Lock> = {}): LockCall =>
  lock(mount, at, { ...how, outcome: 'refused' });
export const unlock = (mount: number, at: Interval, range: Partial<Range> = {}): LockCall => ({
  ...timed(mount, at),
  kind: 'unlock',
  owner: `p${mount}`,
  start: 0,
  end: Number.POSITIVE_INFINITY,
  ...range,
});
export const close = (mount: number, at: Interval, isTold = false): LockCall => ({
  ...timed(mount, at),
  kind: 'close',
  owner: `p${mount}`,
  isTold,
});
