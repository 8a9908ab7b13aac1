/**
 * Takes blocks into a cached chunk. A block is forgotten before its bytes change and known again
 * after, so a failure halfway leaves nothing that is claimed and not there.
 */
import { BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../common/ids.ts';
import type { CacheFiles } from './cache-files.ts';
import type { FetchedBlocks } from './chunk-cache.ts';
import type { BlockRun } from './chunk-store.ts';
import type { CachedBlocks } from './core/cached-blocks.ts';

/** Disks hand out space in pages of this size. */
const PAGE_BYTES = 4_096;

/** Blocks that follow one another. */
interface Stretch {
  readonly first: number;
  readonly end: number;
}

/** What of a run is to be written. */
export interface CachePlan {
  /** Blocks that read as zeros. */
  readonly zeros: readonly number[];
  readonly stretches: readonly Stretch[];
  /** At most this much more of the disk is taken. */
  readonly bytes: number;
}

function bytesOf(run: BlockRun, fetched: FetchedBlocks, { first, end }: Stretch): Uint8Array {
  const from = (first - run.blockFirst) * BLOCK_BYTES;
  return fetched.data.subarray(from, from + (end - first) * BLOCK_BYTES);
}

/** Leaves out what is here in the same version. */
export function planPut(
  held: CachedBlocks | undefined,
  run: BlockRun,
  fetched: FetchedBlocks,
): CachePlan {
  const zeros: number[] = [];
  const stretches: { first: number; end: number }[] = [];
  for (let block = run.blockFirst; block < run.blockEnd; block += 1) {
    const at = block - run.blockFirst;
    if (held?.matches(block, fetched.versions, at)) continue;
    const last = stretches.at(-1);
    if (fetched.versions.seqs[at] === 0) zeros.push(block);
    else if (last?.end === block) last.end += 1;
    else stretches.push({ first: block, end: block + 1 });
  }
  let bytes = 0;
  for (const stretch of stretches) {
    bytes += Math.ceil(bytesOf(run, fetched, stretch).length / PAGE_BYTES) * PAGE_BYTES;
  }
  return { zeros, stretches, bytes };
}

export class CacheWriter {
  readonly #files: CacheFiles;

  constructor(files: CacheFiles) {
    this.#files = files;
  }

  /** @throws FsError ENOSPC, or the host's error; `blocks` is right in any case */
  write(
    place: { readonly ino: Ino; readonly blocks: CachedBlocks },
    { run, fetched, plan }: { run: BlockRun; fetched: FetchedBlocks; plan: CachePlan },
  ): void {
    const { blocks, ino } = place;
    const base = run.chunk * CHUNK_BYTES;
    for (const stretch of plan.stretches) {
      for (let block = stretch.first; block < stretch.end; block += 1) blocks.forget(block);
      const data = bytesOf(run, fetched, stretch);
      const end = base + stretch.end * BLOCK_BYTES;
      this.#files.write(ino, base + stretch.first * BLOCK_BYTES, { data, end });
      for (let block = stretch.first; block < stretch.end; block += 1) {
        const at = block - run.blockFirst;
        const { epochs, seqs } = fetched.versions;
        const version = { epoch: epochs[at] ?? 0, seq: seqs[at] ?? 0 };
        blocks.keepData(block, version, fetched.crcs[at] ?? 0);
      }
    }
    for (const block of plan.zeros) {
      const hadData = blocks.hasData(block);
      blocks.keepZeros(block);
      if (hadData) this.#files.punch(ino, base + block * BLOCK_BYTES, BLOCK_BYTES);
    }
  }
}
