/**
 * Numbers of the raw FUSE protocol (linux/fuse.h, 7.45). native/fuse_abi.h asserts the struct
 * layouts that the offsets in request.ts and reply.ts come from.
 */
export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

export type OpcodeName = keyof typeof OPCODE;

export const OPCODE_NAMES: ReadonlyMap<number, OpcodeName> = new Map(
  (Object.entries(OPCODE) as [OpcodeName, number][]).map(([name, code]) => [code, name]),
);

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ENTRY_OUT_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const OPEN_OUT_BYTES = 16;
export const STATFS_OUT_BYTES = 80;
export const INIT_OUT_BYTES = 64;
export const DIRENT_BYTES = 24;

/** fuse_setattr_in.valid */
export const FATTR = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 0x10,
  MTIME: 0x20,
  ATIME_NOW: 0x80,
  MTIME_NOW: 0x100,
  KILL_SUIDGID: 0x800,
} as const;

/** fuse_open_out.open_flags */
export const FOPEN = { DIRECT_IO: 1, KEEP_CACHE: 2, CACHE_DIR: 8 } as const;

/** fuse_getattr_in.getattr_flags: it names a descriptor. */
export const GETATTR_FH = 1;
export const OPEN_KILL_SUIDGID = 1;
export const WRITE_KILL_SUIDGID = 4;
export const WRITE_CACHE = 1;

/** fuse_file_lock.type */
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;
/** fuse_lk_in.lk_flags: of flock(2). */
export const LK_FLOCK = 1;
export const LK_OUT_BYTES = 24;
/** fuse_release_in.release_flags: what flock(2) locked through it goes. */
export const RELEASE_FLOCK_UNLOCK = 2;
