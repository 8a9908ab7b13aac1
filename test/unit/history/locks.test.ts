import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLocks, type LockCall, type Trouble } from '../../history/core/locks.ts';
import { close, lock, open, outcome, refused, unlock } from './calls.ts';

const S = 1e9;
const TWO_HOLDERS = 'two have a lock at the same time';
const REFUSED = 'a lock was refused that nobody had';
const WAITED = 'a lock was waited for that nobody had';

function judged(calls: readonly LockCall[], troubles: readonly Trouble[] = []): string {
  return outcome(checkLocks('file', calls, troubles).verdict);
}

const SHARED = { exclusive: false } as const;
const HELD = lock(0, [1, 2]);

test('locks that exclude each other are accepted', () => {
  assert.equal(judged([]), 'right');
  assert.equal(judged([HELD, unlock(0, [3, 4]), lock(1, [5, 6])]), 'right');
  assert.equal(judged([HELD, refused(1, [3, 4]), unlock(0, [5, 6])]), 'right');
  assert.equal(judged([lock(0, [1, 2], SHARED), lock(1, [3, 4], SHARED)]), 'right');
});

test('two holders at once', () => {
  assert.equal(judged([HELD, lock(1, [3, 4]), unlock(0, [5, 6])]), TWO_HOLDERS);
  assert.equal(judged([HELD, lock(1, [3, 4], SHARED), unlock(0, [5, 6])]), TWO_HOLDERS);
  assert.equal(judged([lock(0, [1, 2], SHARED), lock(1, [3, 4])]), TWO_HOLDERS);
  const report = checkLocks('file', [HELD, lock(1, [3, 4])]);
  assert(report.verdict.kind === 'wrong');
  assert.match(report.verdict.violation.calls.join('\n'), /p0 got an exclusive[\s\S]*p1 got an/);
});

test('a lock is held surely from the end of its call to the beginning of the next one', () => {
  // It may have been given up, or not been there yet, as soon as somebody asked for that.
  assert.equal(judged([HELD, unlock(0, [3, 9]), lock(1, [4, 5])]), 'right');
  assert.equal(judged([lock(0, [1, 9]), lock(1, [2, 3]), unlock(1, [4, 5])]), 'right');
  assert.equal(judged([HELD, close(0, [3, 9]), lock(1, [4, 5])]), 'right');
  const doubtful: LockCall = { ...unlock(0, [3, 4]), optional: true };
  assert.equal(judged([HELD, doubtful, lock(1, [5, 6])]), 'right');
  const unknown = lock(0, [3, 4], { outcome: 'unknown' });
  assert.equal(judged([unknown, lock(1, [5, 6])]), 'right', 'it may not have been granted');
});

test('ranges that do not meet are no conflict, what is left of one is', () => {
  const first = lock(0, [1, 2], { start: 0, end: 10 });
  assert.equal(judged([first, lock(1, [3, 4], { start: 10, end: 20 })]), 'right');
  assert.equal(judged([first, lock(1, [3, 4], { start: 9, end: 20 })]), TWO_HOLDERS);
  const part = [first, unlock(0, [3, 4], { start: 4, end: 6 })];
  assert.equal(judged([...part, lock(1, [5, 6], { start: 4, end: 6 })]), 'right');
  assert.equal(judged([...part, lock(1, [5, 6], { start: 3, end: 6 })]), TWO_HOLDERS);
  assert.equal(judged([...part, lock(1, [5, 6], { start: 5, end: 7 })]), TWO_HOLDERS);
  assert.equal(judged([...part, refused(1, [5, 6], { start: 4, end: 6 })]), REFUSED);
});

test('who makes an exclusive lock a shared one lets others in', () => {
  const made = [HELD, lock(0, [3, 4], SHARED)];
  assert.equal(judged([...made, lock(1, [5, 6], SHARED)]), 'right');
  assert.equal(judged([...made, refused(1, [5, 6])]), 'right');
  assert.equal(judged([...made, refused(1, [5, 6], SHARED)]), REFUSED);
  assert.equal(judged([...made, lock(1, [5, 6])]), TWO_HOLDERS);
});

test('one owner is in nobody’s way but that of others', () => {
  assert.equal(judged([HELD, refused(0, [3, 4])]), REFUSED);
  const other = { owner: 'p0 another descriptor' };
  assert.equal(judged([HELD, refused(0, [3, 4], other)]), 'right');
  assert.equal(judged([HELD, lock(0, [3, 4], other)]), TWO_HOLDERS);
});

test('a refusal by nobody', () => {
  assert.equal(judged([refused(1, [3, 4])]), REFUSED);
  assert.equal(judged([HELD, unlock(0, [3, 4]), refused(1, [5, 6])]), REFUSED);
  assert.equal(judged([refused(1, [1, 2]), lock(0, [3, 4])]), REFUSED);
  assert.equal(judged([lock(0, [1, 2], SHARED), refused(1, [3, 4], SHARED)]), REFUSED);
  assert.equal(judged([HELD, refused(1, [3, 4]), lock(1, [5, 6])]), TWO_HOLDERS);
});

