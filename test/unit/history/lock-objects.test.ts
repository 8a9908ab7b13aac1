import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type Window } from '../../history/judge.ts';
import type { Entry } from '../../history/record.ts';
import type { Interval } from './calls.ts';
import { entry, type Told } from './entries.ts';

const FILE = 'r1/l1';
const S = 1e9;

type Kind = 'flock' | 'posix' | 'ofd';

/** Asked for at once; the whole file, exclusively. */
function lock(mount: number, kind: Kind, at: Interval, told: Told = {}): Entry {
  const about = { k: kind, x: true, at: 0, len: 0, nb: true, ...told.about };
  return entry([mount, `${kind} at once`, FILE], at, { ...told, about });
}

function unlock(mount: number, kind: Kind, at: Interval, told: Told = {}): Entry {
  return entry([mount, 'unlock', FILE], at, { ...told, about: { k: kind, at: 0, len: 0 } });
}

const close = (mount: number, at: Interval, told: Told = {}): Entry =>
  entry([mount, 'close', FILE], at, told);
const AGAIN: Told = { error: 'EAGAIN' };

/** The first line of all that is wrong. */
function wrong(entries: readonly Entry[], windows: readonly Window[] = []): string[] {
  return judge(entries, windows).wrong.map((text) => text.split('\n')[0] ?? '');
}

const TWO_HOLDERS = (space: string): string[] => [
  `${space} locks of ${FILE}: two have a lock at the same time`,
];
const REFUSED = (space: string): string[] => [
  `${space} locks of ${FILE}: a lock was refused that nobody had`,
];

test('locks of the two spaces do not see each other, those of fcntl(2) do', () => {
  assert.deepEqual(wrong([lock(0, 'flock', [1, 2]), lock(1, 'posix', [3, 4])]), []);
  assert.deepEqual(wrong([lock(0, 'posix', [1, 2]), lock(1, 'ofd', [3, 4])]), TWO_HOLDERS('fcntl'));
  assert.deepEqual(
    wrong([lock(0, 'flock', [1, 2]), lock(1, 'flock', [3, 4])]),
    TWO_HOLDERS('flock'),
  );
  const blind = [lock(0, 'flock', [1, 2]), lock(1, 'ofd', [3, 4], AGAIN)];
  assert.deepEqual(wrong(blind), REFUSED('fcntl'));
});

test('a process is one owner with all its descriptors, an open file description another', () => {
  const two = { handle: 2 };
  const posix = [lock(0, 'posix', [1, 2]), lock(0, 'posix', [3, 4], two)];
  assert.deepEqual(wrong(posix), []);
  assert.deepEqual(
    wrong([lock(0, 'ofd', [1, 2]), lock(0, 'ofd', [3, 4], two)]),
    TWO_HOLDERS('fcntl'),
  );
  assert.deepEqual(wrong([lock(0, 'posix', [1, 2]), lock(0, 'ofd', [3, 4])]), TWO_HOLDERS('fcntl'));
  assert.deepEqual(wrong([...posix, lock(1, 'ofd', [5, 6], AGAIN)]), []);
});

test('a process gives up what it has with any of its descriptors, others with their own', () => {
  const other = close(0, [3, 4], { handle: 2 });
  assert.deepEqual(wrong([lock(0, 'posix', [1, 2]), other, lock(1, 'posix', [5, 6])]), []);
  assert.deepEqual(
    wrong([lock(0, 'posix', [1, 2]), other, lock(1, 'posix', [5, 6], AGAIN)]),
    REFUSED('fcntl'),
  );
  assert.deepEqual(
    wrong([lock(0, 'ofd', [1, 2]), other, lock(1, 'posix', [5, 6])]),
    TWO_HOLDERS('fcntl'),
  );
  const own = [lock(0, 'ofd', [1, 2]), close(0, [3, 4])];
  assert.deepEqual(wrong([...own, lock(1, 'posix', [5, 6], AGAIN)]), [], 'it is heard of later');
  assert.deepEqual(wrong([...own, lock(1, 'posix', [2 * S, 3 * S], AGAIN)]), REFUSED('fcntl'));
});

test('a refusal is an answer, and no failure; neither is a wait that took too long', () => {
  const late = lock(1, 'flock', [3, 4], { error: 'EINTR', about: { nb: false } });
  const report = judge([lock(0, 'flock', [1, 2]), lock(1, 'flock', [3, 4], AGAIN), late], []);
  assert.deepEqual(report.wrong, []);
  assert.equal(report.successOutside, 1);
  assert.equal(report.locks.refusals, 1);
});

test('a node that is killed takes its locks along', () => {
  const calls = [lock(0, 'flock', [1, 2]), lock(1, 'flock', [15, 16])];
  const killed = { what: 'node 0 killed', losers: [], forgetters: [0], beginNs: 10, endNs: 20 };
  assert.deepEqual(wrong(calls, [killed]), []);
  assert.deepEqual(wrong(calls, [{ ...killed, forgetters: [2] }]), TWO_HOLDERS('flock'));
});

test('a process that died may have what it had', () => {
  const died = entry([0, 'pread', FILE], [5, Number.POSITIVE_INFINITY], { error: 'KILLED' });
  const calls = [lock(0, 'ofd', [1, 2]), died];
  assert.deepEqual(wrong([...calls, lock(1, 'ofd', [8, 9])]), []);
  assert.deepEqual(wrong([...calls, lock(1, 'ofd', [8 * S, 9 * S], AGAIN)]), []);
  assert.deepEqual(wrong([...calls, lock(1, 'ofd', [3, 4])]), TWO_HOLDERS('fcntl'));
});

/** Adds to the counter of the file, and syncs it. */
function add(mount: number, atNs: number, [after, w]: readonly [number, number]): Entry[] {
  return [
    lock(mount, 'ofd', [atNs, atNs + 1]),
    entry([mount, 'pread', FILE], [atNs + 2, atNs + 3], { value: after, about: { b: 0 } }),
    entry([mount, 'pwrite', FILE], [atNs + 4, atNs + 5], { about: { b: 0, w, after } }),
    entry([mount, 'fsync', FILE], [atNs + 6, atNs + 7]),
    unlock(mount, 'ofd', [atNs + 8, atNs + 9]),
  ];
}

test('a counter under a lock loses nothing', () => {
  const both = [...add(0, 10, [0, 11]), ...add(1, 20, [11, 12])];
  assert.deepEqual(wrong(both), []);
  assert.equal(judge(both, []).locks.additions, 2);
  const lost = wrong([...both, ...add(2, 30, [11, 13])]);
  assert.ok(
    lost.includes(`counter in ${FILE}: an addition is lost: two counted from 11`),
    `${lost}`,
  );
});

test('an addition that was not synced may be lost with its machine', () => {
  const first = [...add(0, 10, [0, 11]), ...add(1, 20, [11, 12])];
  const unsynced = first.filter(({ op, mount }) => op !== 'fsync' || mount !== 1);
  const evicted = { what: 'cut off', losers: [1], forgetters: [1], beginNs: 28, endNs: 29 };
  const calls = [...unsynced, ...add(2, 30, [11, 13])];
  assert.deepEqual(wrong(calls, [evicted]), []);
  assert.notDeepEqual(wrong(calls), []);
  assert.notDeepEqual(wrong([...first, ...add(2, 30, [11, 13])], [evicted]), []);
});
