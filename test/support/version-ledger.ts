import assert from 'node:assert/strict';
import { native } from '../../native/index.ts';
import { BLOCK_BYTES, type GroupId, type Ino } from '../../src/common/ids.ts';
import type { BlockRun, BlockVersions, ChunkStore } from '../../src/peer/chunk-store.ts';

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** What a store says of one block. */
export interface SeenBlock {
  readonly epoch: number;
  readonly seq: number;
  readonly bytes: Buffer;
}

/**
 * Remembers every version of a block that a store ever named and what it stood for, over all lives
 * of the store: another peer may have kept those bytes under that name.
 */
export class VersionLedger {
  readonly #crcs = new Map<string, number>();

  get size(): number {
    return this.#crcs.size;
  }

  /** Reads blocks, and fails when a version is not what it was before. */
  read(store: ChunkStore, rg: GroupId, file: Ino, run: BlockRun): SeenBlock[] {
    const count = run.blockEnd - run.blockFirst;
    const target = Buffer.alloc(count * BLOCK_BYTES, 0xee);
    const versions = store.readBlocks(rg, file, run, target);
    assert.deepEqual([versions.epochs.length, versions.seqs.length], [count, count]);
    return Array.from({ length: count }, (_, at) => {
      const bytes = target.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      this.#note(`ino ${file} chunk ${run.chunk} block ${run.blockFirst + at}`, {
        at,
        bytes,
        versions,
      });
      return { epoch: versions.epochs[at] ?? -1, seq: versions.seqs[at] ?? -1, bytes };
    });
  }

  #note(
    block: string,
    seen: { readonly at: number; readonly bytes: Buffer; readonly versions: BlockVersions },
  ): void {
    const { at, bytes, versions } = seen;
    const [epoch, seq] = [versions.epochs[at], versions.seqs[at]];
    if (seq === 0) {
      assert.ok(epoch === 0 && bytes.equals(ZEROS), `${block} has bytes and no version`);
      return;
    }
    const version = `${block} in version (${epoch}, ${seq})`;
    const crc = native.crc32c(0, bytes, 0, bytes.length);
    const before = this.#crcs.get(version) ?? crc;
    assert.equal(crc, before, `${version} stands for two contents`);
    this.#crcs.set(version, crc);
  }
}
