import { FsError } from '../../common/errno.ts';
import type { Fh } from '../../common/ids.ts';
import type { DirPage } from '../meta-client.ts';
import type { Inode } from './inode.ts';

export interface FileHandle {
  readonly inode: Inode;
  /** Every write goes to the end of the file, wherever the kernel thinks that is. */
  readonly append: boolean;
  /** It reads and writes past the pages of the kernel. */
  readonly direct: boolean;
  readonly writes: boolean;
  /** Of the losses of its inode: how many there were when it was opened, or last told of them. */
  lossesTold: number;
  /**
   * Who locked the file by fcntl(2) through this, and has not closed it since. Processes close it
   * before it is released; what is left then is the open file description itself. The kernel may
   * have given its number to the next one by then, which has all of it.
   */
  readonly lockers: Set<string>;
}

/** @throws FsError EIO once for each descriptor, when something written here was lost to others */
export function reportLoss(handle: FileHandle): void {
  const { inode } = handle;
  if (!handle.writes || handle.lossesTold === inode.losses) return;
  handle.lossesTold = inode.losses;
  throw new FsError('EIO', `what was written to ino ${inode.ino} is in lost+found of this machine`);
}

/** @throws FsError EIO: it relied on locks that are lost, until all have closed it */
export function requireLocks({ ino, locksLost }: Inode): void {
  if (locksLost) throw new FsError('EIO', `locks on ino ${ino} were lost`);
}

/** A page of a directory, and how it was asked for. */
export interface ListedPage extends DirPage {
  readonly after: number;
  readonly withAttrs: boolean;
  /** Of the lease under which it was read. */
  readonly lseq: number;
}

export interface DirHandle {
  readonly inode: Inode;
  /** The page the last listing came from. */
  page: ListedPage | undefined;
}

/** Open handles by number; numbers are never reused within a mount. */
export class HandleTable<Handle> {
  readonly #handles = new Map<Fh, Handle>();
  #next = 1;

  get size(): number {
    return this.#handles.size;
  }

  open(handle: Handle): Fh {
    const fh = this.#next++ as Fh;
    this.#handles.set(fh, handle);
    return fh;
  }

  /** @throws FsError EBADF */
  get(fh: Fh): Handle {
    const handle = this.#handles.get(fh);
    if (handle === undefined) throw new FsError('EBADF', `handle ${fh} is not open`);
    return handle;
  }

  some(condition: (handle: Handle) => boolean): boolean {
    return [...this.#handles.values()].some(condition);
  }

  /** @returns undefined when it was closed already */
  close(fh: Fh): Handle | undefined {
    const handle = this.#handles.get(fh);
    this.#handles.delete(fh);
    return handle;
  }
}
