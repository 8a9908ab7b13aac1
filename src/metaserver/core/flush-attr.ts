import {
  type Attr,
  compareTime,
  isDirectory,
  isRegular,
  type Timespec,
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import { requireInode } from './inodes.ts';
import { attrOf, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

export interface FlushAttrRequest {
  readonly ino: Ino;
  readonly size: number;
  /** Absent: stays. */
  readonly mtime: Timespec | undefined;
}

/** Absolute values of the writer: what is already stored changes nothing, so a repeat is harmless. */
export function flushAttr(txn: Txn, request: FlushAttrRequest, now: Timespec): Attr {
  const { ino, size } = request;
  const inode = requireInode(txn, ino);
  if (isDirectory(inode.mode)) throw new FsError('EISDIR', `inode ${ino} is a directory`);
  if (!isRegular(inode.mode)) throw new FsError('EINVAL', `inode ${ino} is not a regular file`);
  const mtime = request.mtime ?? inode.mtime;
  if (size === inode.size && compareTime(mtime, inode.mtime) === 0) return attrOf(ino, inode);
  const changed: Inode = { ...inode, size, mtime, ctime: now, av: inode.av + 1 };
  txn.putInode(ino, changed);
  return attrOf(ino, changed);
}
