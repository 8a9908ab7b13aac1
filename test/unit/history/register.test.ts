import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault } from '../../history/core/history.ts';
import { type BlockCall, checkBlock } from '../../history/core/register.ts';
import { open, outcome, read, timed, write } from './calls.ts';

function judged(calls: readonly BlockCall[], faults: readonly Fault[] = []): string {
  return outcome(checkBlock('block', calls, faults));
}

const zero = (mount: number, at: readonly [number, number]): BlockCall => ({
  ...timed(mount, at),
  kind: 'zero',
});
const sync = (mount: number, at: readonly [number, number]): BlockCall => ({
  ...timed(mount, at),
  kind: 'sync',
});

test('a block that behaves is accepted', () => {
  assert.equal(judged([]), 'right');
  assert.equal(judged([read(1, [1, 2], 0), write(0, [3, 4], 7), read(1, [5, 6], 7)]), 'right');
  assert.equal(judged([write(0, [1, 9], 7), read(1, [2, 3], 0), read(2, [4, 5], 7)]), 'right');
  assert.equal(judged([write(0, [1, 2], 7), zero(1, [3, 4]), read(2, [5, 6], 0)]), 'right');
});

test('writes at once may have any order, but one order for all', () => {
  const writes = [write(0, [1, 5], 7), write(1, [2, 6], 8)];
  assert.equal(judged([...writes, read(2, [7, 8], 7)]), 'right');
  assert.equal(judged([...writes, read(2, [7, 8], 8)]), 'right');
  const both = [...writes, read(2, [7, 8], 7), read(3, [9, 10], 8)];
  assert.equal(judged(both), 'new, then old: 7 was read, and later 8');
});

test('a stale read', () => {
  const calls = [write(0, [1, 2], 7), write(0, [3, 4], 8), read(1, [5, 6], 7), read(2, [5, 6], 8)];
  assert.equal(judged(calls), 'stale read of 7: 8 had been written');
});

test('a lost write', () => {
  const calls = [write(0, [1, 2], 7), write(0, [3, 4], 8), read(1, [5, 6], 7)];
  assert.equal(judged(calls), 'lost write: nobody ever saw 8, 7 was read after it');
});

test('new, then old, seen by two clients while the write goes on', () => {
  const calls = [write(0, [1, 9], 7), read(1, [2, 3], 7), read(2, [4, 5], 0)];
  assert.equal(judged(calls), 'new, then old: 7 was read, and later 0');
});

test('a value out of nowhere, and one before its time', () => {
  assert.equal(judged([read(1, [1, 2], 9)]), '9 was read and never written');
  const early = [read(1, [1, 2], 9), write(0, [3, 4], 9)];
  assert.equal(judged(early), '9 was read before it was written');
});

test('bytes that a truncation cut off do not come back', () => {
  const calls = [write(0, [1, 2], 7), zero(1, [3, 4]), read(2, [5, 6], 7)];
  assert.equal(judged(calls), 'stale read of 7');
});

test('a write of unknown outcome may have happened at any time, once, or never', () => {
  const doubtful: BlockCall = { ...open(0, 1), kind: 'write', value: 7 };
  assert.equal(judged([doubtful, read(1, [50, 51], 0)]), 'right');
  assert.equal(judged([doubtful, read(1, [50, 51], 0), read(1, [52, 53], 7)]), 'right');
  const twice = [doubtful, read(1, [2, 3], 7), write(1, [4, 5], 8), read(1, [6, 7], 7)];
  assert.notEqual(judged(twice), 'right');
});

test('what was not synced may be lost with its machine, and nothing else', () => {
  const fault = { mount: 0, beginNs: 10, endNs: 20 };
  const lost = [write(1, [1, 2], 6), write(0, [3, 4], 7), read(2, [15, 16], 6)];
  assert.notEqual(judged(lost), 'right');
  assert.equal(judged(lost, [fault]), 'right');
  assert.notEqual(judged(lost, [{ ...fault, mount: 1 }]), 'right', 'another machine failed');
  assert.notEqual(judged([...lost, sync(0, [5, 6])], [fault]), 'right', 'it was synced');
  assert.notEqual(judged([...lost, read(2, [5, 6], 7)], [fault]), 'right', 'others have seen it');
  assert.equal(judged([...lost, read(0, [5, 6], 7)], [fault]), 'right', 'only its own have');
  const after = [...lost, read(2, [17, 18], 7)];
  assert.notEqual(judged(after, [fault]), 'right', 'what is lost does not come back');
});

test('what is shown is the least that shows it', () => {
  const noise = Array.from({ length: 40 }, (_, index) => [
    write(3, [index * 10 + 100, index * 10 + 101], index + 100),
    read(4, [index * 10 + 102, index * 10 + 103], index + 100),
  ]).flat();
  const verdict = checkBlock('block', [...noise, read(1, [600, 601], 120)]);
  assert(verdict.kind === 'wrong');
  const { calls } = verdict.violation;
  assert.equal(calls.length, 3, calls.join('\n'));
  assert.match(calls.join('\n'), /wrote 120[\s\S]*wrote[\s\S]*read 120/);
});

test('a search that takes too long is undecided', () => {
  const writes = Array.from({ length: 12 }, (_, index) => write(index, [1, 100], index + 1));
  const reads = Array.from({ length: 12 }, (_, index) => read(20 + index, [1, 100], index + 1));
  assert.equal(outcome(checkBlock('block', [...writes, ...reads], [], 50)), 'undecided');
});
