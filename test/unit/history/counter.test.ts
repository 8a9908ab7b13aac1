import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Addition, checkCounter } from '../../history/core/counter.ts';
import { type Interval, open, outcome, timed } from './calls.ts';

const add = (mount: number, at: Interval, from: number, to: number): Addition => ({
  ...timed(mount, at),
  from,
  to,
});
const maybe = (mount: number, invokeNs: number, from: number, to: number): Addition => ({
  ...open(mount, invokeNs),
  from,
  to,
});

function judged(...additions: readonly Addition[]): string {
  return outcome(checkCounter('counter', additions));
}

test('additions that build on each other are accepted', () => {
  assert.equal(judged(), 'right');
  assert.equal(
    judged(add(0, [1, 2], 0, 11), add(1, [3, 4], 11, 12), add(0, [5, 6], 12, 13)),
    'right',
  );
});

test('a lost addition', () => {
  const lost = 'an addition is lost: two counted from 11';
  const first = add(0, [1, 2], 0, 11);
  assert.equal(judged(first, add(1, [3, 4], 11, 12), add(2, [5, 6], 11, 13)), lost);
  assert.equal(judged(first, add(1, [3, 9], 11, 12), add(2, [4, 8], 11, 13)), lost, 'both at once');
  const none = 'an addition is lost: two counted from 0';
  assert.equal(judged(first, add(1, [3, 4], 0, 12)), none);
});

test('an addition that came back after others had built on it', () => {
  const calls = [add(0, [1, 2], 0, 11), add(1, [3, 4], 11, 12), add(2, [5, 6], 12, 13)];
  const again = add(0, [7, 8], 12, 14);
  assert.equal(judged(...calls, again), 'an addition is lost: two counted from 12');
});

test('an addition of unknown outcome may be lost, unless somebody builds on it', () => {
  const first = add(0, [1, 2], 0, 11);
  const doubtful = maybe(1, 3, 11, 12);
  assert.equal(judged(first, doubtful, add(2, [5, 6], 11, 13)), 'right');
  assert.equal(judged(first, doubtful, add(2, [5, 6], 12, 13)), 'right');
  const both = judged(first, doubtful, add(2, [5, 6], 12, 13), add(0, [7, 8], 11, 14));
  assert.equal(both, 'an addition is lost: two counted from 11');
  const chain = [first, doubtful, maybe(2, 5, 12, 13)];
  assert.equal(judged(...chain, add(0, [7, 8], 11, 14)), 'right', 'nothing of it is certain');
});

test('a number that nobody left', () => {
  assert.equal(judged(add(0, [1, 2], 99, 11)), '99 was counted from, and nobody left it');
});
