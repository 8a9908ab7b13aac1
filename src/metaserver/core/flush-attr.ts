import {
  type Attr,
  compareTime,
  isDirectory,
  isRegular,
  laterTime,
  type Timespec,
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Epoch, Ino } from '../../common/ids.ts';
import { requireInode } from './inodes.ts';
import { attrOf, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

/** Bytes were written at the home, in the state named: rules H4 and H5 of docs/PROTOCOL.md. */
export interface FlushAttrRequest {
  readonly ino: Ino;
  /** The file is at least this long. */
  readonly size: number;
  /** Of the last write: it moves ctime too. Absent: both stay. */
  readonly mtime: Timespec | undefined;
  /** The cuts the home had made. */
  readonly cuts: number;
  readonly rgEpoch: Epoch;
}

/** @throws FsError ESTALE cut since, or the home is another life: all of it must be sent again */
export function flushAttr(txn: Txn, request: FlushAttrRequest): Attr {
  const { ino } = request;
  const inode = requireInode(txn, ino);
  if (isDirectory(inode.mode)) throw new FsError('EISDIR', `inode ${ino} is a directory`);
  if (!isRegular(inode.mode)) throw new FsError('EINVAL', `inode ${ino} is not a regular file`);
  requireCuts(inode, request);
  const epoch = txn.group(inode.rg)?.epoch;
  if (request.rgEpoch !== epoch) {
    throw new FsError('ESTALE', `inode ${ino} was written in another epoch of group ${inode.rg}`);
  }
  const size = Math.max(inode.size, request.size);
  const times = nextTimes(inode, request);
  const changed: Inode = { ...inode, size, ...times, av: inode.av + 1, dv: inode.dv + 1 };
  txn.putInode(ino, changed);
  return attrOf(ino, changed);
}

/** @throws FsError ESTALE what is to be longer was cut since the caller looked */
export function requireCuts(
  inode: Inode,
  { ino, cuts }: { readonly ino: Ino; readonly cuts: number },
): void {
  if (cuts === inode.cuts) return;
  throw new FsError('ESTALE', `inode ${ino} was cut ${inode.cuts} times, not ${cuts}`);
}

/**
 * Both are those of the last write, as the writer has shown them since, so that nothing moves when
 * a file is closed. When something else has changed the inode later, that is its ctime. Of two
 * writers the later one shows; who makes the file longer is taken to be that.
 */
export function nextTimes(
  inode: Pick<Inode, 'ctime' | 'mtime' | 'size'>,
  { mtime, size }: Pick<FlushAttrRequest, 'mtime' | 'size'>,
): { readonly mtime: Timespec; readonly ctime: Timespec } {
  const { ctime } = inode;
  if (mtime === undefined) return { mtime: inode.mtime, ctime };
  // A time that was set, and lies in the future, counts no longer.
  if (compareTime(mtime, ctime) > 0) return { mtime, ctime: mtime };
  return { mtime: size > inode.size ? mtime : laterTime(mtime, inode.mtime), ctime };
}
