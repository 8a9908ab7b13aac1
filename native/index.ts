/**
 * The typed face of the C++ addon; the only importer of the .node file. Mechanism only: no paths
 * of the filesystem, no policy. Every function throws an Error with `errno` (positive), `code`
 * and `syscall` when the kernel refuses.
 */
import { createRequire } from 'node:module';

export interface FuseMountOptions {
  /** An existing directory. */
  readonly mountpoint: string;
  /** Shown as the source in /proc/mounts. */
  readonly source: string;
  /** The type is `fuse.<subtype>`. */
  readonly subtype: string;
  /** MS_* bits of mount(2). */
  readonly flags: number;
  /** Comma-separated FUSE options without fd, rootmode, user_id and group_id. */
  readonly options: string;
}

export interface FuseSessionOptions {
  /** An open /dev/fuse descriptor; the session owns and closes it. */
  readonly fd: number;
  readonly slotCount: number;
  /** At least max_write + 4096. */
  readonly slotBytes: number;
  /** The reply buffer: 16 header bytes and the largest payload. */
  readonly replyBytes: number;
  /**
   * One request lies in slot `slot` with `length` bytes. The slot is free again when the call
   * returns, unless keepSlot was called in it.
   */
  onRequest(slot: number, length: number): void;
  /** The connection is over: ENODEV unmounted, ECONNABORTED aborted. Called once. */
  onEnd(errno: number): void;
}

/**
 * One FUSE connection polled on the event loop of the thread that made it. Requests are read
 * until EAGAIN, at most 64 a wake; polling pauses while no slot is free.
 */
export interface FuseSession {
  /** slotCount * slotBytes; slot n starts at n * slotBytes. Made once, never moved. */
  readonly slots: ArrayBuffer;
  readonly reply: ArrayBuffer;
  start(): void;
  /** Writes the first `length` bytes of the reply buffer. @returns 0 or a positive errno */
  send(length: number): number;
  /** Writes the 16-byte header in the reply buffer followed by `payload`. */
  sendPayload(payload: Uint8Array): number;
  keepSlot(slot: number): void;
  releaseSlot(slot: number): void;
  /** Stops polling and closes the descriptor; onEnd is not called any more. Idempotent. */
  close(): void;
}

/**
 * Notifications to the kernel of one connection, written by threads of their own: they may wait for
 * answers to requests. Each resolves to 0 or a positive errno (ENOENT: the kernel does not know
 * the inode, ENODEV: the connection or the notifier is closed) and never rejects.
 */
export interface FuseNotifier {
  /** `offset` -1: attributes only, which never blocks; `length` 0: data to the end, and attributes. */
  invalInode(ino: number, offset: number, length: number): Promise<number>;
  invalEntry(parent: number, name: Uint8Array): Promise<number>;
  /**
   * The file is at least `size` bytes long, which it is from before this waits for anything (the
   * last page may be locked). Resolves to EFAULT when all went well.
   */
  extend(ino: number, size: number): Promise<number>;
  /** No name of the mount holds any more. Never blocks; since protocol 7.44. */
  incEpoch(): Promise<number>;
  /** Notifications without an answer. */
  readonly busy: number;
  /** How long the oldest of them has waited, in milliseconds of CLOCK_BOOTTIME; 0: there is none. */
  readonly oldestMs: number;
  /** What waits resolves to ENODEV; what the kernel has of it is not waited for. */
  close(): void;
}

export interface FileStat {
  readonly size: number;
  /** 512-byte units. */
  readonly blocks: number;
}

interface Addon {
  FuseSession: new (options: FuseSessionOptions) => FuseSession;
  /** Duplicates the descriptor. */
  FuseNotifier: new (options: {
    readonly fd: number;
  }) => FuseNotifier;
  /** Opens /dev/fuse and mounts: mount(2) as root, fusermount3 otherwise. @returns the fd */
  fuseMount(options: FuseMountOptions): number;
  /** umount2(2) on a worker thread (fusermount3 -u unless root); `flags` are MNT_* bits. */
  unmount(mountpoint: string, flags: number): Promise<void>;
  /**
   * Ends the connection of a /dev/fuse descriptor: every request fails, and whatever waits for an
   * answer goes on, notifications and umount2(2) too. Needs neither a mountpoint nor a mounted
   * control filesystem. @returns false when the kernel or the user's rights do not allow it
   */
  abortConnection(fd: number): boolean;
  /** Fills `target`; fewer bytes than asked only at end of file. @returns bytes read */
  pread(
    fd: number,
    target: Uint8Array | ArrayBuffer,
    targetOffset: number,
    length: number,
    position: number,
  ): number;
  /** Writes all of it or throws. @returns bytes written, less than asked only on ENOSPC midway */
  pwrite(
    fd: number,
    source: Uint8Array | ArrayBuffer,
    sourceOffset: number,
    length: number,
    position: number,
  ): number;
  fallocate(fd: number, mode: number, offset: number, length: number): void;
  fstat(fd: number): FileStat;
  /** flock(2) with LOCK_NB. @returns false when another description holds it */
  flock(fd: number, exclusive: boolean): boolean;
  /** All of a file in memory, shared with others that map it, until it is collected. */
  mapShared(fd: number, bytes: number): ArrayBuffer;
  /** CRC32C (Castagnoli) of a range, continuing `seed` (0 to start). */
  crc32c(seed: number, data: Uint8Array | ArrayBuffer, offset: number, length: number): number;
  /** CLOCK_BOOTTIME in milliseconds, with fraction. */
  bootMs(): number;
  /** CLOCK_REALTIME: target[0] seconds, target[1] nanoseconds. */
  realtime(target: Float64Array): void;
}

const require = createRequire(import.meta.url);

/** The addon lies in build/Release of the checkout, two levels above dist/native/. */
export const native = require('../../build/Release/dfs.node') as Addon;

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOATIME = 1024;
export const MNT_DETACH = 2;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
