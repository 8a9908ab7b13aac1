import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno } from '../../../../src/common/ids.ts';
import { Fences } from '../../../../src/peer/core/fences.ts';

const FILE = asIno(2000);
const OTHER = asIno(2001);

test('an evicted session is refused below the epoch that was told, and others are not', () => {
  const fences = new Fences();
  fences.fence(3, 2);
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 1 }), true);
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 2 }), false);
  assert.equal(fences.isEvicted({ sid: 4, sepoch: 1 }), false);
});

test('a fence that comes late takes back nothing', () => {
  const fences = new Fences();
  fences.fence(3, 5);
  fences.fence(3, 2);
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 4 }), true);
});

test('a session that goes on in another process is refused below the epoch that was met', () => {
  const fences = new Fences();
  fences.meet({ sid: 3, sepoch: 1 });
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 1 }), false);
  fences.meet({ sid: 3, sepoch: 2 });
  fences.meet({ sid: 3, sepoch: 1 });
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 1 }), true);
  assert.equal(fences.isEvicted({ sid: 3, sepoch: 2 }), false);
  assert.equal(fences.isEvicted({ sid: 4, sepoch: 1 }), false);
});

test('a write under an older lease than one seen for the file is late', () => {
  const fences = new Fences();
  fences.follow(FILE, 40);
  fences.follow(FILE, 30);
  assert.equal(fences.isLate({ ino: FILE, lseq: 39 }), true);
  assert.equal(fences.isLate({ ino: FILE, lseq: 40 }), false);
  assert.equal(fences.isLate({ ino: FILE, lseq: 41 }), false);
  assert.equal(fences.isLate({ ino: OTHER, lseq: 1 }), false);
});

test('only the files that were seen last are remembered', () => {
  const fences = new Fences();
  fences.follow(FILE, 40);
  fences.follow(OTHER, 40);
  fences.follow(FILE, 41);
  for (let count = 0; count < 199_999; count += 1) fences.follow(asIno(10_000 + count), 1);
  assert.equal(fences.isLate({ ino: FILE, lseq: 40 }), true);
  assert.equal(fences.isLate({ ino: OTHER, lseq: 1 }), false);
});
