/**
 * Lays out replies in the session's one reply buffer. A reply is filled and sent in the same
 * synchronous stretch, so replies never overlap. Payload offsets count from the end of the header.
 */
import type { Timespec } from '../../../common/attr.ts';
import type {
  AbsentResult,
  DirEntryResult,
  EntryResult,
  StatFsResult,
  StatResult,
} from '../driver.ts';
import {
  ATTR_OUT_BYTES,
  DIRENT_BYTES,
  ENTRY_OUT_BYTES,
  OPEN_OUT_BYTES,
  OUT_HEADER_BYTES,
  STATFS_OUT_BYTES,
} from './abi.ts';

const TWO_32 = 2 ** 32;
const BLOCK_BYTES = 4096;
const NAME_BYTES_MAX = 255;

export class ReplyWriter {
  readonly #words: Uint32Array;
  readonly #bytes: Buffer;

  constructor(reply: ArrayBuffer) {
    this.#words = new Uint32Array(reply);
    this.#bytes = Buffer.from(reply);
  }

  get capacity(): number {
    return this.#bytes.length - OUT_HEADER_BYTES;
  }

  /** The header of a reply with `payloadBytes` of payload, or of a bare error (positive errno). */
  header(reply: {
    readonly uniqueLow: number;
    readonly uniqueHigh: number;
    readonly payloadBytes: number;
    readonly errno?: number;
  }): number {
    const length = OUT_HEADER_BYTES + reply.payloadBytes;
    this.#words[0] = length;
    this.#words[1] = -(reply.errno ?? 0) >>> 0;
    this.#words[2] = reply.uniqueLow;
    this.#words[3] = reply.uniqueHigh;
    return length;
  }

  u32(offset: number, value: number): void {
    this.#words[(OUT_HEADER_BYTES + offset) >>> 2] = value;
  }

  u64(offset: number, value: number): void {
    this.u32(offset, value >>> 0);
    this.u32(offset + 4, Math.floor(value / TWO_32) >>> 0);
  }

  big(offset: number, value: bigint): void {
    this.u32(offset, Number(value & 0xffff_ffffn));
    this.u32(offset + 4, Number(value >> 32n));
  }

  zero(offset: number, length: number): void {
    this.#bytes.fill(0, OUT_HEADER_BYTES + offset, OUT_HEADER_BYTES + offset + length);
  }

  latin1(offset: number, text: string): number {
    return this.#bytes.write(text, OUT_HEADER_BYTES + offset, 'latin1');
  }

  /** fuse_entry_out at `offset`. */
  entry(entry: EntryResult, offset = 0): number {
    return this.#entry(entry, entry.entryValidMs, offset);
  }

  /** fuse_entry_out that says there is no such name. */
  absent(absent: AbsentResult): number {
    this.zero(0, ENTRY_OUT_BYTES);
    this.#validity(16, 32, absent.entryValidMs);
    return ENTRY_OUT_BYTES;
  }

  #entry(stat: StatResult, entryValidMs: number, offset: number): number {
    this.u64(offset, stat.attr.ino);
    this.u64(offset + 8, 0);
    this.#validity(offset + 16, offset + 32, entryValidMs);
    this.#validity(offset + 24, offset + 36, stat.attrValidMs);
    this.#attr(offset + 40, stat);
    return ENTRY_OUT_BYTES;
  }

  /** fuse_attr_out. */
  attr(stat: StatResult): number {
    this.#validity(0, 8, stat.attrValidMs);
    this.u32(12, 0);
    this.#attr(16, stat);
    return ATTR_OUT_BYTES;
  }

  /** fuse_open_out at `offset`. */
  open(fh: number, flags: number, offset = 0): number {
    this.u64(offset, fh);
    this.u32(offset + 8, flags);
    this.u32(offset + 12, 0);
    return OPEN_OUT_BYTES;
  }

  statfs(space: StatFsResult): number {
    this.zero(0, STATFS_OUT_BYTES);
    this.u64(0, Math.floor(space.bytesTotal / BLOCK_BYTES));
    this.u64(8, Math.floor(space.bytesFree / BLOCK_BYTES));
    this.u64(16, Math.floor(space.bytesFree / BLOCK_BYTES));
    this.u64(24, space.files);
    this.u64(32, space.files);
    this.u32(40, BLOCK_BYTES);
    this.u32(44, NAME_BYTES_MAX);
    this.u32(48, BLOCK_BYTES);
    return STATFS_OUT_BYTES;
  }

  /**
   * One dirent, or direntplus with `plus`, at `offset`.
   * @returns bytes written, 0 when it does not fit before `limit`
   */
  dirent(
    entry: DirEntryResult,
    place: { readonly offset: number; readonly limit: number; readonly plus: boolean },
  ): number {
    const prefix = place.plus ? ENTRY_OUT_BYTES : 0;
    const bytes = (prefix + DIRENT_BYTES + entry.name.length + 7) & ~7;
    if (place.offset + bytes > place.limit) return 0;
    let at = place.offset;
    this.zero(at + bytes - 8, 8);
    if (place.plus) {
      if (entry.stat === undefined) this.zero(at, ENTRY_OUT_BYTES);
      else this.#entry(entry.stat, entry.entryValidMs, at);
      at += ENTRY_OUT_BYTES;
    }
    this.u64(at, entry.ino);
    this.u64(at + 8, entry.cookie);
    this.u32(at + 16, entry.name.length);
    this.u32(at + 20, entry.type >>> 12);
    this.latin1(at + DIRENT_BYTES, entry.name);
    return bytes;
  }

  #validity(secondsAt: number, nanosecondsAt: number, ms: number): void {
    this.u64(secondsAt, Math.floor(ms / 1000));
    this.u32(nanosecondsAt, (ms % 1000) * 1e6);
  }

  #time(secondsAt: number, nanosecondsAt: number, time: Timespec): void {
    this.u64(secondsAt, time.sec);
    this.u32(nanosecondsAt, time.nsec);
  }

  #attr(offset: number, stat: StatResult): void {
    const { attr } = stat;
    this.u64(offset, attr.ino);
    this.u64(offset + 8, attr.size);
    this.u64(offset + 16, stat.blocks);
    this.#time(offset + 24, offset + 48, attr.atime);
    this.#time(offset + 32, offset + 52, attr.mtime);
    this.#time(offset + 40, offset + 56, attr.ctime);
    this.u32(offset + 60, attr.mode);
    this.u32(offset + 64, attr.nlink);
    this.u32(offset + 68, attr.uid);
    this.u32(offset + 72, attr.gid);
    this.u32(offset + 76, attr.rdev);
    this.u32(offset + 80, BLOCK_BYTES);
    this.u32(offset + 84, 0);
  }
}
