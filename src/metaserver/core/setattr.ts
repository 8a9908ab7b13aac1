import {
  type Attr,
  isDirectory,
  isRegular,
  PERMISSION_BITS,
  S_IFMT,
  S_ISGID,
  S_ISUID,
  S_IXGRP,
  type Timespec,
  timeAfter,
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import { requireCuts } from './flush-attr.ts';
import { requireInode } from './inodes.ts';
import { attrOf, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

/** Absent fields stay; a request that changes nothing still moves ctime. */
export interface SetAttrRequest {
  readonly ino: Ino;
  /** Permission bits; the type is kept. */
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly size: number | undefined;
  readonly atime: Timespec | 'now' | undefined;
  readonly mtime: Timespec | 'now' | undefined;
  readonly killSuidgid: boolean;
  /** Makes the new size a cut, although it is not below the size stored: more was written. */
  readonly cut: boolean;
  /** The cuts the caller knows of; a larger size is refused under others. */
  readonly cuts: number;
}

/** chown(2) and writes: set-user-id goes, set-group-id where the group may execute. */
function withoutSuidgid(mode: number): number {
  const sgid = (mode & S_IXGRP) === 0 ? 0 : S_ISGID;
  return mode & ~(S_ISUID | sgid);
}

function nextMode(inode: Inode, request: SetAttrRequest): number {
  if (request.mode !== undefined) {
    return (inode.mode & S_IFMT) | (request.mode & PERMISSION_BITS);
  }
  const chown = request.uid !== undefined || request.gid !== undefined;
  const kill = (chown || request.killSuidgid) && !isDirectory(inode.mode);
  return kill ? withoutSuidgid(inode.mode) : inode.mode;
}

function checkSize(inode: Inode, ino: Ino): void {
  if (isDirectory(inode.mode)) throw new FsError('EISDIR', `inode ${ino} is a directory`);
  if (!isRegular(inode.mode)) throw new FsError('EINVAL', `inode ${ino} is not a regular file`);
}

/** Rules H3, H4 and H7 of docs/PROTOCOL.md. @throws FsError ESTALE */
function resized(inode: Inode, request: SetAttrRequest): Pick<Inode, 'size' | 'cuts' | 'dv'> {
  const { cut, size } = request;
  if (size === undefined) return inode;
  if (size > inode.size) requireCuts(inode, request);
  const cuts = size < inode.size || cut ? inode.cuts + 1 : inode.cuts;
  return { size, cuts, dv: inode.dv + 1 };
}

function nextTime(change: Timespec | 'now' | undefined, old: Timespec, now: Timespec): Timespec {
  if (change === undefined) return old;
  return change === 'now' ? now : change;
}

export function setattr(txn: Txn, request: SetAttrRequest, clock: Timespec): Attr {
  const { ino } = request;
  const inode = requireInode(txn, ino);
  const now = timeAfter(inode.ctime, clock);
  if (request.size !== undefined) checkSize(inode, ino);
  // Truncation moves mtime even when the size stays the same.
  const mtime = request.mtime ?? (request.size === undefined ? undefined : 'now');
  const { size, cuts, dv } = resized(inode, request);
  const changed: Inode = {
    ...inode,
    size,
    cuts,
    dv,
    mode: nextMode(inode, request),
    uid: request.uid ?? inode.uid,
    gid: request.gid ?? inode.gid,
    atime: nextTime(request.atime, inode.atime, now),
    mtime: nextTime(mtime, inode.mtime, now),
    ctime: now,
    av: inode.av + 1,
  };
  txn.putInode(ino, changed);
  return attrOf(ino, changed);
}
