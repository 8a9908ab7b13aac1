/**
 * rename(2) with its flags. Only point reads: the loop check walks up through the parent that
 * every directory records.
 */
import { type Attr, isDirectory, timeAfter } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import { type Ino, ROOT_INO } from '../../common/ids.ts';
import {
  changeDirectory,
  type DirectoryChange,
  dropEntry,
  dropLink,
  entryInode,
  type KnownTarget,
  newPlace,
  type OpContext,
  type Place,
  requireDirectory,
  requireInode,
  requireLinkRoom,
  requireSpace,
} from './inodes.ts';
import { checkOldName } from './names.ts';
import { attrOf, type Entry, type Inode } from './records.ts';
import type { Txn } from './txn.ts';

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export interface RenameRequest extends KnownTarget {
  readonly parent: Ino;
  readonly name: string;
  readonly newParent: Ino;
  readonly newName: string;
  /** 0, RENAME_NOREPLACE or RENAME_EXCHANGE. */
  readonly flags: number;
}

export interface RenameResult {
  readonly attr: Attr;
  readonly parent: Attr;
  readonly newParent: Attr;
  /** The inode that was replaced or exchanged. */
  readonly other: Attr | undefined;
  readonly kept: boolean;
}

/** One side of the rename: the entry and the inode behind it. */
interface Side {
  readonly entry: Entry;
  readonly inode: Inode;
  readonly directory: boolean;
}

function sideOf(txn: Txn, entry: Entry): Side {
  const inode = entryInode(txn, entry);
  return { entry, inode, directory: isDirectory(inode.mode) };
}

/** Deeper than any real tree: a longer way up is a ring in a damaged database. */
const DEPTH_MAX = 1_000_000;

/** True when `ancestor` is `ino` or lies above it. */
function liesWithin(txn: Txn, ino: Ino, ancestor: Ino): boolean {
  let at = ino;
  for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
    if (at === ancestor) return true;
    if (at === ROOT_INO) return false;
    at = requireInode(txn, at).parent;
  }
  throw new FsError('EIO', `directory ${ino} has no way up to the root`);
}

function checkFlags(flags: number): void {
  if (flags !== 0 && flags !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE) {
    throw new FsError('EINVAL', `rename flags ${flags} are not supported`);
  }
}

function checkLoops(txn: Txn, request: RenameRequest, source: Side, target?: Side): void {
  const { parent, newParent, flags } = request;
  if (parent === newParent) return;
  if (source.directory && liesWithin(txn, newParent, source.entry.ino)) {
    throw new FsError('EINVAL', `directory ${source.entry.ino} cannot move into itself`);
  }
  if (target?.directory !== true || flags !== RENAME_EXCHANGE) return;
  if (liesWithin(txn, parent, target.entry.ino)) {
    throw new FsError('EINVAL', `directory ${target.entry.ino} cannot move into itself`);
  }
}

function checkReplace(source: Side, target: Side): void {
  const { ino } = target.entry;
  if (source.directory && !target.directory) {
    throw new FsError('ENOTDIR', `inode ${ino} is not a directory`);
  }
  if (!source.directory && target.directory) {
    throw new FsError('EISDIR', `inode ${ino} is a directory`);
  }
  if (target.inode.entries > 0) {
    throw new FsError('ENOTEMPTY', `directory ${ino} has ${target.inode.entries} entries`);
  }
}

/** Applies both changes; one version step when both directories are the same. */
function changeBoth(
  txn: Txn,
  request: RenameRequest,
  changes: { readonly from: DirectoryChange; readonly to: DirectoryChange },
  context: OpContext,
): { readonly parent: Attr; readonly newParent: Attr } {
  const { parent, newParent } = request;
  const { now } = context;
  const { from, to } = changes;
  if (parent === newParent) {
    const both = {
      entries: from.entries + to.entries,
      links: from.links + to.links,
      seqs: from.seqs + to.seqs,
    };
    const attr = attrOf(parent, changeDirectory(txn, parent, { ...both, now }));
    return { parent: attr, newParent: attr };
  }
  return {
    parent: attrOf(parent, changeDirectory(txn, parent, { ...from, now })),
    newParent: attrOf(newParent, changeDirectory(txn, newParent, { ...to, now })),
  };
}

function putMoved(txn: Txn, side: Side, parent: Ino, context: OpContext): Attr {
  const moved: Inode = {
    ...side.inode,
    ctime: timeAfter(side.inode.ctime, context.now),
    av: side.inode.av + 1,
    parent: side.directory ? parent : side.inode.parent,
  };
  txn.putInode(side.entry.ino, moved);
  return attrOf(side.entry.ino, moved);
}

