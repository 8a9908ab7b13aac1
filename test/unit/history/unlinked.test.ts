import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type Window } from '../../history/judge.ts';
import type { Entry } from '../../history/record.ts';
import type { Interval } from './calls.ts';
import { entry, type Told } from './entries.ts';

const GROUP = 'r1/d2';
const BLOCKS = `${GROUP}/w0.5`;
const APPENDED = `${GROUP}/a0.7`;

const named = (mount: number, op: string, at: Interval, told: Told = {}): Entry =>
  entry([mount, op, GROUP], at, { ...told, about: { a: 'w0', ...told.about } });
const create = (mount: number, at: Interval): Entry =>
  named(mount, 'create', at, { about: { m: 5 } });
const write = (mount: number, at: Interval, w: number): Entry =>
  entry([mount, 'pwrite', BLOCKS], at, { about: { b: 0, w } });
const read = (mount: number, at: Interval, value: number): Entry =>
  entry([mount, 'pread', BLOCKS], at, { value, about: { b: 0 } });
const append = (mount: number, at: Interval, w: number): Entry =>
  entry([mount, 'append', APPENDED], at, { about: { w } });
const records = (mount: number, at: Interval, ...value: readonly number[]): Entry =>
  entry([mount, 'read', APPENDED], at, { value });

function wrong(entries: readonly Entry[], windows: readonly Window[] = []): string[] {
  return judge(entries, windows).wrong.map((text) => text.split('\n')[0] ?? '');
}

/** Made on mount 0, opened on mount 1, removed on mount 2. */
const GONE = [
  create(0, [1, 2]),
  write(0, [3, 4], 11),
  named(1, 'hold', [5, 6], { value: 5 }),
  named(2, 'unlink', [7, 8]),
];

test('a file without a name goes on for those who have it open', () => {
  const calls = [...GONE, read(1, [9, 10], 11), write(1, [11, 12], 12), read(0, [13, 14], 12)];
  assert.deepEqual(wrong(calls), []);
  assert.equal(judge(calls, []).withoutName, 3);
  assert.deepEqual(wrong([...GONE, read(1, [9, 10], 0)]), [
    `${BLOCKS} block 0: lost write: nobody ever saw 11, 0 was read after it`,
  ]);
  const stale = [...GONE, write(0, [9, 10], 12), read(0, [11, 12], 12), read(1, [11, 12], 11)];
  assert.deepEqual(wrong(stale), [`${BLOCKS} block 0: stale read of 11: 12 had been written`]);
});

test('its name is gone', () => {
  const missed = named(1, 'hold', [9, 10], { error: 'ENOENT' });
  assert.deepEqual(wrong([...GONE, missed]), []);
  const again = named(1, 'hold', [9, 10], { value: 5 });
  assert.deepEqual(wrong([...GONE, again]), [
    `names in ${GROUP}: w0 was seen again after it had been removed`,
  ]);
  const listed = entry([1, 'list', GROUP], [9, 10], { value: ['w0'], about: { a: 'd2' } });
  assert.equal(wrong([...GONE, listed]).length, 1);
});

test('its number of names is told through a descriptor', () => {
  const links = (count: number): Entry =>
    entry([1, 'fstat', GROUP], [9, 10], { value: [5, count] });
  assert.deepEqual(wrong([...GONE, links(0)]), []);
  assert.deepEqual(wrong([...GONE, links(1)]), [
    `names in ${GROUP}: file 5 had another number of names`,
  ]);
});

test('an open file does not go while its machine has the descriptor', () => {
  const lost = (error: string): Entry =>
    entry([1, 'pread', BLOCKS], [29, 30], { error, heldSinceNs: 5, about: { b: 0 } });
  const evicted = { what: 'cut off', losers: [1], forgetters: [1], beginNs: 15, endNs: 20 };
  for (const error of ['ENOENT', 'ESTALE']) {
    assert.deepEqual(wrong([...GONE, lost(error)]), [`${BLOCKS}: not found`]);
    assert.deepEqual(wrong([...GONE, lost(error)], [evicted]), []);
    const elsewhere = { ...evicted, losers: [2], forgetters: [2] };
    assert.deepEqual(wrong([...GONE, lost(error)], [elsewhere]), [`${BLOCKS}: not found`]);
  }
});

test('what is appended to a file without a name is there for its readers', () => {
  const two = [append(0, [1, 2], 21), append(1, [3, 4], 22)];
  assert.deepEqual(wrong([...two, records(0, [5, 6], 21, 22)]), []);
  assert.deepEqual(wrong([...two, records(0, [5, 6], 21)]), [
    `${APPENDED}: record 22 was acknowledged and is lost`,
  ]);
  assert.deepEqual(wrong([...two, records(0, [5, 6], 21), records(1, [7, 8], 21, 22)]), [
    `${APPENDED}: stale: record 22 was not seen`,
  ]);
  assert.deepEqual(wrong([...two, records(0, [5, 6], 22, 21)]), [
    `${APPENDED}: record 21 had been appended before 22 and stands behind it`,
  ]);
});

test('of what was appended after the last look at it nobody knows', () => {
  const calls = [append(0, [1, 2], 21), records(0, [5, 6], 21), append(1, [5, 8], 22)];
  assert.deepEqual(wrong([...calls, append(1, [9, 10], 23)]), []);
  assert.deepEqual(wrong([append(0, [1, 2], 21)]), [], 'nobody looked');
  const seen = [...calls, records(1, [11, 12], 21, 22), records(1, [13, 14], 21, 23)];
  assert.notDeepEqual(wrong([...seen, append(1, [9, 10], 23)]), [], 'two looks that disagree');
});
