import { BLOCK_BYTES, CHUNK_BYTES } from '../../src/common/ids.ts';
import type { Random } from '../support/random.ts';
import { solidBytes } from '../support/store-helpers.ts';

type SomeRecord =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

/** A file as an array; bytes past its size are zero. */
export class FileModel {
  readonly #random: Random;
  readonly #bytes: Buffer;
  readonly #bytesMax: number;

  constructor(random: Random, bytesMax: number) {
    this.#random = random;
    this.#bytesMax = bytesMax;
    this.#bytes = Buffer.alloc(bytesMax);
  }

  /** Draws a change and applies it here. */
  change(): SomeRecord {
    const [offset, length] = this.someRange();
    const choice = this.#random.below(10);
    if (choice === 0) {
      this.#bytes.fill(0, offset);
      return { kind: 'truncate', size: offset };
    }
    if (choice <= 2) {
      this.#bytes.fill(0, offset, offset + length);
      return { kind: 'zero', offset, length };
    }
    const data = solidBytes(this.#random, length);
    data.copy(this.#bytes, offset);
    return { kind: 'write', offset, data };
  }

  at([offset, length]: [number, number]): Buffer {
    return this.#bytes.subarray(offset, offset + length);
  }

  /** Often close to the edges of blocks and chunks. */
  someRange(): [number, number] {
    const random = this.#random;
    const unit = [1, 4096, BLOCK_BYTES, CHUNK_BYTES][random.below(4)] ?? 1;
    const edge = random.below(Math.floor(this.#bytesMax / unit)) * unit;
    const offset = Math.min(Math.max(0, edge + random.below(5) - 2), this.#bytesMax - 1);
    const longest = [16, 5_000, 3 * BLOCK_BYTES, 600_000][random.below(4)] ?? 16;
    return [offset, Math.min(1 + random.below(longest), this.#bytesMax - offset)];
  }
}
