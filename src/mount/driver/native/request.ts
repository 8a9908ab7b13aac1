/**
 * Reads the fields of one request out of the session's slots. One view serves every request:
 * select() moves it, and a handler takes what it needs before its first await. Every access is
 * checked against the request's length, so a truncated or garbled request is EINVAL, never a
 * neighbour's bytes.
 */
import { FsError } from '../../../common/errno.ts';
import { asFh, asIno, type Fh, type Ino } from '../../../common/ids.ts';
import { IN_HEADER_BYTES } from './abi.ts';

const TWO_32 = 2 ** 32;

export class RequestView {
  readonly #words: Uint32Array;
  readonly #bytes: Buffer;
  readonly #slotBytes: number;
  #base = 0;
  #length = 0;

  constructor(slots: ArrayBuffer, slotBytes: number) {
    this.#words = new Uint32Array(slots);
    this.#bytes = Buffer.from(slots);
    this.#slotBytes = slotBytes;
  }

  /** @returns false when the slot holds no whole header or lies about its length */
  select(slot: number, length: number): boolean {
    this.#base = slot * this.#slotBytes;
    this.#length = length;
    return length >= IN_HEADER_BYTES && length <= this.#slotBytes && this.word(0) === length;
  }

  get opcode(): number {
    return this.word(4);
  }

  get uniqueLow(): number {
    return this.word(8);
  }

  get uniqueHigh(): number {
    return this.word(12);
  }

  get nodeid(): Ino {
    return asIno(this.#number(16));
  }

  /** As nodeid, to be shown only: 0 where it says nonsense. */
  get nodeNumber(): number {
    const value = this.word(20) * TWO_32 + this.word(16);
    return Number.isSafeInteger(value) ? value : 0;
  }

  get uid(): number {
    return this.word(24);
  }

  get gid(): number {
    return this.word(28);
  }

  /** A u32 of the arguments; offsets count from the end of the header. */
  u32(offset: number): number {
    return this.word(IN_HEADER_BYTES + offset);
  }

  /** A u64 that must be below 2^53; EINVAL otherwise. */
  u64(offset: number): number {
    return this.#number(IN_HEADER_BYTES + offset);
  }

  /** A u64 as it is. */
  big(offset: number): bigint {
    const at = IN_HEADER_BYTES + offset;
    return (BigInt(this.word(at + 4)) << 32n) | BigInt(this.word(at));
  }

  /** A signed 64-bit number of seconds. */
  seconds(offset: number): number {
    const at = IN_HEADER_BYTES + offset;
    return (this.word(at + 4) | 0) * TWO_32 + this.word(at);
  }

  ino(offset: number): Ino {
    return asIno(this.u64(offset));
  }

  fh(offset: number): Fh {
    return asFh(this.u64(offset));
  }

  /** Arguments are at least `bytes` long. */
  need(bytes: number): void {
    if (this.#length < IN_HEADER_BYTES + bytes) throw truncated();
  }

  /** The NUL-terminated string at `offset` as latin1, and where the next argument starts. */
  name(offset: number): { text: string; next: number } {
    const start = this.#base + IN_HEADER_BYTES + offset;
    const limit = this.#base + this.#length;
    const end = start < limit ? this.#bytes.indexOf(0, start) : -1;
    if (end < 0 || end >= limit) throw truncated();
    const text = this.#bytes.toString('latin1', start, end);
    return { text, next: end + 1 - this.#base - IN_HEADER_BYTES };
  }

  /** A view of `length` payload bytes at `offset`; valid while the slot is held. */
  payload(offset: number, length: number): Uint8Array {
    this.need(offset + length);
    return this.#bytes.subarray(
      this.#base + IN_HEADER_BYTES + offset,
      this.#base + IN_HEADER_BYTES + offset + length,
    );
  }

  private word(offset: number): number {
    if (offset + 4 > this.#length) throw truncated();
    return this.#words[(this.#base + offset) >>> 2] ?? 0;
  }

  #number(offset: number): number {
    const value = this.word(offset + 4) * TWO_32 + this.word(offset);
    if (!Number.isSafeInteger(value)) {
      throw new FsError('EINVAL', `a request field of ${value} exceeds 2^53`);
    }
    return value;
  }
}

function truncated(): FsError {
  return new FsError('EINVAL', 'a kernel request is shorter than its arguments');
}
