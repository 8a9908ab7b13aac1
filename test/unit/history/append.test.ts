import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppendCall, checkAppends } from '../../history/core/append.ts';
import type { Fault } from '../../history/core/history.ts';
import { append, open, outcome, records, size } from './calls.ts';

function judged(
  calls: readonly AppendCall[],
  final: readonly (number | undefined)[],
  faults: readonly Fault[] = [],
): string {
  return outcome(checkAppends('file', calls, final, faults));
}

const TWO = [append(0, [1, 2], 11), append(1, [3, 4], 12)];

test('a file that behaves is accepted', () => {
  assert.equal(judged([], []), 'right');
  const looks = [records(2, [1, 3], 11), size(2, [5, 6], 2), records(0, [5, 6], 11, 12)];
  assert.equal(judged([...TWO, ...looks], [11, 12]), 'right');
});

test('a record that is torn, doubled, lost, or nobody knows', () => {
  assert.equal(judged(TWO, [11, undefined]), 'record number 1 is damaged in the end: 11,damaged');
  assert.equal(judged(TWO, [11, 12, 11]), 'record 11 is in the file twice');
  assert.equal(judged(TWO, [11]), 'record 12 was acknowledged and is lost');
  assert.equal(judged(TWO, [11, 12, 13]), 'nobody appended record 13');
  const torn = [...TWO, records(2, [1, 5], 11, undefined)];
  assert.equal(judged(torn, [11, 12]), 'record number 1 was read damaged');
});

test('records stand in the order of real time', () => {
  assert.equal(judged(TWO, [12, 11]), 'record 11 had been appended before 12 and stands behind it');
  const atOnce = [append(0, [1, 5], 11), append(1, [3, 4], 12)];
  assert.equal(judged(atOnce, [12, 11]), 'right');
});

test('a look that missed a record, or saw one too early', () => {
  const missed = 'stale: record 12 was not seen';
  assert.equal(judged([...TWO, records(2, [5, 6], 11)], [11, 12]), missed);
  assert.equal(judged([...TWO, size(2, [5, 6], 1)], [11, 12]), missed);
  const early = [...TWO, records(2, [0, 0.5], 11)];
  assert.equal(judged(early, [11, 12]), 'record 11 was seen before it was appended');
});

test('new, then old', () => {
  const slow = [append(0, [1, 2], 11), append(1, [3, 20], 12)];
  const calls = [...slow, records(2, [5, 6], 11, 12), records(3, [7, 8], 11)];
  assert.equal(judged(calls, [11, 12]), 'new, then old: 2 records were seen, and later 1');
});

test('what is read is a beginning of the file, and a size a number of records', () => {
  const atOnce = [append(0, [1, 9], 11), append(1, [1, 9], 12), records(2, [1, 9], 12, 11)];
  assert.equal(judged(atOnce, [11, 12]), 'what was read is no beginning of the file');
  assert.equal(judged([...TWO, size(2, [5, 6], 1.5)], [11, 12]), 'a size within a record was seen');
  const beyond = [...TWO, size(2, [5, 6], 3)];
  assert.equal(judged(beyond, [11, 12]), 'a size beyond the 2 records was seen');
});

test('an append of unknown outcome is there once or not at all', () => {
  const doubtful: AppendCall = { ...open(2, 5), kind: 'append', record: 13, synced: false };
  assert.equal(judged([...TWO, doubtful], [11, 12]), 'right');
  assert.equal(judged([...TWO, doubtful], [11, 12, 13]), 'right');
  assert.equal(judged([...TWO, doubtful], [11, 13, 12, 13]), 'record 13 is in the file twice');
  const before = judged([...TWO, doubtful], [13, 11, 12]);
  assert.equal(before, 'record 11 had been appended before 13 and stands behind it');
});

test('what was not synced may be lost with its machine, and was seen only there', () => {
  const fault = { mount: 1, beginNs: 10, endNs: 20 };
  const calls = [append(0, [1, 2], 11), append(1, [3, 4], 12, false)];
  assert.equal(judged(calls, [11]), 'record 12 was acknowledged and is lost');
  assert.equal(judged(calls, [11], [fault]), 'right');
  assert.equal(judged([...calls, records(1, [5, 6], 11, 12)], [11], [fault]), 'right');
  const elsewhere = judged([...calls, records(2, [5, 6], 11, 12)], [11], [fault]);
  assert.equal(elsewhere, 'what was read is no beginning of the file');
  const longer = judged([...calls, size(2, [5, 6], 2)], [11], [fault]);
  assert.equal(longer, 'right', 'how long it was may have been seen elsewhere');
  const tooLong = judged([...calls, size(2, [5, 6], 3)], [11], [fault]);
  assert.equal(tooLong, 'a size beyond the 1 records was seen');
  const synced = judged(TWO, [11], [fault]);
  assert.equal(synced, 'record 12 was acknowledged and is lost');
});
