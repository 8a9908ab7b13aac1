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
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
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

function nextTime(change: Timespec | 'now' | undefined, old: Timespec, now: Timespec): Timespec {
  if (change === undefined) return old;
  return change === 'now' ? now : change;
}

export function setattr(txn: Txn, request: SetAttrRequest, now: Timespec): Attr {
  const { ino } = request;
  const inode = requireInode(txn, ino);
  if (request.size !== undefined) checkSize(inode, ino);
  // Truncation moves mtime even when the size stays the same.
  const mtime = request.mtime ?? (request.size === undefined ? undefined : 'now');
  const changed: Inode = {
    ...inode,
    mode: nextMode(inode, request),
    uid: request.uid ?? inode.uid,
    gid: request.gid ?? inode.gid,
    size: request.size ?? inode.size,
    atime: nextTime(request.atime, inode.atime, now),
    mtime: nextTime(mtime, inode.mtime, now),
    ctime: now,
    av: inode.av + 1,
  };
  txn.putInode(ino, changed);
  return attrOf(ino, changed);
}
