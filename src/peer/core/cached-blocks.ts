/**
 * What the cache knows of one chunk of another peer's file, block by block: not here, here in a
 * version, or known to read as zeros. Bytes are trusted only once they were held against their
 * checksum in this process life.
 */
import { assert } from '../../common/assert.ts';
import { BLOCKS_PER_CHUNK } from '../../common/ids.ts';
import type { HeldBlocks } from '../chunk-cache.ts';
import type { BlockVersions } from '../chunk-store.ts';
import type { Version } from './versions.ts';

/** Seq 0 with this epoch: the block reads as zeros. Seq 0 with epoch 0: it is not here. */
const ZEROS_EPOCH = 1;

/** One entry a block, blocks that are not here left out at the end. */
export interface CachedTable {
  readonly crcs: readonly number[];
  readonly epochs: readonly number[];
  readonly seqs: readonly number[];
}

const isWord = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 32;
const isSeq = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

export class CachedBlocks {
  readonly #epochs = new Uint32Array(BLOCKS_PER_CHUNK);
  readonly #seqs = new Float64Array(BLOCKS_PER_CHUNK);
  readonly #crcs = new Uint32Array(BLOCKS_PER_CHUNK);
  readonly #checked = new Uint8Array(BLOCKS_PER_CHUNK);
  #count = 0;

  /** @returns undefined when the table makes no sense */
  static fromTable(table: CachedTable): CachedBlocks | undefined {
    const { crcs, epochs, seqs } = table;
    if (seqs.length > BLOCKS_PER_CHUNK) return undefined;
    if (crcs.length !== seqs.length || epochs.length !== seqs.length) return undefined;
    if (!(seqs.every(isSeq) && crcs.every(isWord) && epochs.every(isWord))) return undefined;
    const blocks = new CachedBlocks();
    blocks.#epochs.set(epochs);
    blocks.#seqs.set(seqs);
    blocks.#crcs.set(crcs);
    for (let block = 0; block < seqs.length; block += 1) {
      if (seqs[block] === 0 && epochs[block] !== ZEROS_EPOCH) blocks.#epochs[block] = 0;
      if (blocks.isHeld(block)) blocks.#count += 1;
    }
    return blocks;
  }

  toTable(): CachedTable {
    let end = BLOCKS_PER_CHUNK;
    while (end > 0 && !this.isHeld(end - 1)) end -= 1;
    return {
      crcs: [...this.#crcs.subarray(0, end)],
      epochs: [...this.#epochs.subarray(0, end)],
      seqs: [...this.#seqs.subarray(0, end)],
    };
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  isHeld(block: number): boolean {
    return this.#epochs[block] !== 0 || this.#seqs[block] !== 0;
  }

  /** Its bytes are on disk. */
  hasData(block: number): boolean {
    return this.#seqs[block] !== 0;
  }

  /** The block is here in the version that `versions` names at `at`. */
  matches(block: number, versions: BlockVersions, at: number): boolean {
    const seq = this.#seqs[block];
    if (seq !== versions.seqs[at]) return false;
    return this.#epochs[block] === (seq === 0 ? ZEROS_EPOCH : versions.epochs[at]);
  }

  mustCheck(block: number): boolean {
    return this.hasData(block) && this.#checked[block] === 0;
  }

  /** @returns whether this is the checksum of the block; it is trusted from now on then */
  check(block: number, crc: number): boolean {
    if (this.#crcs[block] !== crc) return false;
    this.#checked[block] = 1;
    return true;
  }

  /** The bytes are on disk, and not checked yet. */
  keepData(block: number, { epoch, seq }: Version, crc: number): void {
    assert(seq > 0, `a block with data has no version: ${seq}`);
    this.#set(block, { epoch, seq }, crc);
  }

  keepZeros(block: number): void {
    this.#set(block, { epoch: ZEROS_EPOCH, seq: 0 }, 0);
  }

  forget(block: number): void {
    this.#set(block, { epoch: 0, seq: 0 }, 0);
  }

  /** A copy for others; zeros are named as their home names them, epoch 0 and seq 0. */
  held(): HeldBlocks {
    const held = new Uint8Array(BLOCKS_PER_CHUNK);
    const epochs = this.#epochs.slice();
    for (let block = 0; block < BLOCKS_PER_CHUNK; block += 1) {
      if (this.isHeld(block)) held[block] = 1;
      if (!this.hasData(block)) epochs[block] = 0;
    }
    return { held, epochs, seqs: this.#seqs.slice() };
  }

  #set(block: number, { epoch, seq }: Version, crc: number): void {
    assert(block >= 0 && block < BLOCKS_PER_CHUNK, `no such block: ${block}`);
    if (this.isHeld(block)) this.#count -= 1;
    this.#epochs[block] = epoch;
    this.#seqs[block] = seq;
    this.#crcs[block] = crc;
    this.#checked[block] = 0;
    if (this.isHeld(block)) this.#count += 1;
  }
}
