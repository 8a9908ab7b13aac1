import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AssertionError } from '../../../../src/common/assert.ts';
import { BLOCKS_PER_CHUNK } from '../../../../src/common/ids.ts';
import { ChunkState, ZERO_BLOCK_CRC } from '../../../../src/peer/core/chunk-state.ts';

/** Checksums of a chunk whose blocks are zero but for the given ones. */
function checksums(data: Readonly<Record<number, number>>): Uint32Array {
  const crcs = new Uint32Array(BLOCKS_PER_CHUNK).fill(ZERO_BLOCK_CRC);
  for (const [block, crc] of Object.entries(data)) crcs[Number(block)] = crc;
  return crcs;
}

const FRESH = { epoch: 9, seq: 900 };

describe('the state of a chunk', () => {
  it('claims checksum and version of each block with data when it is sealed', () => {
    const state = ChunkState.open();
    state.stamp(1, 3, { epoch: 2, seq: 5 });
    const { claim } = state.seal(checksums({ 1: 11, 2: 12, 4: 14 }), FRESH);
    assert.ok(claim !== undefined && state.isSealed && !state.hasUnchecked);
    assert.deepEqual([...claim.crcs.subarray(0, 6)], [0, 11, 12, 0, 14, 0]);
    assert.deepEqual([...claim.epochs.subarray(0, 6)], [0, 2, 2, 0, 9, 0]);
    assert.deepEqual([...claim.seqs.subarray(0, 6)], [0, 5, 5, 0, 900, 0]);
  });

  it('has nothing to claim without data, and stays open', () => {
    const state = ChunkState.open();
    state.stamp(0, 2, { epoch: 1, seq: 1 });
    state.clear(0, 2);
    assert.equal(state.seal(checksums({}), FRESH).claim, undefined);
    assert.equal(state.isSealed, false);
  });

  it('tells zeros that were written from holes', () => {
    const state = ChunkState.open();
    state.stamp(0, 1, { epoch: 1, seq: 1 });
    const { claim } = state.seal(checksums({}), FRESH);
    assert.deepEqual([claim?.crcs[0], claim?.seqs[0]], [ZERO_BLOCK_CRC, 1]);
    assert.deepEqual([claim?.crcs[1], claim?.seqs[1]], [0, 0]);
  });

  it('is checked block by block, holes against zeros', () => {
    const { claim } = sealed({ 0: 77 });
    const state = ChunkState.sealed(claim);
    assert.ok(state.mustCheck(0) && state.mustCheck(1));
    assert.equal(state.check(0, 77), 'right');
    assert.equal(state.mustCheck(0), false);
    assert.equal(state.check(1, 5), 'news');
    assert.equal(state.check(1, 5), 'wrong');
    assert.equal(state.check(1, ZERO_BLOCK_CRC), 'right');
  });

  it('does not take rot in an untouched block for new bytes', () => {
    const state = ChunkState.sealed(sealed({ 0: 77, 1: 78 }).claim);
    state.open();
    state.stamp(1, 2, { epoch: 5, seq: 6 });
    const { claim, newlyWrong } = state.seal(checksums({ 0: 666, 1: 79 }), FRESH);
    assert.deepEqual(newlyWrong, [0]);
    assert.deepEqual([claim?.crcs[0], claim?.crcs[1]], [77, 79]);
    assert.ok(state.mustCheck(0) && !state.mustCheck(1));
  });

  it('must be open before it changes', () => {
    const state = ChunkState.sealed(sealed({ 0: 1 }).claim);
    assert.throws(() => state.stamp(0, 1, FRESH), AssertionError);
    assert.throws(() => state.seal(checksums({}), FRESH), AssertionError);
  });
});

function sealed(data: Readonly<Record<number, number>>) {
  const { claim } = ChunkState.open().seal(checksums(data), FRESH);
  assert.ok(claim !== undefined);
  return { claim };
}
