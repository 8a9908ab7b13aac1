import { type Attr, isSymlink } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import { entryInode, requireDirectory, requireInode } from './inodes.ts';
import { checkLookupName } from './names.ts';
import { attrOf } from './records.ts';
import type { Txn } from './txn.ts';

/** '.' and '..' are answered too, for callers that know an ino but no path. */
export function lookup(txn: Txn, parent: Ino, name: string): Attr {
  checkLookupName(name);
  const dir = requireDirectory(txn, parent);
  if (name === '.') return attrOf(parent, dir);
  if (name === '..') return attrOf(dir.parent, requireInode(txn, dir.parent));
  const entry = txn.entry(parent, name);
  if (entry === undefined) throw new FsError('ENOENT', `no such name in directory ${parent}`);
  return attrOf(entry.ino, entryInode(txn, entry));
}

export function getattr(txn: Txn, ino: Ino): Attr {
  return attrOf(ino, requireInode(txn, ino));
}

export function readlink(txn: Txn, ino: Ino): string {
  const inode = requireInode(txn, ino);
  if (!isSymlink(inode.mode)) throw new FsError('EINVAL', `inode ${ino} is not a symlink`);
  const target = txn.symlink(ino);
  if (target === undefined) throw new FsError('EIO', `symlink ${ino} has lost its target`);
  return target;
}