test('a refusal by somebody who may have had it at some moment of the call', () => {
  assert.equal(judged([HELD, unlock(0, [3, 6]), refused(1, [5, 7])]), 'right');
  assert.equal(judged([refused(1, [1, 5]), lock(0, [4, 8])]), 'right');
  const unknown = lock(0, [1, 2], { outcome: 'unknown' });
  assert.equal(judged([unknown, refused(1, [8 * S, 9 * S])]), 'right');
  const doubtful: LockCall = { ...unlock(0, [3, 4]), optional: true };
  assert.equal(judged([HELD, doubtful, refused(1, [8 * S, 9 * S])]), 'right');
  const dead: LockCall = { ...open(0, 5), kind: 'death', owner: 'p0' };
  assert.equal(judged([HELD, dead, refused(1, [8, 9])]), 'right');
  assert.equal(judged([HELD, dead, lock(1, [8, 9])]), 'right');
  assert.equal(judged([HELD, dead, lock(1, [3, 4])]), TWO_HOLDERS);
});

test('a close may be heard of a moment after it returned', () => {
  assert.equal(judged([HELD, close(0, [3, 4]), refused(1, [5, 6])]), 'right');
  assert.equal(judged([HELD, close(0, [3, 4], true), refused(1, [5, 6])]), REFUSED);
  assert.equal(judged([HELD, close(0, [3, 4]), refused(1, [2 * S, 3 * S])]), REFUSED);
});

test('a machine may lose its locks where it may be evicted, or its node is killed', () => {
  const killed = { beginNs: 10, endNs: 20, forgetters: [0] };
  assert.equal(judged([HELD, lock(1, [12, 13])], [killed]), 'right');
  assert.equal(judged([HELD, lock(1, [8, 9])], [killed]), TWO_HOLDERS);
  assert.equal(judged([HELD, lock(1, [22, 23])], [{ ...killed, forgetters: [1] }]), TWO_HOLDERS);
  assert.equal(judged([HELD, lock(1, [12, 13])], [{ ...killed, forgetters: [] }]), TWO_HOLDERS);
  const after = [lock(0, [22, 23]), lock(1, [24, 25])];
  assert.equal(judged(after, [killed]), TWO_HOLDERS, 'what was locked later is not lost');
  const during = [lock(0, [12, 13]), lock(1, [15, 16])];
  assert.equal(judged(during, [killed]), 'right', 'which process of the node it was is not known');
});

test('what is given up while something is broken may be heard when that is over', () => {
  const cut = { beginNs: 3, endNs: 2 * S, forgetters: [] };
  const given = [HELD, unlock(0, [4, 5])];
  assert.equal(judged([...given, refused(1, [1 * S, 1 * S + 1])], [cut]), 'right');
  assert.equal(judged([...given, refused(1, [2 * S, 2 * S + 1])], [cut]), 'right');
  assert.equal(judged([...given, refused(1, [4 * S, 4 * S + 1])], [cut]), REFUSED);
  const closed = [lock(0, [0, 1]), close(0, [1, 2]), refused(1, [1 * S, 1 * S + 1])];
  assert.equal(judged(closed, [cut]), 'right', 'a close is told later');
});

test('who waits gets what is free', () => {
  const late = (mount: number, from: number, to: number): LockCall =>
    lock(mount, [from * S, to * S], { waits: true, outcome: 'late' });
  assert.equal(judged([late(1, 1, 1.5)]), 'right', 'it was not long');
  assert.equal(judged([late(1, 1, 3)]), WAITED);
  assert.equal(judged([HELD, late(1, 1, 3)]), 'right');
  assert.equal(judged([HELD, unlock(0, [3, 4]), late(1, 1, 3)]), WAITED, 'nobody told it');
  assert.equal(judged([HELD, unlock(0, [2.5 * S, 2.6 * S]), late(1, 1, 3)]), 'right');
  const slow = lock(2, [2 * S, 3 * S], { waits: true });
  assert.equal(judged([late(1, 1, 2.9), slow]), WAITED, 'who came later did not have it');
  const broken = { beginNs: 2 * S, endNs: 3 * S, forgetters: [] };
  assert.equal(judged([late(1, 1, 3)], [broken]), 'right');
  // Who came before is in the way, but somebody is the first of all who wait.
  assert.equal(judged([late(1, 1, 3), unlock(1, [3 * S, 3.1 * S]), late(2, 1.5, 3)]), WAITED);
});

test('what is judged is counted', () => {
  const late = lock(2, [1 * S, 3 * S], { waits: true, outcome: 'late' });
  const report = checkLocks('file', [HELD, refused(1, [3, 4]), late]);
  const { verdict, holds, refusals, waits } = report;
  assert.deepEqual([verdict.kind, holds, refusals, waits], ['right', 1, 1, 1]);
});
