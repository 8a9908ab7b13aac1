import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../history/judge.ts';
import type { Entry } from '../../history/record.ts';

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
