/** Reads cached blocks, and holds each against its checksum once in a process life. */
import { native } from '../../native/index.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../common/ids.ts';
import type { CacheFiles } from './cache-files.ts';
import type { CachedBlocks } from './core/cached-blocks.ts';

/** A range inside one chunk, and what is known of that chunk. */
export interface CachedRange {
  readonly ino: Ino;
  readonly blocks: CachedBlocks;
  readonly offset: number;
  readonly target: Uint8Array;
}

export interface Covered {
  readonly chunk: number;
  readonly blockFirst: number;
  readonly blockEnd: number;
}

/** The blocks a range of one chunk touches. */
export function coveredBy(offset: number, length: number): Covered {
  const chunk = Math.floor(offset / CHUNK_BYTES);
  const inChunk = offset - chunk * CHUNK_BYTES;
  return {
    chunk,
    blockFirst: Math.floor(inChunk / BLOCK_BYTES),
    blockEnd: Math.ceil((inChunk + length) / BLOCK_BYTES),
  };
}

export class CacheReader {
  readonly #files: CacheFiles;
  readonly #scratch = new Uint8Array(BLOCK_BYTES);

  constructor(files: CacheFiles) {
    this.#files = files;
  }

  /**
   * Fills the target from blocks that are all held.
   * @returns the first block that is not what its checksum says; the target is undefined then
   * @throws the host's errors
   */
  read(range: CachedRange): number | undefined {
    const { blocks, ino, offset, target } = range;
    const { chunk, blockFirst, blockEnd } = coveredBy(offset, target.length);
    let hasData = false;
    for (let block = blockFirst; block < blockEnd; block += 1) hasData ||= blocks.hasData(block);
    if (hasData) this.#files.read(ino, offset, target);
    for (let block = blockFirst; block < blockEnd; block += 1) {
      const at = chunk * CHUNK_BYTES + block * BLOCK_BYTES - offset;
      if (!blocks.hasData(block)) target.fill(0, Math.max(0, at), at + BLOCK_BYTES);
      else if (blocks.mustCheck(block) && !blocks.check(block, this.#crc(range, at))) return block;
    }
    return undefined;
  }

  /** @param at where the block starts in the target, which may hold only a part of it */
  #crc({ ino, offset, target }: CachedRange, at: number): number {
    if (at >= 0 && at + BLOCK_BYTES <= target.length) {
      return native.crc32c(0, target, at, BLOCK_BYTES);
    }
    this.#files.read(ino, offset + at, this.#scratch);
    return native.crc32c(0, this.#scratch, 0, BLOCK_BYTES);
  }
}
