/** What the operation families of the vfs share. */
import type { Attr } from '../../common/attr.ts';
import type { Clock } from '../../common/clock.ts';
import type { Ino } from '../../common/ids.ts';
import type { FileData } from '../data/file-data.ts';
import type { EntryResult, RequestContext, Result, StatResult } from '../driver/driver.ts';
import type { MetaClient } from '../meta-client.ts';
import type { Inode, InodeTable } from './inode.ts';
import type { Publisher } from './publisher.ts';
import type { RecentNames } from './recent-names.ts';
import type { UnlinkedCloser } from './unlinked-closer.ts';

export interface VfsShared {
  readonly inodes: InodeTable;
  readonly names: RecentNames;
  readonly meta: MetaClient;
  readonly data: FileData;
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly unlinked: UnlinkedCloser;
  /** Everything is shown as owned by this user or group, when set. */
  readonly showAs: { readonly uid: number | undefined; readonly gid: number | undefined };
}

/** Without leases the kernel asks for every name again. */
const ENTRY_VALID_MS = 0;
/**
 * One tick of the kernel: what a lookup told holds for the rest of that walk along the path, which
 * would ask for the same inode again to check permissions.
 */
const ATTR_VALID_MS = 1;

function shown(shared: VfsShared, attr: Attr): Attr {
  const { uid, gid } = shared.showAs;
  if (uid === undefined && gid === undefined) return attr;
  return { ...attr, uid: uid ?? attr.uid, gid: gid ?? attr.gid };
}

export function statResult(shared: VfsShared, inode: { readonly attr: Attr }): Result<StatResult> {
  const { attr } = inode;
  const build = (blocks: number): StatResult => ({
    attr: shown(shared, attr),
    blocks,
    attrValidMs: ATTR_VALID_MS,
  });
  const blocks = shared.data.blocks(attr);
  return blocks instanceof Promise ? blocks.then(build) : build(blocks);
}

/** What a listing shows: the attributes it came with, or what this mount knows better. */
export function listedStat(shared: VfsShared, attr: Attr): Result<StatResult> {
  const known = shared.inodes.get(attr.ino);
  known?.update(attr);
  return statResult(shared, known ?? { attr });
}

/** An entry for the kernel, which owes one forget for it from now on. */
export function entryResult(shared: VfsShared, inode: Inode): Result<EntryResult> {
  const stat = statResult(shared, inode);
  if (stat instanceof Promise) return withLookup(shared, inode, () => entryStat(shared, inode));
  inode.lookups++;
  return { ...stat, entryValidMs: ENTRY_VALID_MS };
}

/** An entry whose reference is counted by the caller. */
export async function entryStat(shared: VfsShared, inode: Inode): Promise<EntryResult> {
  return { ...(await statResult(shared, inode)), entryValidMs: ENTRY_VALID_MS };
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

/** The inode, asked for at the metaserver when this mount does not know it well enough. */
export async function loadInode(
  shared: VfsShared,
  context: RequestContext,
  ino: Ino,
): Promise<Inode> {
  const known = shared.inodes.get(ino);
  if (known !== undefined && !known.listed) return known;
  return shared.inodes.remember(await shared.meta.getattr(context, ino));
}
