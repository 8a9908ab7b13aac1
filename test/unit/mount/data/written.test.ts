import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asEpoch, asGroupId } from '../../../../src/common/ids.ts';
import { Written } from '../../../../src/mount/data/written.ts';

const GROUP = asGroupId(1);
const FIRST = { cuts: 0, rgEpoch: asEpoch(1) };
const RESTARTED = { cuts: 0, rgEpoch: asEpoch(2) };
const CUT = { cuts: 1, rgEpoch: asEpoch(1) };

test('what was sent is not sent again in the same state', () => {
  const written = new Written(GROUP);
  written.add(10, 20, 0);
  assert.deepEqual(written.take(FIRST, 0).ranges(), [{ start: 10, end: 20 }]);
  written.add(15, 30, 0);
  assert.deepEqual(written.take(FIRST, 0).ranges(), [{ start: 15, end: 30 }]);
  assert.deepEqual(written.take(FIRST, 0).ranges(), []);
});

for (const [what, state] of [
  ['the home restarted', RESTARTED],
  ['the file was cut', CUT],
] as const) {
  test(`everything unpublished is sent again when ${what}`, () => {
    const written = new Written(GROUP);
    written.add(10, 20, 0);
    written.take(FIRST, 0);
    written.add(50, 60, 0);
    const all = [
      { start: 10, end: 20 },
      { start: 50, end: 60 },
    ];
    assert.deepEqual(written.take(state, 0).ranges(), all);
  });

  test(`what was published is not sent again when ${what}`, () => {
    const written = new Written(GROUP);
    written.add(10, 20, 0);
    written.take(FIRST, 0);
    assert.deepEqual(written.startPublication(), [{ start: 10, end: 20 }]);
    written.published();
    assert.ok(written.isEmpty);
    assert.deepEqual(written.take(state, 0).ranges(), []);
  });

  test(`what failed to be published is sent again when ${what}`, () => {
    const written = new Written(GROUP);
    written.add(10, 20, 0);
    written.take(FIRST, 0);
    written.startPublication();
    written.failed();
    assert.deepEqual(written.take(state, 0).ranges(), [{ start: 10, end: 20 }]);
  });
}

test('what did not arrive is taken again', () => {
  const written = new Written(GROUP);
  written.add(0, 5, 0);
  written.giveBack(written.take(FIRST, 0));
  assert.equal(written.unsentBytes, 5);
  assert.deepEqual(written.take(FIRST, 0).ranges(), [{ start: 0, end: 5 }]);
});

test('bytes written while others are published stay', () => {
  const written = new Written(GROUP);
  written.add(0, 10, 0);
  written.take(FIRST, 0);
  written.startPublication();
  written.add(5, 15, 0);
  written.published();
  assert.deepEqual(written.within(0, 100), [{ start: 5, end: 15 }]);
  assert.deepEqual(written.take(FIRST, 0).ranges(), [{ start: 5, end: 15 }]);
});

test('bytes that wait, were sent, or are being published lie over what is read', () => {
  const written = new Written(GROUP);
  written.add(0, 10, 0);
  written.take(FIRST, 0);
  written.startPublication();
  written.add(10, 20, 0);
  written.take(FIRST, 0);
  written.add(20, 30, 0);
  assert.ok(written.covers(0, 30));
  assert.ok(written.covers(5, 25));
  assert.ok(!written.covers(0, 31));
  written.published();
  assert.ok(!written.covers(0, 30));
  assert.ok(written.covers(10, 30));
});

test('a cut by this mount takes what lies behind it, wherever it is', () => {
  const written = new Written(GROUP);
  written.add(0, 10, 0);
  written.take(FIRST, 0);
  written.startPublication();
  written.add(10, 20, 0);
  written.take(FIRST, 0);
  written.add(20, 30, 0);
  written.clip(15);
  assert.equal(written.unsentBytes, 0);
  assert.ok(written.covers(0, 15));
  assert.deepEqual(written.within(15, 30), []);
  written.clip(0);
  assert.ok(written.isEmpty);
});
