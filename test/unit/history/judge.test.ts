import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../history/judge.ts';
import type { Entry } from '../../history/record.ts';
import { entry } from './entries.ts';

let calls = 0;

function call(
  mount: number,
  [op, value]: ['pwrite' | 'pread', number],
  times: [number, number],
): Entry {
  calls += 1;
  const [t, returnNs] = times;
  const about = { c: calls, i: 1, op, f: 'r1/w0', t, b: 0, ...(op === 'pwrite' && { w: value }) };
  return {
    client: String(calls),
    mount,
    op,
    file: about.f,
    handle: 1,
    invokeNs: t,
    returnNs,
    error: undefined,
    value: op === 'pread' ? value : undefined,
    heldSinceNs: t,
    about,
  };
}

/** One machine writes 1, another one 2, and 1 is what stays; somebody has read 1 before that. */
function met(reader: number): Entry[] {
  return [
    call(0, ['pwrite', 1], [10, 60]),
    call(reader, ['pread', 1], [15, 20]),
    call(1, ['pwrite', 2], [30, 40]),
    call(1, ['pread', 2], [42, 44]),
    call(1, ['pread', 1], [70, 80]),
  ];
}

test('a read of what its own machine is still writing is counted, not judged', () => {
  const { wrong, metHere } = judge(met(0), []);
  assert.deepEqual(wrong, []);
  assert.equal(metHere, 1);
});

test('no other machine may see a write before its place', () => {
  const { wrong, metHere } = judge(met(2), []);
  assert.equal(wrong.length, 1);
  assert.equal(metHere, 0);
});

const FAILED = [{ what: 'away', losers: [0], forgetters: [0], beginNs: 3, endNs: 8 }];

/** A record that is not there in the end, and what the descriptor said of it. */
function lost(...words: readonly Entry[]): string[] {
  const appended = entry([0, 'append', 'r1/a0'], [1, 2], { about: { w: 7 } });
  const final = entry([0, 'read', 'r1/a0'], [20, 21], { value: [], about: { last: true } });
  return judge([appended, ...words, final], FAILED).wrong.map((text) => text.split('\n')[0] ?? '');
}

test('a loss is told once, and what succeeds after that takes nothing back', () => {
  const fsync = (error?: string): Entry =>
    entry([0, 'fsync', 'r1/a0'], [9, 10], error === undefined ? {} : { error });
  const close = entry([0, 'close', 'r1/a0'], [11, 12]);
  assert.deepEqual(lost(fsync('EIO'), close), []);
  const silent = ['r1/a0: record 7 was acknowledged and is lost'];
  assert.deepEqual(lost(close), silent);
  assert.deepEqual(lost(fsync(), close), silent);
});
