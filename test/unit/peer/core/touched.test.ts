import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES } from '../../../../src/common/ids.ts';
import type { DataRecord } from '../../../../src/peer/chunk-store.ts';
import { type Touched, touchedBy } from '../../../../src/peer/core/touched.ts';
import { Random } from '../../../support/random.ts';

const write = (offset: number, length: number): DataRecord => ({
  kind: 'write',
  offset,
  data: new Uint8Array(length),
});
const zero = (offset: number, length: number): DataRecord => ({ kind: 'zero', offset, length });
const truncate = (size: number): DataRecord => ({ kind: 'truncate', size });
const NOTHING: Touched = { chunks: [], dropped: { first: 0, end: 0 } };

describe('the blocks a record touches', () => {
  it('are those under a write, with the old bytes at its torn ends', () => {
    const { chunks, dropped } = touchedBy(write(CHUNK_BYTES - 10, 20), 3 * CHUNK_BYTES);
    assert.deepEqual(dropped, { first: 0, end: 0 });
    assert.deepEqual(
      chunks.map(({ chunk, blockFirst, blockEnd, edges }) => [chunk, blockFirst, blockEnd, edges]),
      [
        [0, BLOCKS_PER_CHUNK - 1, BLOCKS_PER_CHUNK, [BLOCKS_PER_CHUNK - 1]],
        [1, 0, 1, [0]],
      ],
    );
  });

  it('have no old bytes behind the end of the file', () => {
    assert.deepEqual(touchedBy(write(0, 100), 100).chunks[0]?.edges, []);
    assert.deepEqual(touchedBy(write(0, 100), 101).chunks[0]?.edges, [0]);
    assert.deepEqual(touchedBy(write(0, BLOCK_BYTES), CHUNK_BYTES).chunks[0]?.edges, []);
  });

  it('are none when a file only grows or nothing is written', () => {
    assert.deepEqual(touchedBy(truncate(500), 100), NOTHING);
    assert.deepEqual(touchedBy(truncate(100), 100), NOTHING);
    assert.deepEqual(touchedBy(zero(100, 50), 100), NOTHING);
    assert.deepEqual(touchedBy(zero(10, 0), 100), NOTHING);
    assert.deepEqual(touchedBy(write(10, 0), 100), NOTHING);
  });

  it('go as whole chunks behind a cut', () => {
    const touched = touchedBy(truncate(CHUNK_BYTES + BLOCK_BYTES + 1), 5 * CHUNK_BYTES + 7);
    assert.deepEqual(touched.dropped, { first: 2, end: 6 });
    assert.deepEqual(touched.chunks, [
      {
        chunk: 1,
        blockFirst: 1,
        blockEnd: BLOCKS_PER_CHUNK,
        holeFirst: 2,
        holeEnd: BLOCKS_PER_CHUNK,
        edges: [1],
      },
    ]);
    assert.deepEqual(touchedBy(truncate(0), 1).dropped, { first: 0, end: 1 });
  });

  it('agree with a count byte by byte', () => {
    const random = Random.fromEnvironment();
    for (let round = 0; round < 3_000; round += 1) {
      const size = random.below(4 * CHUNK_BYTES);
      const offset = near(random, 4 * CHUNK_BYTES);
      const length = random.below(random.pick([3, BLOCK_BYTES, 3 * CHUNK_BYTES]));
      const record = random.pick([write(offset, 1 + (length % CHUNK_BYTES)), zero(offset, length)]);
      const what = `seed ${random.seed} round ${round}`;
      assert.deepEqual(summary(touchedBy(record, size)), counted(record, size), what);
    }
  });
});

function near(random: Random, end: number): number {
  const unit = random.pick([1, BLOCK_BYTES, CHUNK_BYTES]);
  return Math.max(0, random.below(end / unit) * unit + random.below(3) - 1);
}

/** 'c' changed, 'h' without data, per block of the file. */
function summary({ chunks, dropped }: Touched): string {
  const blocks = new Array<string>(9 * BLOCKS_PER_CHUNK).fill('.');
  for (const { chunk, blockFirst, blockEnd, holeFirst, holeEnd } of chunks) {
    blocks.fill('c', chunk * BLOCKS_PER_CHUNK + blockFirst, chunk * BLOCKS_PER_CHUNK + blockEnd);
    blocks.fill('h', chunk * BLOCKS_PER_CHUNK + holeFirst, chunk * BLOCKS_PER_CHUNK + holeEnd);
  }
  blocks.fill('h', dropped.first * BLOCKS_PER_CHUNK, dropped.end * BLOCKS_PER_CHUNK);
  return blocks.join('');
}

function counted(record: DataRecord, size: number): string {
  assert.ok(record.kind !== 'truncate' && record.kind !== 'extend');
  const wanted = record.offset + (record.kind === 'write' ? record.data.length : record.length);
  const clears = record.kind === 'zero';
  const chunksEnd = Math.ceil(size / CHUNK_BYTES) * CHUNK_BYTES;
  const end = clears && wanted >= size ? chunksEnd : wanted;
  const none = clears && record.offset >= Math.min(wanted, size);
  const blocks = Array.from({ length: 9 * BLOCKS_PER_CHUNK }, (_, block) => {
    const first = block * BLOCK_BYTES;
    if (none || first >= end || first + BLOCK_BYTES <= record.offset) return '.';
    return clears && first >= record.offset && first + BLOCK_BYTES <= end ? 'h' : 'c';
  });
  return blocks.join('');
}
