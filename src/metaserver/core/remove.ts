import { type Attr, isDirectory } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import {
  changeDirectory,
  dropEntry,
  dropLink,
  entryInode,
  type KnownTarget,
  type OpContext,
  requireDirectory,
} from './inodes.ts';
import { checkOldName } from './names.ts';
import { attrOf } from './records.ts';
import type { Txn } from './txn.ts';

export interface RemoveRequest extends KnownTarget {
  readonly parent: Ino;
  readonly name: string;
  /** rmdir; unlink otherwise. */
  readonly directory: boolean;
}

export interface RemoveResult {
  readonly parent: Attr;
  /** The inode that lost a link; it may be gone by now. */
  readonly attr: Attr;
  readonly kept: boolean;
}

/** @throws FsError ENOENT, ENOTDIR, EISDIR, ENOTEMPTY */
export function remove(txn: Txn, request: RemoveRequest, context: OpContext): RemoveResult {
  const { parent, name, directory } = request;
  checkOldName(name);
  requireDirectory(txn, parent);
  const entry = txn.entry(parent, name);
  if (entry === undefined) throw new FsError('ENOENT', `no such name in directory ${parent}`);
  const target = entryInode(txn, entry);
  if (directory && !isDirectory(target.mode)) {
    throw new FsError('ENOTDIR', `inode ${entry.ino} is not a directory`);
  }
  if (!directory && isDirectory(target.mode)) {
    throw new FsError('EISDIR', `inode ${entry.ino} is a directory`);
  }
  if (directory && target.entries > 0) {
    throw new FsError('ENOTEMPTY', `directory ${entry.ino} has ${target.entries} entries`);
  }
  const { now } = context;
  dropEntry(txn, { parent, name, seq: entry.seq }, context);
  const dropped = dropLink(txn, entry.ino, request, context);
  const links = directory ? -1 : 0;
  const dir = changeDirectory(txn, parent, { entries: -1, links, seqs: 0, now });
  return {
    parent: attrOf(parent, dir),
    attr: attrOf(entry.ino, dropped.inode),
    kept: dropped.kept,
  };
}
