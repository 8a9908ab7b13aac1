/**
 * What the kernel may be caching of a mount, in a file that the guardian maps too: when this process
 * falls silent, the guardian makes the kernel forget it. The layout stands in
 * native/kernel_cache_table.h.
 */
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs';
import { native } from '../../../../native/index.ts';
import { FsError, toFsError } from '../../../common/errno.ts';
import type { Ino } from '../../../common/ids.ts';

const MAGIC = 0x31656863616366n;
const VERSION = 1n;
const HEADER_WORDS = 16;
export const KERNEL_CACHE_SLOTS = 262_144;
const BYTES = (HEADER_WORDS + KERNEL_CACHE_SLOTS) * 8;

/** Words of the header. */
const WORD = {
  MAGIC: 0,
  VERSION: 1,
  PID: 2,
  FD: 3,
  LEASE_END_MS: 4,
  WATCHER: 5,
  CAPABILITIES: 6,
  SLOTS_USED: 7,
  PURGES: 8,
  WATCHED_MS: 10,
} as const;
const INC_EPOCH = 1n;
/** The descriptor of a mount that has ended. */
const NONE = 2n ** 64n - 1n;
/** A guardian looks five times a second; one that is stopped or was killed does not. */
const WATCH_MS = 2_000;

export interface KernelCacheTableOptions {
  /** Of /dev/fuse, in this process. */
  readonly fuseFd: number;
  readonly incEpoch: boolean;
}

export class KernelCacheTable {
  readonly #words: BigUint64Array;
  readonly #slots = new Map<Ino, number>();
  readonly #free: number[] = [];
  #used = 0;
  #isClosed = false;

  private constructor(words: BigUint64Array) {
    this.#words = words;
  }

  /** Made anew: a guardian that watches an older file looks again. @throws FsError */
  static create(file: string, { fuseFd, incEpoch }: KernelCacheTableOptions): KernelCacheTable {
    try {
      rmSync(file, { force: true });
      const fd = openSync(file, 'wx+', 0o600);
      try {
        ftruncateSync(fd, BYTES);
        const words = new BigUint64Array(native.mapShared(fd, BYTES));
        words[WORD.VERSION] = VERSION;
        words[WORD.PID] = BigInt(process.pid);
        words[WORD.FD] = BigInt(fuseFd);
        words[WORD.CAPABILITIES] = incEpoch ? INC_EPOCH : 0n;
        words[WORD.MAGIC] = MAGIC;
        return new KernelCacheTable(words);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (error instanceof FsError) throw error;
      throw toFsError(error, `cannot make ${file}`);
    }
  }

  /** A guardian takes care, and looked a moment ago. */
  get watched(): boolean {
    if (this.#isClosed || this.#words[WORD.WATCHER] === 0n) return false;
    return native.bootMs() - Number(this.#words[WORD.WATCHED_MS]) < WATCH_MS;
  }

  /** How often the guardian made the kernel forget. */
  get purges(): number {
    return Number(this.#words[WORD.PURGES] ?? 0n);
  }

  /** Until then, in boot milliseconds, the kernel may keep what it was told. */
  extend(leaseEndMs: number): void {
    if (!this.#isClosed) this.#words[WORD.LEASE_END_MS] = BigInt(Math.floor(leaseEndMs));
  }

  /** @returns false when there is no place left */
  add(ino: Ino): boolean {
    if (this.#slots.has(ino)) return true;
    const slot = this.#free.pop() ?? this.#used;
    if (slot >= KERNEL_CACHE_SLOTS) return false;
    if (slot === this.#used) {
      this.#used += 1;
      this.#words[WORD.SLOTS_USED] = BigInt(this.#used);
    }
    this.#slots.set(ino, slot);
    this.#words[HEADER_WORDS + slot] = BigInt(ino);
    return true;
  }

  remove(ino: Ino): void {
    const slot = this.#slots.get(ino);
    if (slot === undefined) return;
    this.#slots.delete(ino);
    this.#free.push(slot);
    this.#words[HEADER_WORDS + slot] = 0n;
  }

  /** The kernel keeps nothing any more. */
  clear(): void {
    this.#words.fill(0n, HEADER_WORDS, HEADER_WORDS + this.#used);
    this.#words[WORD.SLOTS_USED] = 0n;
    this.#used = 0;
    this.#free.length = 0;
    this.#slots.clear();
  }

  /** Before the mount ends: the guardian lets go of the connection. */
  close(): void {
    this.#isClosed = true;
    this.#words[WORD.LEASE_END_MS] = 0n;
    this.#words[WORD.FD] = NONE;
    this.#words[WORD.PID] = 0n;
  }
}
