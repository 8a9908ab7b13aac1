/** Where the bytes of a file are read and written: on this machine, or at its home peer. */
import type { Attr, Timespec } from '../../common/attr.ts';
import type { Epoch, Ino } from '../../common/ids.ts';
import type { IntervalSet } from '../core/intervals.ts';
import type { RequestContext, Result } from '../driver/driver.ts';
import type { DirtyAttr, Inode } from '../vfs/inode.ts';

/** Under what the bytes lie at the home: what a publication must name (H4 in docs/PROTOCOL.md). */
export interface HomeState {
  readonly cuts: number;
  readonly rgEpoch: Epoch;
}

/** Tells the metaserver. @throws FsError ESTALE when the state is not the present one */
export type Publish = (state: HomeState, dirty: DirtyAttr) => Promise<Attr>;

/**
 * All waits are bounded; errors are FsError. `waiter` is whoever waits, if anybody: shown what it
 * waits for, and able to give up.
 */
export interface DataPath {
  /** A file made just now by this mount. */
  created(ino: Ino): void;
  /** Fills `target`; the range lies below the size. */
  read(context: RequestContext, inode: Inode, offset: number, target: Uint8Array): Result<void>;
  /** A write would have to wait for `prepare`. */
  mustPrepare(inode: Inode): boolean;
  prepare(inode: Inode, waiter: RequestContext | undefined): Promise<void>;
  /** A write of so many bytes would have to wait for `reserve`, which is called without a lease. */
  mustReserve(inode: Inode, offset: number, length: number): boolean;
  /** @throws FsError ENOSPC */
  reserve(inode: Inode, offset: number, length: number, waiter: RequestContext): Promise<void>;
  /** Takes the bytes and notes them in the inode, or throws; when it is done a read finds them. */
  write(inode: Inode, offset: number, data: Uint8Array, now: Timespec): Result<void>;
  /**
   * Everything written so far is at the home; then `publish` tells the metaserver, and the inode
   * takes over its answer and notes the state. Nothing is forgotten when it fails.
   */
  publish(inode: Inode, waiter: RequestContext | undefined, publish: Publish): Promise<void>;
  /** The metaserver refused a publication with ESTALE: all that is unpublished is sent again. */
  again(inode: Inode, waiter: RequestContext | undefined): Promise<void>;
  /**
   * Everything written so far is at the home, and on stable storage there, when it resolves.
   * @returns the state in which it is
   */
  sync(inode: Inode, waiter: RequestContext | undefined): Promise<HomeState>;
  /** Before the metaserver is asked for a larger size: room for it, and earlier cuts durable. */
  grow(inode: Inode, size: number, waiter: RequestContext | undefined): Promise<void>;
  /** The metaserver has cut the file to `size`; the inode knows the new cuts. */
  cut(inode: Inode, size: number, waiter: RequestContext | undefined): Promise<void>;
  /** Its size was set by this mount: the inode knows what is unpublished now. */
  resized(inode: Inode): void;
  /**
   * Takes over what an earlier process has left unpublished; the inode knows of it.
   * @returns whether the bytes are there
   */
  adopt(inode: Inode, ranges: IntervalSet): boolean;
  /** Its last handle is closed. */
  release(inode: Inode): void;
  /**
   * What is unpublished may not be published any more: it is kept where people find it, named by
   * the lease it was written under.
   * @returns where; undefined when all of it is in its place already
   */
  setAside(inode: Inode): Promise<string | undefined>;
  /** Nothing of it will be published any more. */
  forget(file: { readonly ino: Ino }): void;
  /** Allocated 512-byte units. */
  blocks(attr: Attr): Result<number>;
}
