/**
 * Answers that the kernel drops, or takes although they are old by then: rules C17 and C18 of
 * docs/PROTOCOL.md.
 */
import { within } from '../../common/lifecycle.ts';
import type { WriteNode } from '../driver/driver.ts';
import type { FileHandle } from './handles.ts';
import type { Inode } from './inode.ts';
import type { VfsShared } from './shared.ts';

/** A page may be locked: by this write, or by a read that is answered with what comes after it. */
const DROPPED_MS = 10;
/** By a read that was served before it. */
const READ_MS = 1_000;
/** A write that waits for the kernel between its pages and its request is not this slow. */
const AGAIN_MS = 1_000;
/** What can take long is the page it ends in, which a read may have locked: the size comes before. */
const GROWN_MS = 1_000;

/**
 * The kernel asks for the size before a read, and drops the answer when the inode changes while it
 * is on its way: the read would end where the file ended before. So it is given the size in another
 * way, which it does not drop. undefined: it has it. Resolves when it has.
 */
export function growKernel(
  { kernel }: VfsShared,
  inode: Inode,
  size: number,
): Promise<void> | undefined {
  const { copy, cuts, ino } = inode;
  if (size <= copy.size) return undefined;
  const grown = kernel.grow(ino, size);
  if (grown === undefined) return undefined;
  return within(grown, GROWN_MS, 'a page').then(
    (known) => {
      if (known && inode.cuts === cuts) copy.size = Math.max(copy.size, size);
    },
    () => undefined,
  );
}

/**
 * As growKernel, while a page is held for a read: the size is raised first, and then the page waited
 * for if it is that one.
 */
export function growForPage(shared: VfsShared, inode: Inode): Promise<void> | undefined {
  if (inode.size <= inode.copy.toldSize) return undefined;
  const grown = growKernel(shared, inode, inode.size);
  return grown && within(grown, DROPPED_MS, 'a page').catch(() => undefined);
}

/**
 * Before a file that the kernel may take its size of from memory is written to: what it was told
 * goes, also what is on its way. undefined: there is nothing. Resolves when it has gone.
 */
export function unsettleKernel(
  { kernel }: VfsShared,
  { copy, ino }: Inode,
): Promise<void> | undefined {
  if (copy.unsettling === undefined && copy.mayKeep) {
    copy.mayKeep = false;
    copy.unsettling = kernel.forgetAttributes(ino)?.finally(() => {
      copy.unsettling = undefined;
    });
  }
  return copy.unsettling;
}

/**
 * A write was done at `at`. Pages that the kernel has read before may be old now: where it did not
 * look for what was appended, or because it has dropped the ones that it put the bytes in, and has
 * read them again. Until they are gone nobody is told of the file's new end. undefined: there are
 * none. Resolves when they are gone, or locked by a read that is answered later.
 */
export function dropOldPages(
  { clock, kernel }: VfsShared,
  { inode, append, direct }: FileHandle,
  { data, offset }: WriteNode,
  at: number,
): Promise<void> | undefined {
  const { copy, ino } = inode;
  const nowMs = clock.bootMs();
  const isOld = direct
    ? (append ? copy.appended(nowMs) : copy.writtenPast()) || at !== offset
    : copy.hasReadAgain(nowMs, AGAIN_MS);
  const dropped = isOld ? kernel.forgetRange(ino, at, data.length) : undefined;
  if (dropped === undefined) return undefined;
  const ms = copy.isReading ? READ_MS : DROPPED_MS;
  const gone = Promise.all([copy.dropping, within(dropped, ms, 'a page').catch(() => undefined)]);
  const dropping = gone.then(() => {
    if (copy.dropping === dropping) copy.dropping = undefined;
  });
  copy.dropping = dropping;
  return dropping;
}
