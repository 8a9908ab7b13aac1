/** create, mknod, mkdir and symlink. */
import {
  type Attr,
  isDirectory,
  isRegular,
  isSymlink,
  PERMISSION_BITS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  SYMLINK_BYTES_MAX,
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import { asIno, FIRST_GROUP, type Ino } from '../../common/ids.ts';
import {
  changeDirectory,
  entryInode,
  newPlace,
  type OpContext,
  requireDirectory,
  requireLinkRoom,
  requireSpace,
} from './inodes.ts';
import { checkNewName } from './names.ts';
import { attrOf, type Entry, FIRST_SEQ, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

export interface MakeRequest {
  readonly parent: Ino;
  readonly name: string;
  /** Type and permissions after the umask; type 0 makes a regular file, as mknod(2) does. */
  readonly mode: number;
  readonly rdev: number;
  /** Symlinks only. */
  readonly target: string;
  readonly uid: number;
  readonly gid: number;
  /** An existing regular file is returned instead of EEXIST. */
  readonly openExisting: boolean;
}

export interface MakeResult {
  readonly attr: Attr;
  readonly parent: Attr;
  readonly existed: boolean;
}

const NO_PARENT = asIno(0);

const TYPES: ReadonlySet<number> = new Set([
  S_IFREG,
  S_IFDIR,
  S_IFLNK,
  S_IFCHR,
  S_IFBLK,
  S_IFIFO,
  S_IFSOCK,
]);

function typeOf(request: MakeRequest): number {
  const type = request.mode & S_IFMT;
  if (type === 0) return S_IFREG;
  if (!TYPES.has(type)) throw new FsError('EINVAL', `unknown file type ${type.toString(8)}`);
  return type;
}

function checkTarget(target: string): void {
  if (target === '') throw new FsError('ENOENT', 'the target of a symlink is empty');
  if (target.length > SYMLINK_BYTES_MAX) {
    throw new FsError('ENAMETOOLONG', `a target has ${target.length} bytes`);
  }
  if (target.includes('\0')) throw new FsError('EINVAL', 'a target holds a zero byte');
}

function newInode(request: MakeRequest, type: number, context: OpContext, dir: Inode): Inode {
  const { now } = context;
  const inherits = (dir.mode & S_ISGID) !== 0;
  const sgid = inherits && type === S_IFDIR ? S_ISGID : 0;
  const directory = type === S_IFDIR;
  return {
    mode: type | (request.mode & PERMISSION_BITS) | sgid,
    nlink: directory ? 2 : 1,
    uid: request.uid,
    gid: inherits ? dir.gid : request.gid,
    rdev: type === S_IFCHR || type === S_IFBLK ? request.rdev : 0,
    size: type === S_IFLNK ? request.target.length : 0,
    atime: now,
    mtime: now,
    ctime: now,
    btime: now,
    av: 1,
    rg: type === S_IFREG ? context.placement() : FIRST_GROUP,
    parent: directory ? request.parent : NO_PARENT,
    entries: 0,
    dirv: directory ? 1 : 0,
    nextSeq: directory ? FIRST_SEQ : 0,
    openers: 0,
    dv: 0,
    cuts: 0,
  };
}

function reopen(txn: Txn, request: MakeRequest, dir: Inode, entry: Entry): MakeResult {
  const inode = entryInode(txn, entry);
  const wanted = request.openExisting && (request.mode & S_IFMT) === S_IFREG;
  if (!wanted || !isRegular(inode.mode)) {
    throw new FsError('EEXIST', `the name exists in directory ${request.parent}`);
  }
  const parent = attrOf(request.parent, dir);
  return { attr: attrOf(entry.ino, inode), parent, existed: true };
}

export function make(txn: Txn, request: MakeRequest, context: OpContext): MakeResult {
  checkNewName(request.name);
  const type = typeOf(request);
  if (type === S_IFLNK) checkTarget(request.target);
  const { parent, name } = request;
  const dir = requireDirectory(txn, parent);
  const existing = txn.entry(parent, name);
  if (existing !== undefined) return reopen(txn, request, dir, existing);
  const inode = newInode(request, type, context, dir);
  if (isDirectory(inode.mode)) requireLinkRoom(dir, parent);
  requireSpace(context);
  const ino = context.takeIno();
  txn.addInode(ino, inode);
  if (isSymlink(inode.mode)) txn.putSymlink(ino, request.target);
  const { seq, seqs } = newPlace(txn, dir, request, context);
  txn.putEntry(parent, name, { ino, type, seq });
  const links = isDirectory(inode.mode) ? 1 : 0;
  const changed = changeDirectory(txn, parent, { entries: 1, links, seqs, now: context.now });
  return { attr: attrOf(ino, inode), parent: attrOf(parent, changed), existed: false };
}
