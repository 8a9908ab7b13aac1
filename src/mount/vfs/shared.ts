/** What the operation families of the vfs share. */
import { type Attr, isDirectory } from '../../common/attr.ts';
import type { Clock } from '../../common/clock.ts';
import type { Ino } from '../../common/ids.ts';
import type { FileData } from '../data/file-data.ts';
import type { EntryResult, RequestContext, Result, StatResult } from '../driver/driver.ts';
import type { KernelCache } from '../kernel-cache.ts';
import type { Leases } from '../leases.ts';
import type { MountLocks } from '../locks.ts';
import type { MetaClient } from '../meta-client.ts';
import type { Inode, InodeTable } from './inode.ts';
import type { KernelCopy } from './kernel-copy.ts';
import type { Publisher } from './publisher.ts';
import type { RecentNames } from './recent-names.ts';
import { notByName } from './refresh.ts';
import type { UnlinkedCloser } from './unlinked-closer.ts';

/** What stat(2) is answered from. */
interface StatSource {
  readonly attr: Attr;
  readonly dirty?: unknown;
  readonly copy?: KernelCopy;
}

export interface VfsShared {
  readonly inodes: InodeTable;
  readonly names: RecentNames;
  readonly meta: MetaClient;
  readonly leases: Leases;
  readonly locks: MountLocks;
  readonly kernel: KernelCache;
  readonly data: FileData;
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly unlinked: UnlinkedCloser;
  /** Everything is shown as owned by this user or group, when set. */
  readonly showAs: { readonly uid: number | undefined; readonly gid: number | undefined };
}

function shown(shared: VfsShared, attr: Attr): Attr {
  const { uid, gid } = shared.showAs;
  if (uid === undefined && gid === undefined) return attr;
  return { ...attr, uid: uid ?? attr.uid, gid: gid ?? attr.gid };
}

/**
 * How long the kernel may keep it is worked out when the answer is written, not before: the lease
 * may be called back in between. Of a file that is being written the kernel keeps none (C17).
 */
export function statResult(shared: VfsShared, inode: StatSource): Result<StatResult> {
  const dropping = inode.copy?.dropping;
  if (dropping !== undefined) return dropping.then(() => statResult(shared, inode));
  const { attr, copy } = inode;
  const { leases } = shared;
  if (copy !== undefined) copy.toldSize = Math.max(copy.toldSize, attr.size);
  const build = (blocks: number): StatResult => ({
    attr: shown(shared, attr),
    blocks,
    get attrValidMs() {
      if (inode.dirty !== undefined || inode.copy?.unsettling !== undefined) return 0;
      const validMs = leases.validMs(attr.ino);
      if (validMs > 0 && inode.copy !== undefined) inode.copy.mayKeep = true;
      return validMs;
    },
  });
  const blocks = shared.data.blocks(attr);
  return blocks instanceof Promise ? blocks.then(build) : build(blocks);
}

/** What a listing shows: what is known under a lease, else what it came with, for this once. */
export function listedStat(shared: VfsShared, attr: Attr): Result<StatResult> {
  const { inodes, meta } = shared;
  const held = meta.cache.attr(attr.ino);
  const known = inodes.get(attr.ino);
  if (held === undefined) return statResult(shared, { attr, dirty: true });
  known?.update(held);
  return statResult(shared, known ?? { attr: held });
}

/** A name, and the directory it is in. */
export interface NamePlace {
  readonly parent: Ino;
  readonly name: string;
}

/** An entry for the kernel, which owes one forget for it from now on. */
export function entryResult(
  shared: VfsShared,
  place: NamePlace,
  inode: Inode,
): Result<EntryResult> {
  const stat = statResult(shared, inode);
  if (stat instanceof Promise) {
    return withLookup(shared, inode, async () => entryOf(shared, place, await stat));
  }
  inode.lookups++;
  return entryOf(shared, place, stat);
}

/** As entryResult, of what was changed for it. */
export function changedEntry(
  shared: VfsShared,
  place: NamePlace,
  inode: Inode,
): Promise<EntryResult> {
  return withLookup(shared, inode, () => changedEntryStat(shared, place, inode));
}

/** As changedEntry, the reference is counted by the caller. */
export async function changedEntryStat(
  shared: VfsShared,
  place: NamePlace,
  inode: Inode,
): Promise<EntryResult> {
  return entryOf(shared, place, changedStat(await statResult(shared, inode)));
}

/**
 * The kernel takes the answer to a change over, although the inode has changed once more meanwhile:
 * rule C17 of docs/PROTOCOL.md.
 */
export function changedStat({ attr, blocks }: StatResult): StatResult {
  return { attr, blocks, attrValidMs: 0 };
}

function entryOf(
  { leases, meta }: VfsShared,
  { name, parent }: NamePlace,
  stat: StatResult,
): EntryResult {
  const isDir = isDirectory(stat.attr.mode);
  return {
    attr: stat.attr,
    blocks: stat.blocks,
    get attrValidMs() {
      return stat.attrValidMs;
    },
    get entryValidMs() {
      if (!meta.cache.isNamed(parent, name, stat.attr.ino)) return 0;
      return leases.nameValidMs(parent, { name, isDirectory: isDir });
    },
  };
}

/** `work` leads to an answer that gives the kernel one more reference; no answer, no reference. */
export async function withLookup<T>(
  { inodes }: VfsShared,
  inode: Inode,
  work: () => Promise<T>,
): Promise<T> {
  inode.lookups++;
  try {
    return await work();
  } catch (error) {
    inode.lookups--;
    inodes.settle(inode);
    throw error;
  }
}

/** The inode, asked for at the metaserver when this mount does not know it. @throws FsError ESTALE */
export async function loadInode(
  shared: VfsShared,
  context: RequestContext,
  ino: Ino,
): Promise<Inode> {
  const held = shared.meta.cache.attr(ino);
  if (held !== undefined) return shared.inodes.remember(held);
  const known = shared.inodes.get(ino);
  if (known !== undefined) return known;
  try {
    return shared.inodes.remember(await shared.meta.getattr(context, ino));
  } catch (error) {
    throw notByName(error, ino);
  }
}
