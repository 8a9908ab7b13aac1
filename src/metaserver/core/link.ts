import { type Attr, isDirectory, LINKS_MAX, S_IFMT, timeAfter } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import {
  changeDirectory,
  newPlace,
  type OpContext,
  requireDirectory,
  requireInode,
  requireSpace,
} from './inodes.ts';
import { checkNewName } from './names.ts';
import { attrOf, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

export interface LinkRequest {
  readonly ino: Ino;
  readonly newParent: Ino;
  readonly newName: string;
}

/** @throws FsError ENOENT (also without a link left), ENOTDIR, EEXIST, EPERM, EMLINK, ENOSPC */
export function link(
  txn: Txn,
  request: LinkRequest,
  context: OpContext,
): { readonly attr: Attr; readonly parent: Attr } {
  const { ino, newParent, newName } = request;
  checkNewName(newName);
  const dir = requireDirectory(txn, newParent);
  if (txn.entry(newParent, newName) !== undefined) {
    throw new FsError('EEXIST', `the name exists in directory ${newParent}`);
  }
  const inode = requireInode(txn, ino);
  if (isDirectory(inode.mode)) throw new FsError('EPERM', `inode ${ino} is a directory`);
  if (inode.nlink === 0) throw new FsError('ENOENT', `inode ${ino} has no link any more`);
  if (inode.nlink >= LINKS_MAX) throw new FsError('EMLINK', `inode ${ino} has too many links`);
  requireSpace(context);
  const { now } = context;
  const ctime = timeAfter(inode.ctime, now);
  const changed: Inode = { ...inode, nlink: inode.nlink + 1, ctime, av: inode.av + 1 };
  txn.putInode(ino, changed);
  const { seq, seqs } = newPlace(txn, dir, { parent: newParent, name: newName }, context);
  txn.putEntry(newParent, newName, { ino, type: inode.mode & S_IFMT, seq });
  const parent = changeDirectory(txn, newParent, { entries: 1, links: 0, seqs, now });
  return { attr: attrOf(ino, changed), parent: attrOf(newParent, parent) };
}
