/** Steps that several operations share: finding inodes, moving directories on, last links. */
import {
  isDirectory,
  isRegular,
  isSymlink,
  LINKS_MAX,
  laterTime,
  type Timespec,
  timeAfter,
} from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Epoch, GroupId, Ino, SessionId } from '../../common/ids.ts';
import type { FormerPlaces } from './former-places.ts';
import type { Entry, Inode } from './records.ts';
import type { Txn } from './txn.ts';

/** What an operation needs from outside. */
export interface OpContext {
  readonly now: Timespec;
  readonly sid: SessionId;
  /** The replica group of a new file. @throws FsError EIO */
  placement(): GroupId;
  /** False while the database's disk is nearly full: nothing may be added then. */
  readonly mayGrow: boolean;
  readonly places: FormerPlaces;
  /** Other sessions that have the file open. */
  openElsewhere(ino: Ino): readonly SessionId[];
  /** A number never handed out before. Taken last, when nothing can fail any more. */
  takeIno(): Ino;
}

/** What the caller saw under a name it removes, and whether it has that open. */
export interface KnownTarget {
  readonly knownIno: number;
  readonly knownOpen: boolean;
}

export interface SessionRef {
  readonly sid: SessionId;
  readonly sepoch: Epoch;
}

export function requireInode(txn: Txn, ino: Ino): Inode {
  const inode = txn.inode(ino);
  if (inode === undefined) throw new FsError('ENOENT', `inode ${ino} does not exist`);
  return inode;
}

/** @throws FsError ENOENT, also for a directory that was removed; ENOTDIR */
export function requireDirectory(txn: Txn, ino: Ino): Inode {
  const inode = requireInode(txn, ino);
  if (!isDirectory(inode.mode)) throw new FsError('ENOTDIR', `inode ${ino} is not a directory`);
  if (inode.nlink === 0) throw new FsError('ENOENT', `directory ${ino} was removed`);
  return inode;
}

/** The inode behind an entry; its absence means a damaged database. */
export function entryInode(txn: Txn, entry: Entry): Inode {
  const inode = txn.inode(entry.ino);
  if (inode === undefined) throw new FsError('EIO', `an entry names missing inode ${entry.ino}`);
  return inode;
}

export function requireSpace(context: OpContext): void {
  if (!context.mayGrow) throw new FsError('ENOSPC', 'the disk of the metaserver is nearly full');
}

export function requireLinkRoom(dir: Inode, ino: Ino): void {
  if (dir.nlink >= LINKS_MAX) throw new FsError('EMLINK', `directory ${ino} has too many children`);
}

/** Where a name stands in the listing of its directory; `seqs` are used up for that. */
export interface Place {
  readonly seq: number;
  readonly seqs: 0 | 1;
}

/** Where an absent name will stand: where it stood when it was there not long ago, else at the end. */
export function newPlace(
  txn: Txn,
  { nextSeq }: Inode,
  { parent, name }: { readonly parent: Ino; readonly name: string },
  { places }: Pick<OpContext, 'places'>,
): Place {
  const former = places.of(parent, name);
  if (former === undefined || txn.hasSlot(parent, former)) return { seq: nextSeq, seqs: 1 };
  return { seq: former, seqs: 0 };
}

/** The name goes; should it come back, its place is known. */
export function dropEntry(
  txn: Txn,
  { parent, name, seq }: { readonly parent: Ino; readonly name: string; readonly seq: number },
  { places }: Pick<OpContext, 'places'>,
): void {
  txn.deleteEntry(parent, name, seq);
  places.left(parent, name, seq);
}

export interface DirectoryChange {
  readonly entries: number;
  /** Subdirectories gained or lost. */
  readonly links: number;
  /** Entry seqs used up. */
  readonly seqs: number;
}

/** Puts the directory with its counters and times moved on; neither goes backwards. */
export function changeDirectory(
  txn: Txn,
  ino: Ino,
  change: DirectoryChange & { readonly now: Timespec },
): Inode {
  const dir = requireDirectory(txn, ino);
  const now = timeAfter(dir.ctime, change.now);
  const changed: Inode = {
    ...dir,
    nlink: dir.nlink + change.links,
    entries: dir.entries + change.entries,
    nextSeq: dir.nextSeq + change.seqs,
    mtime: laterTime(now, dir.mtime),
    ctime: now,
    av: dir.av + 1,
    dirv: dir.dirv + 1,
  };
  txn.putInode(ino, changed);
  return changed;
}

/** Removes the record; the bytes of a regular file are queued for reclaim. */
export function deleteInode(txn: Txn, ino: Ino, inode: Inode): void {
  txn.deleteInode(ino);
  if (isSymlink(inode.mode)) txn.deleteSymlink(ino);
  if (isRegular(inode.mode)) txn.addReclaim(ino, inode.rg);
}

/**
 * Takes one link away. With none left the inode goes, unless somebody has it open, or the caller
 * may have: then it stays until closeUnlinked or the end of the session of each.
 * @returns `kept`: until closeUnlinked of the caller
 */
export function dropLink(
  txn: Txn,
  ino: Ino,
  known: KnownTarget,
  { now, openElsewhere, sid }: Pick<OpContext, 'now' | 'openElsewhere' | 'sid'>,
): { readonly inode: Inode; readonly kept: boolean } {
  const inode = requireInode(txn, ino);
  const nlink = isDirectory(inode.mode) ? 0 : inode.nlink - 1;
  const kept = nlink === 0 && (known.knownOpen || known.knownIno !== ino);
  const others = nlink === 0 ? openElsewhere(ino).filter((other) => other !== sid) : [];
  const keepers = kept ? [sid, ...others] : others;
  const openers = keepers.length > 0 ? keepers.length : inode.openers;
  const ctime = timeAfter(inode.ctime, now);
  const changed: Inode = { ...inode, nlink, ctime, av: inode.av + 1, openers };
  if (nlink > 0 || keepers.length > 0) txn.putInode(ino, changed);
  else deleteInode(txn, ino, inode);
  for (const keeper of keepers) txn.putOpener(ino, keeper);
  return { inode: changed, kept };
}
