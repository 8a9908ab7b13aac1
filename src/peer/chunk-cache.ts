import type { Ino } from '../common/ids.ts';
import type { BlockRun, BlockVersions } from './chunk-store.ts';

/** What is kept of one chunk, one entry a block. */
export interface HeldBlocks extends BlockVersions {
  /** 1: the block is here in the version named; seq 0 then means that it reads as zeros. */
  readonly held: Uint8Array;
}

/** Whole blocks as a home peer sent them. */
export interface FetchedBlocks {
  readonly versions: BlockVersions;
  /** CRC32C over each whole block. */
  readonly crcs: Uint32Array;
  /** What it lacks at its end counts as zeros. */
  readonly data: Uint8Array;
}

export interface CacheStatus {
  /** Allocated on disk. */
  readonly bytes: number;
  readonly limitBytes: number;
}

/**
 * Blocks of files whose home is another peer, kept on this disk, bounded, least recently used
 * first to go; never the only copy of anything. (ino, chunk, block, version) names bytes that never
 * change, so nothing here is ever wrong, only unwanted. Survives restarts; a crash may lose any of
 * it. No call throws for what the cache cannot do: what is not kept is fetched again.
 */
export interface ChunkCache {
  /** Undefined when nothing of the chunk is here. The caller may keep and change the result. */
  held(ino: Ino, chunk: number): HeldBlocks | undefined;
  /**
   * Fills `target` from `offset`; the range lies in one chunk.
   * @param versions of the whole chunk (64 entries): what the bytes must be
   * @returns false when a block is not here in that version, or does not match its checksum
   * (it is dropped then); `target` is undefined then
   */
  read(ino: Ino, offset: number, target: Uint8Array, versions: BlockVersions): boolean;
  /** Keeps the blocks, whose checksums the caller has verified. `versions` has an entry a block of the run. */
  put(ino: Ino, run: BlockRun, blocks: FetchedBlocks): void;
  /** The file is gone. */
  drop(inos: readonly Ino[]): void;
  status(): CacheStatus;
}
