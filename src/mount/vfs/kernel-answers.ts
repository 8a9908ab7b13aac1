/**
 * Answers that the kernel drops, or takes although they are old by then: rules C17 and C18 of
 * docs/PROTOCOL.md.
 */
import { within } from '../../common/lifecycle.ts';
import type { WriteNode } from '../driver/driver.ts';
import type { Inode } from './inode.ts';
import type { VfsShared } from './shared.ts';

/** A page may be locked: by this write, or by a read. */
const DROPPED_MS = 10;
/** The size is there long before: what can take longer is the page it ends in. */
const GROWN_MS = 50;

/**
 * The kernel asks for the size before a read, and drops the answer when the inode changes while it
 * is on its way: the read would end where the file ended before. So it is given the size in another
 * way, which it does not drop. undefined: it has it. Resolves when it has.
 */
export function growKernel({ kernel }: VfsShared, inode: Inode): Promise<void> | undefined {
  const { size, cuts } = inode;
  if (size <= inode.kernelSize) return undefined;
  const grown = kernel.grow(inode.ino, size);
  if (grown === undefined) return undefined;
  return within(grown, GROWN_MS, 'a page').then(
    (known) => {
      if (known && inode.cuts === cuts) inode.kernelSize = size;
    },
    () => undefined,
  );
}

/**
 * Before a file that the kernel may take its size of from memory is written to: what it was told
 * goes, also what is on its way. undefined: there is nothing. Resolves when it has gone.
 */
export function unsettleKernel({ kernel }: VfsShared, inode: Inode): Promise<void> | undefined {
  if (inode.unsettling === undefined && inode.kernelMayKeep) {
    inode.kernelMayKeep = false;
    inode.unsettling = kernel.forgetAttributes(inode.ino)?.finally(() => {
      inode.unsettling = undefined;
    });
  }
  return inode.unsettling;
}

/** A write on its way to the file, since it came from the kernel. */
export interface WriteAttempt {
  readonly readsBegun: number;
  /** Where it was written; undefined: not yet. */
  offset: number | undefined;
}

/** It came a moment ago. */
export function attempt({ readsBegun }: Inode): WriteAttempt {
  return { readsBegun, offset: undefined };
}

/**
 * The kernel had the bytes in its pages before it asked, and may have dropped those pages and read
 * them again since, or looked for an append elsewhere: then they are old. undefined: they are not.
 * Resolves when they have gone, or somebody reads them just now, who is answered later than this.
 */
export function dropOldPages(
  { kernel }: VfsShared,
  inode: Inode,
  { data, offset }: WriteNode,
  done: WriteAttempt,
): Promise<void> | undefined {
  const at = done.offset ?? offset;
  if (inode.readsBegun === done.readsBegun && at === offset) return undefined;
  const dropped = kernel.forgetRange(inode.ino, at, data.length);
  if (dropped === undefined) return undefined;
  return within(dropped, DROPPED_MS, 'a page').catch(() => undefined);
}