function exchange(
  txn: Txn,
  request: RenameRequest,
  sides: { readonly source: Side; readonly target: Side },
  context: OpContext,
): RenameResult {
  const { parent, name, newParent, newName } = request;
  const { source, target } = sides;
  const gain = Number(source.directory) - Number(target.directory);
  if (gain > 0) requireLinkRoom(requireDirectory(txn, newParent), newParent);
  if (gain < 0) requireLinkRoom(requireDirectory(txn, parent), parent);
  txn.putEntry(parent, name, { ...target.entry, seq: source.entry.seq });
  txn.putEntry(newParent, newName, { ...source.entry, seq: target.entry.seq });
  const attr = putMoved(txn, source, newParent, context);
  const other = putMoved(txn, target, parent, context);
  const from = { entries: 0, links: -gain, seqs: 0 };
  const to = { entries: 0, links: gain, seqs: 0 };
  const dirs = changeBoth(txn, request, { from, to }, context);
  return { attr, ...dirs, other, kept: false };
}

/** What replaces another stands in its place, so that a listing under way shows the name once. */
function placeAt(
  txn: Txn,
  { newParent, newName }: RenameRequest,
  target: Side | undefined,
  context: OpContext,
): Place {
  if (target !== undefined) return { seq: target.entry.seq, seqs: 0 };
  const dir = requireDirectory(txn, newParent);
  return newPlace(txn, dir, { parent: newParent, name: newName }, context);
}

function move(
  txn: Txn,
  request: RenameRequest,
  sides: { readonly source: Side; readonly target: Side | undefined },
  context: OpContext,
): RenameResult {
  const { parent, name, newParent, newName } = request;
  const { source, target } = sides;
  dropEntry(txn, { parent, name, seq: source.entry.seq }, context);
  const { seq, seqs } = placeAt(txn, request, target, context);
  txn.putEntry(newParent, newName, { ...source.entry, seq });
  const attr = putMoved(txn, source, newParent, context);
  const dropped =
    target === undefined ? undefined : dropLink(txn, target.entry.ino, request, context);
  const links = Number(source.directory);
  const from = { entries: -1, links: -links, seqs: 0 };
  const to = {
    entries: target === undefined ? 1 : 0,
    links: links - Number(target?.directory ?? false),
    seqs,
  };
  const dirs = changeBoth(txn, request, { from, to }, context);
  const other =
    target === undefined || dropped === undefined
      ? undefined
      : attrOf(target.entry.ino, dropped.inode);
  return { attr, ...dirs, other, kept: dropped?.kept ?? false };
}

/** @throws FsError ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL, EMLINK, ENOSPC */
export function rename(txn: Txn, request: RenameRequest, context: OpContext): RenameResult {
  const { parent, name, newParent, newName, flags } = request;
  checkFlags(flags);
  checkOldName(name);
  checkOldName(newName);
  const fromDir = requireDirectory(txn, parent);
  const toDir = requireDirectory(txn, newParent);
  const entry = txn.entry(parent, name);
  if (entry === undefined) throw new FsError('ENOENT', `no such name in directory ${parent}`);
  const source = sideOf(txn, entry);
  const targetEntry = txn.entry(newParent, newName);
  const target = targetEntry === undefined ? undefined : sideOf(txn, targetEntry);
  if (flags === RENAME_NOREPLACE && target !== undefined) {
    throw new FsError('EEXIST', `the name exists in directory ${newParent}`);
  }
  if (flags === RENAME_EXCHANGE && target === undefined) {
    throw new FsError('ENOENT', `no such name in directory ${newParent}`);
  }
  checkLoops(txn, request, source, target);
  if (target !== undefined && target.entry.ino === source.entry.ino) {
    const dirs = { parent: attrOf(parent, fromDir), newParent: attrOf(newParent, toDir) };
    return { attr: attrOf(entry.ino, source.inode), ...dirs, other: undefined, kept: false };
  }
  if (target !== undefined && flags === RENAME_EXCHANGE) {
    return exchange(txn, request, { source, target }, context);
  }
  if (target !== undefined) checkReplace(source, target);
  else requireSpace(context);
  const gains = source.directory && parent !== newParent && target === undefined;
  if (gains) requireLinkRoom(toDir, newParent);
  return move(txn, request, { source, target }, context);
}
