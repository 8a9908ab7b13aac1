/**
 * What this process knows of one chunk, block by block.
 *
 * Sealed: the index holds a claim about the chunk, so the claim must be withdrawn durably before
 * the first byte changes. Open: the bytes on disk count, the index claims nothing.
 *
 * A claim about a single block outlives the opening of its chunk in memory until that block
 * changes: rot in a block nobody wrote is found, not sealed as if it were good.
 */
import { assert } from '../../common/assert.ts';
import { BLOCKS_PER_CHUNK } from '../../common/ids.ts';
import type { Version } from './versions.ts';

/** What a sealed record says: one entry a block, all three 0 for a block without data. */
export interface BlockTable {
  readonly crcs: Uint32Array;
  readonly epochs: Uint32Array;
  readonly seqs: Float64Array;
}

export interface Sealing {
  /** For the index; undefined when the chunk holds no data. The state's own: not to be changed. */
  readonly claim: BlockTable | undefined;
  readonly newlyWrong: readonly number[];
}

/** CRC32C of 64 KiB of zeros: what a block without data must read as. */
export const ZERO_BLOCK_CRC = 0x72c0c4a4;

/** No claim; claimed and not looked at yet; found right; found wrong. */
const UNCLAIMED = 0;
const CLAIMED = 1;
const RIGHT = 2;
const WRONG = 3;

export function emptyBlockTable(): BlockTable {
  return {
    crcs: new Uint32Array(BLOCKS_PER_CHUNK),
    epochs: new Uint32Array(BLOCKS_PER_CHUNK),
    seqs: new Float64Array(BLOCKS_PER_CHUNK),
  };
}

export class ChunkState {
  readonly #table: BlockTable;
  readonly #checks = new Uint8Array(BLOCKS_PER_CHUNK);
  #sealed: boolean;
  /** Blocks that are CLAIMED or WRONG. */
  #unchecked: number;

  private constructor(table: BlockTable, sealed: boolean) {
    this.#table = table;
    this.#sealed = sealed;
    this.#unchecked = sealed ? BLOCKS_PER_CHUNK : 0;
    if (sealed) this.#checks.fill(CLAIMED);
  }

  static open(): ChunkState {
    return new ChunkState(emptyBlockTable(), false);
  }

  static sealed(table: BlockTable): ChunkState {
    return new ChunkState(table, true);
  }

  get isSealed(): boolean {
    return this.#sealed;
  }

  /** Some block has a claim that was not found right yet. */
  get hasUnchecked(): boolean {
    return this.#unchecked > 0;
  }

  mustCheck(block: number): boolean {
    const check = this.#checks[block];
    return check === CLAIMED || check === WRONG;
  }

  /** @returns what the bytes were found to be; `news` on the first finding of a wrong block */
  check(block: number, crc: number): 'right' | 'wrong' | 'news' {
    assert(this.mustCheck(block), 'only a claimed block is checked');
    if (crc === this.#claim(block)) {
      this.#setCheck(block, RIGHT);
      return 'right';
    }
    const known = this.#checks[block] === WRONG;
    this.#setCheck(block, WRONG);
    return known ? 'wrong' : 'news';
  }

  /** The index claims nothing about this chunk any more. */
  open(): void {
    this.#sealed = false;
  }

  /** The blocks get new bytes under `version`. */
  stamp(blockFirst: number, blockEnd: number, version: Version): void {
    this.#forget(blockFirst, blockEnd);
    this.#table.epochs.fill(version.epoch, blockFirst, blockEnd);
    this.#table.seqs.fill(version.seq, blockFirst, blockEnd);
  }

  /** The blocks hold no data, or their version is not known. */
  clear(blockFirst: number, blockEnd: number): void {
    this.#forget(blockFirst, blockEnd);
    this.#table.epochs.fill(0, blockFirst, blockEnd);
    this.#table.seqs.fill(0, blockFirst, blockEnd);
  }

  /**
   * The versions of blocks that were just read. A block with data whose version is not known gets a
   * fresh one here, which the next claim takes over.
   * @param hasData whether the block, counted from `blockFirst`, is not all zeros
   */
  versions(
    { blockFirst, blockEnd }: { readonly blockFirst: number; readonly blockEnd: number },
    hasData: (at: number) => boolean,
    fresh: () => Version,
  ): { readonly epochs: Uint32Array; readonly seqs: Float64Array } {
    const { epochs, seqs } = this.#table;
    for (let block = blockFirst; block < blockEnd; block += 1) {
      if (seqs[block] !== 0 || this.#sealed || !hasData(block - blockFirst)) continue;
      const { epoch, seq } = fresh();
      epochs[block] = epoch;
      seqs[block] = seq;
    }
    return { epochs: epochs.slice(blockFirst, blockEnd), seqs: seqs.slice(blockFirst, blockEnd) };
  }

  /**
   * Turns the checksums of what is on stable storage into the claim for the index. Blocks that
   * did not change since the last claim keep it, also when the bytes differ: that is rot.
   * @param fresh the version of blocks with data whose own is not known
   */
  seal(crcs: Uint32Array, fresh: Version): Sealing {
    assert(!this.#sealed, 'only an open chunk is sealed');
    assert(crcs.length === BLOCKS_PER_CHUNK, 'one checksum a block');
    const newlyWrong: number[] = [];
    for (let block = 0; block < BLOCKS_PER_CHUNK; block += 1) {
      const crc = crcs[block] ?? 0;
      if (!this.mustCheck(block)) this.#claimBlock(block, crc, fresh);
      else if (this.check(block, crc) === 'news') newlyWrong.push(block);
    }
    this.#sealed = this.#table.seqs.some((seq) => seq !== 0);
    return { claim: this.#sealed ? this.#table : undefined, newlyWrong };
  }

  #claimBlock(block: number, crc: number, fresh: Version): void {
    const { crcs, epochs, seqs } = this.#table;
    if (seqs[block] === 0 && crc !== ZERO_BLOCK_CRC) {
      epochs[block] = fresh.epoch;
      seqs[block] = fresh.seq;
    }
    crcs[block] = seqs[block] === 0 ? 0 : crc;
    this.#setCheck(block, RIGHT);
  }

  #claim(block: number): number {
    const { crcs, seqs } = this.#table;
    return seqs[block] === 0 ? ZERO_BLOCK_CRC : (crcs[block] ?? 0);
  }

  #forget(blockFirst: number, blockEnd: number): void {
    assert(!this.#sealed, 'a sealed chunk is opened before it changes');
    for (let block = blockFirst; block < blockEnd; block += 1) this.#setCheck(block, UNCLAIMED);
  }

  #setCheck(block: number, check: number): void {
    const before = this.mustCheck(block) ? 1 : 0;
    this.#checks[block] = check;
    this.#unchecked += (this.mustCheck(block) ? 1 : 0) - before;
  }
}
