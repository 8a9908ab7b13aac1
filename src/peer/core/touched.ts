/**
 * Which chunks and blocks a record changes. Three kinds of change follow from a record: blocks
 * that get new bytes, blocks that hold no data afterwards, and chunks that go as a whole.
 * A record that only extends a file touches nothing: the bytes a block lacks count as zeros in its
 * checksum, so a claim about the last block stays true when the file grows behind it.
 */
import { assert } from '../../common/assert.ts';
import { BLOCK_BYTES, CHUNK_BYTES } from '../../common/ids.ts';
import type { DataRecord } from '../chunk-store.ts';

/** Half-open. */
export interface ChunkRange {
  readonly first: number;
  readonly end: number;
}

export interface TouchedChunk {
  readonly chunk: number;
  /** Blocks blockFirst .. blockEnd-1 change. */
  readonly blockFirst: number;
  readonly blockEnd: number;
  /** Of these, holeFirst .. holeEnd-1 hold no data afterwards. */
  readonly holeFirst: number;
  readonly holeEnd: number;
  /** Blocks of which some old bytes stay: both ends of a range that does not fit the blocks. */
  readonly edges: readonly number[];
}

export interface Touched {
  readonly chunks: readonly TouchedChunk[];
  /** Chunks without any data afterwards. */
  readonly dropped: ChunkRange;
}

const NO_CHUNKS: ChunkRange = { first: 0, end: 0 };
const NOTHING: Touched = { chunks: [], dropped: NO_CHUNKS };

/** @param fileBytes size of the backing file before the change */
export function touchedBy(record: DataRecord, fileBytes: number): Touched {
  switch (record.kind) {
    case 'write':
      return written(record.offset, record.offset + record.data.length, fileBytes);
    case 'truncate':
      return cleared(record.size, fileBytes, fileBytes);
    case 'extend':
      return NOTHING;
    case 'zero':
      return cleared(record.offset, record.offset + record.length, fileBytes);
  }
}

function written(offset: number, end: number, fileBytes: number): Touched {
  assert(Number.isSafeInteger(end), 'a write ends at a safe integer');
  if (end === offset) return NOTHING;
  const chunks: TouchedChunk[] = [];
  for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk += 1) {
    chunks.push(part(chunk, { offset, end, kept: fileBytes, clears: false }));
  }
  return { chunks, dropped: NO_CHUNKS };
}

function cleared(offset: number, wantedEnd: number, fileBytes: number): Touched {
  if (offset >= Math.min(wantedEnd, fileBytes)) return NOTHING;
  const wholeChunks = Math.ceil(fileBytes / CHUNK_BYTES);
  const end = wantedEnd >= fileBytes ? wholeChunks * CHUNK_BYTES : wantedEnd;
  const range = { offset, end, kept: fileBytes, clears: true };
  const head = Math.floor(offset / CHUNK_BYTES);
  const tail = Math.floor(end / CHUNK_BYTES);
  const chunks: TouchedChunk[] = [];
  if (offset % CHUNK_BYTES !== 0) chunks.push(part(head, range));
  if (end % CHUNK_BYTES !== 0 && (tail !== head || chunks.length === 0)) {
    chunks.push(part(tail, range));
  }
  const first = Math.ceil(offset / CHUNK_BYTES);
  return { chunks, dropped: tail > first ? { first, end: tail } : NO_CHUNKS };
}

interface Range {
  readonly offset: number;
  readonly end: number;
  /** Old bytes lie below this position only. */
  readonly kept: number;
  readonly clears: boolean;
}

function part(chunk: number, range: Range): TouchedChunk {
  const base = chunk * CHUNK_BYTES;
  const start = Math.max(range.offset - base, 0);
  const stop = Math.min(range.end - base, CHUNK_BYTES);
  const blockFirst = Math.floor(start / BLOCK_BYTES);
  const blockEnd = Math.ceil(stop / BLOCK_BYTES);
  const holeFirst = range.clears ? Math.ceil(start / BLOCK_BYTES) : blockFirst;
  const holeEnd = range.clears ? Math.max(Math.floor(stop / BLOCK_BYTES), holeFirst) : blockFirst;
  const kept = range.kept - base;
  const edges: number[] = [];
  if (start % BLOCK_BYTES !== 0) edges.push(blockFirst);
  const tornEnd = stop % BLOCK_BYTES !== 0 && stop < kept;
  if (tornEnd && edges[0] !== blockEnd - 1) edges.push(blockEnd - 1);
  return { chunk, blockFirst, blockEnd, holeFirst, holeEnd, edges };
}
