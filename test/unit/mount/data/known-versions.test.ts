import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asIno, BLOCKS_PER_CHUNK } from '../../../../src/common/ids.ts';
import { KnownVersions } from '../../../../src/mount/data/known-versions.ts';
import type { BlockRun, BlockVersions } from '../../../../src/peer/chunk-store.ts';

const FILE = asIno(2000);
const AT_5 = { dv: 5, rgEpoch: 1 };
const AT_6 = { dv: 6, rgEpoch: 1 };

function blocks(blockFirst: number, blockEnd: number, chunk = 0): BlockRun {
  return { chunk, blockFirst, blockEnd };
}

function versions(...seqs: number[]): BlockVersions {
  return { epochs: Uint32Array.from(seqs, () => 1), seqs: Float64Array.from(seqs) };
}

function known(): KnownVersions {
  const found = new KnownVersions();
  found.set(FILE, AT_5, blocks(2, 5), versions(7, 8, 9));
  return found;
}

test('versions hold for the data version they were learned at', () => {
  assert.equal(known().get(FILE, AT_5, blocks(2, 5))?.seqs[3], 8);
  assert.equal(known().get(FILE, AT_6, blocks(2, 5)), undefined);
});

test('versions hold for one epoch of the group', () => {
  assert.equal(known().get(FILE, { dv: 5, rgEpoch: 2 }, blocks(2, 5)), undefined);
});

test('all blocks of a run are known, or none counts', () => {
  assert.equal(known().get(FILE, AT_5, blocks(1, 5)), undefined);
  assert.equal(known().get(FILE, AT_5, blocks(2, 6)), undefined);
  assert.equal(known().get(FILE, AT_5, blocks(2, 5, 1)), undefined);
});

test('after an own publication everything but the blocks written is still known', () => {
  const found = known();
  found.forget(FILE, blocks(3, 4));
  found.carry(FILE, AT_5, AT_6);
  assert.equal(found.get(FILE, AT_6, blocks(2, 3))?.seqs[2], 7);
  assert.equal(found.get(FILE, AT_6, blocks(3, 4)), undefined);
  assert.equal(found.get(FILE, AT_6, blocks(4, 5))?.seqs[4], 9);
  assert.equal(found.get(FILE, AT_5, blocks(2, 3)), undefined);
});

test('nothing is carried over from another version than the one before', () => {
  const found = known();
  found.carry(FILE, { dv: 6, rgEpoch: 1 }, { dv: 7, rgEpoch: 1 });
  found.carry(FILE, { dv: 5, rgEpoch: 2 }, { dv: 6, rgEpoch: 2 });
  assert.equal(found.get(FILE, { dv: 7, rgEpoch: 1 }, blocks(2, 5)), undefined);
  assert.equal(found.get(FILE, { dv: 6, rgEpoch: 2 }, blocks(2, 5)), undefined);
});

test('what is learned at another data version replaces what was known', () => {
  const found = known();
  found.set(FILE, AT_6, blocks(2, 3), versions(11));
  assert.equal(found.get(FILE, AT_6, blocks(2, 3))?.seqs[2], 11);
  assert.equal(found.get(FILE, AT_6, blocks(3, 4)), undefined);
  assert.equal(found.get(FILE, AT_5, blocks(3, 4)), undefined);
});

test('of more chunks than are kept the file used longest ago goes', () => {
  const found = new KnownVersions();
  const seqs = versions(...Array.from({ length: BLOCKS_PER_CHUNK }, (_, at) => at + 1));
  const small = [asIno(3000), asIno(3001), asIno(3002)];
  for (const ino of small) found.set(ino, AT_5, blocks(0, BLOCKS_PER_CHUNK), seqs);
  found.set(asIno(3000), AT_5, blocks(0, 1), versions(50));
  for (let chunk = 0; chunk < 65_534; chunk += 1) {
    found.set(FILE, AT_5, blocks(0, 1, chunk), versions(1));
  }
  assert.deepEqual(
    small.filter((ino) => found.get(ino, AT_5, blocks(0, 1)) !== undefined),
    [3000, 3002],
  );
  found.set(FILE, AT_5, blocks(0, 1, 65_534), versions(1));
  assert.equal(found.get(asIno(3002), AT_5, blocks(0, 1)), undefined);
  assert.equal(found.get(FILE, AT_5, blocks(0, 1, 0))?.seqs[0], 1);
});
