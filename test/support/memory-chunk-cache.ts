import { BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES, type Ino } from '../../src/common/ids.ts';
import type {
  CacheStatus,
  ChunkCache,
  FetchedBlocks,
  HeldBlocks,
} from '../../src/peer/chunk-cache.ts';
import type { BlockRun, BlockVersions } from '../../src/peer/chunk-store.ts';

interface CachedBlock {
  readonly epoch: number;
  readonly seq: number;
  readonly data: Uint8Array;
}

/** A cache without a disk; `loses` makes blocks vanish, as those of a cache that is full do. */
export class MemoryChunkCache implements ChunkCache {
  loses: () => boolean = () => false;
  readonly #blocks = new Map<string, CachedBlock>();

  held(ino: Ino, chunk: number): HeldBlocks | undefined {
    const found = {
      held: new Uint8Array(BLOCKS_PER_CHUNK),
      epochs: new Uint32Array(BLOCKS_PER_CHUNK),
      seqs: new Float64Array(BLOCKS_PER_CHUNK),
    };
    for (let block = 0; block < BLOCKS_PER_CHUNK; block += 1) {
      const cached = this.#blocks.get(`${ino} ${chunk} ${block}`);
      if (cached === undefined) continue;
      found.held[block] = 1;
      found.epochs[block] = cached.epoch;
      found.seqs[block] = cached.seq;
    }
    return found.held.includes(1) ? found : undefined;
  }

  read(ino: Ino, offset: number, target: Uint8Array, versions: BlockVersions): boolean {
    const chunk = Math.floor(offset / CHUNK_BYTES);
    for (let from = 0; from < target.length; ) {
      const inChunk = offset + from - chunk * CHUNK_BYTES;
      const block = Math.floor(inChunk / BLOCK_BYTES);
      const at = inChunk - block * BLOCK_BYTES;
      const key = `${ino} ${chunk} ${block}`;
      const cached = this.#blocks.get(key);
      if (cached === undefined || this.loses()) {
        this.#blocks.delete(key);
        return false;
      }
      if (cached.seq !== versions.seqs[block] || cached.epoch !== versions.epochs[block]) {
        return false;
      }
      const part = cached.data.subarray(at, at + target.length - from);
      target.set(part, from);
      from += part.length;
    }
    return true;
  }

  put(ino: Ino, run: BlockRun, { versions, data }: FetchedBlocks): void {
    for (let at = 0; at < run.blockEnd - run.blockFirst; at += 1) {
      const whole = new Uint8Array(BLOCK_BYTES);
      whole.set(data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES));
      this.#blocks.set(`${ino} ${run.chunk} ${run.blockFirst + at}`, {
        epoch: versions.epochs[at] ?? 0,
        seq: versions.seqs[at] ?? 0,
        data: whole,
      });
    }
  }

  drop(inos: readonly Ino[]): void {
    for (const key of this.#blocks.keys()) {
      if (inos.some((ino) => key.startsWith(`${ino} `))) this.#blocks.delete(key);
    }
  }

  status(): CacheStatus {
    return { bytes: this.#blocks.size * BLOCK_BYTES, limitBytes: 2 ** 40 };
  }
}
