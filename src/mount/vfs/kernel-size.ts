/**
 * The size a kernel reads up to. It asks before a read, and drops the answer when the inode changes
 * while the answer is on its way: by an append of its own, or by a recall. Such a read would end
 * where the file ended before. So a descriptor is answered only once the kernel has the size in
 * another way, which it does not drop. Rule C17 of docs/PROTOCOL.md.
 */
import { within } from '../../common/lifecycle.ts';
import type { Inode } from './inode.ts';
import type { VfsShared } from './shared.ts';

/** The size is there long before: what can take longer is the page it ends in. */
const GROWN_MS = 50;

/** undefined: the kernel has it. Resolves when it has. */
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
