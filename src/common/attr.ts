import type { GroupId, Ino } from './ids.ts';

/** Signed seconds since 1970 and 0..999999999 nanoseconds. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** What stat(2) shows, plus versions. `mode` holds the type bits (S_IFMT) too. */
export interface Attr {
  readonly ino: Ino;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Device number in Linux's 32-bit encoding, for character and block devices. */
  readonly rdev: number;
  readonly size: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** Attribute version: moves with every change of the record. */
  readonly av: number;
  /** Directories: moves with every change of the entries; 0 otherwise. */
  readonly dirv: number;
  /** Data version: moves whenever bytes or size of the file were published. */
  readonly dv: number;
  /** How often the file was cut (truncated to a smaller size). */
  readonly cuts: number;
  /** The replica group that holds the bytes. */
  readonly rg: GroupId;
}

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IXGRP = 0o0010;
export const PERMISSION_BITS = 0o7777;

export const NAME_BYTES_MAX = 255;
export const SYMLINK_BYTES_MAX = 4095;
export const LINKS_MAX = 65_000;
/** Sizes stay exact JS integers. */
export const FILE_BYTES_MAX = Number.MAX_SAFE_INTEGER;

export const isDirectory = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;
export const isRegular = (mode: number): boolean => (mode & S_IFMT) === S_IFREG;
export const isSymlink = (mode: number): boolean => (mode & S_IFMT) === S_IFLNK;

/** Negative, zero or positive as `a` is earlier than, equal to or later than `b`. */
export function compareTime(a: Timespec, b: Timespec): number {
  return a.sec - b.sec || a.nsec - b.nsec;
}

export function laterTime(a: Timespec, b: Timespec): Timespec {
  return compareTime(a, b) > 0 ? a : b;
}

/** When something changes that changed at `last`: now, or just after that where clocks disagree. */
export function timeAfter(last: Timespec, now: Timespec): Timespec {
  if (compareTime(now, last) > 0) return now;
  const isLast = last.nsec === 999_999_999;
  return isLast ? { sec: last.sec + 1, nsec: 0 } : { sec: last.sec, nsec: last.nsec + 1 };
}
