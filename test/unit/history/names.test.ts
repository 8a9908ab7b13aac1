import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNames, type NamesCall } from '../../history/core/names.ts';
import { absent, create, link, open, outcome, present, rename, timed, unlink } from './calls.ts';

function judged(...calls: readonly NamesCall[]): string {
  return outcome(checkNames('names', calls));
}

const MADE = create(0, [1, 2], 'a', 5);

test('names that behave are accepted', () => {
  assert.equal(judged(), 'right');
  assert.equal(judged(MADE, present(1, [3, 4], 'a', 5), absent(1, [3, 4], 'b')), 'right');
  assert.equal(judged(MADE, unlink(1, [3, 8], 'a'), present(2, [4, 5], 'a', 5)), 'right');
  assert.equal(judged(MADE, rename(1, [3, 4], 'a', 'b'), present(2, [5, 6], 'b', 5)), 'right');
  assert.equal(judged(MADE, link(1, [3, 4], 'a', 'b'), unlink(0, [5, 6], 'a')), 'right');
});

test('two exclusive creations', () => {
  const twice = judged(MADE, create(1, [1, 3], 'a', 6));
  assert.equal(twice, 'two exclusive creations of a succeeded');
  assert.equal(judged(MADE, unlink(1, [1, 9], 'a'), create(1, [1, 9], 'a', 6)), 'right');
});

test('a removed name is not seen again, and a made one is not missed', () => {
  const again = judged(MADE, unlink(1, [3, 4], 'a'), present(2, [5, 6], 'a', 5));
  assert.equal(again, 'a was seen again after it had been removed');
  assert.equal(judged(MADE, absent(2, [5, 6], 'a')), 'a was not seen though it had been made');
});

test('a rename that is seen by half', () => {
  const half = 'a rename was seen by half';
  const moved = rename(1, [3, 9], 'a', 'b');
  // Both names, then neither, to one client whose looks follow each other.
  assert.equal(judged(MADE, moved, present(2, [4, 5], 'b', 5), present(2, [6, 7], 'a', 5)), half);
  assert.equal(judged(MADE, moved, absent(2, [4, 5], 'a'), absent(2, [6, 7], 'b')), half);
  assert.equal(
    judged(MADE, moved, present(2, [4, 5], 'a', 5), present(2, [6, 7], 'b', 5)),
    'right',
  );
});

test('a name that is renamed over is never missing', () => {
  const other = create(0, [1, 2], 'b', 6);
  const over = rename(1, [3, 9], 'a', 'b');
  assert.equal(judged(MADE, other, over, present(2, [4, 5], 'b', 5)), 'right');
  assert.equal(judged(MADE, other, over, absent(2, [4, 5], 'b')), 'a rename was seen by half');
});

test('a file under a name is the one that was made or moved there', () => {
  assert.notEqual(judged(MADE, present(1, [3, 4], 'a', 6)), 'right');
  const old = judged(MADE, create(0, [1, 2], 'b', 6), rename(0, [3, 4], 'a', 'b'));
  assert.equal(old, 'right');
  const stale = present(1, [5, 6], 'b', 6);
  assert.notEqual(
    judged(MADE, create(0, [1, 2], 'b', 6), rename(0, [3, 4], 'a', 'b'), stale),
    'right',
  );
});

test('a rename without replacing does not replace', () => {
  const moved: NamesCall = {
    ...timed(1, [3, 4]),
    kind: 'rename',
    name: 'a',
    to: 'b',
    replaces: false,
  };
  assert.equal(judged(MADE, moved), 'right');
  assert.notEqual(judged(MADE, create(0, [1, 2], 'b', 6), moved), 'right');
});

test('the number of names of a file', () => {
  const count = (links: number): NamesCall => ({
    ...timed(2, [5, 6]),
    kind: 'count',
    mark: 5,
    links,
  });
  assert.equal(judged(MADE, link(1, [3, 4], 'a', 'b'), count(2)), 'right');
  const other = judged(MADE, link(1, [3, 4], 'a', 'b'), count(1));
  assert.equal(other, 'file 5 had another number of names');
});

test('link and rename act on the file that they found', () => {
  // Somebody moves the source away between the two halves, and the file gets its second name.
  const between = [rename(2, [4, 5], 'a', 'c'), absent(3, [6, 7], 'a'), absent(3, [6, 7], 'b')];
  assert.equal(judged(MADE, link(1, [3, 9], 'a', 'b'), ...between), 'right');
  // A file without a name gets none.
  const gone = [unlink(2, [4, 5], 'a'), absent(3, [6, 7], 'b')];
  assert.notEqual(judged(MADE, link(1, [3, 9], 'a', 'b'), ...gone), 'right');
});

test('a change of unknown outcome may have happened at any time, or never', () => {
  const doubtful: NamesCall = { ...open(1, 3), kind: 'unlink', name: 'a' };
  const there = [MADE, doubtful, present(2, [5, 6], 'a', 5)];
  assert.equal(judged(...there, absent(2, [70, 80], 'a')), 'right');
  const back = judged(...there, absent(2, [70, 80], 'a'), present(2, [90, 91], 'a', 5));
  assert.equal(back, 'a was seen again after it had been removed');
});
