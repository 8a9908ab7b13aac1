import { BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES, type Ino } from '../common/ids.ts';
import type { CacheStatus, ChunkCache, FetchedBlocks, HeldBlocks } from './chunk-cache.ts';
import type { BlockRun, BlockVersions } from './chunk-store.ts';

interface Held { epoch: number; seq: number; data: Uint8Array }

export class TempCache implements ChunkCache {
  readonly #blocks = new Map<string, Held>();
  held(ino: Ino, chunk: number): HeldBlocks | undefined {
    const held = new Uint8Array(BLOCKS_PER_CHUNK);
    const epochs = new Uint32Array(BLOCKS_PER_CHUNK);
    const seqs = new Float64Array(BLOCKS_PER_CHUNK);
    let any = false;
    for (let block = 0; block < BLOCKS_PER_CHUNK; block += 1) {
      const known = this.#blocks.get(`${ino}/${chunk}/${block}`);
      if (known === undefined) continue;
      any = true;
      held[block] = 1;
      epochs[block] = known.epoch;
      seqs[block] = known.seq;
    }
    return any ? { held, epochs, seqs } : undefined;
  }
  read(ino: Ino, offset: number, target: Uint8Array, versions: BlockVersions): boolean {
    const chunk = Math.floor(offset / CHUNK_BYTES);
    for (let at = offset; at < offset + target.length; ) {
      const inChunk = at - chunk * CHUNK_BYTES;
      const block = Math.floor(inChunk / BLOCK_BYTES);
      const known = this.#blocks.get(`${ino}/${chunk}/${block}`);
      if (known === undefined || known.seq !== versions.seqs[block]) return false;
      if (known.seq !== 0 && known.epoch !== versions.epochs[block]) return false;
      const from = inChunk - block * BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES - from, offset + target.length - at);
      target.fill(0, at - offset, at - offset + length);
      target.set(known.data.subarray(from, from + length), at - offset);
      at += length;
    }
    return true;
  }
  put(ino: Ino, run: BlockRun, blocks: FetchedBlocks): void {
    for (let at = 0; at < run.blockEnd - run.blockFirst; at += 1) {
      const data = blocks.data.slice(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      const epoch = blocks.versions.epochs[at] ?? 0;
      const seq = blocks.versions.seqs[at] ?? 0;
      this.#blocks.set(`${ino}/${run.chunk}/${run.blockFirst + at}`, { epoch, seq, data });
    }
  }
  drop(): void {}
  status(): CacheStatus { return { bytes: 0, limitBytes: 0 }; }
}
