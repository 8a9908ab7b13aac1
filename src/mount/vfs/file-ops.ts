/**
 * Files: attributes, handles and data. What this mount writes is longer and younger than the
 * metaserver knows until it has published it.
 */
import { type Attr, FILE_BYTES_MAX, isDirectory, isRegular } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Fh, Ino } from '../../common/ids.ts';
import type { LeaseKind } from '../../common/lease.ts';
import type {
  AttrChanges,
  CreateResult,
  FileOperations,
  MakeNode,
  OpenResult,
  RequestContext,
  Result,
  StatFsResult,
  StatResult,
  WriteNode,
} from '../driver/driver.ts';
import { type FileHandle, HandleTable, reportLoss, requireLocks } from './handles.ts';
import { type Inode, inOrder } from './inode.ts';
import { dropOldPages, growForPage, growKernel, unsettleKernel } from './kernel-answers.ts';
import { notByName, refresh } from './refresh.ts';
import {
  changedEntryStat,
  changedStat,
  loadInode,
  statResult,
  type VfsShared,
  withLookup,
} from './shared.ts';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

const RESIZE_TRIES = 5;

function needOf(flags: number): LeaseKind {
  return (flags & O_ACCMODE) === O_RDONLY && (flags & O_TRUNC) === 0 ? 'shared' : 'exclusive';
}

/** Where a write went; undefined: it has not yet. */
interface WrittenAt {
  at: number | undefined;
}

type ResizeChanges = AttrChanges & { readonly size: number; readonly nth?: 0 | 1 };

/**
 * It fell to a removal, though others may have it open: the metaserver keeps it for those alone of
 * whom it heard then.
 */
function isWithoutName({ gone, opens, attr }: Inode): boolean {
  return gone || (attr.nlink === 0 && opens === 0);
}

export class FileOps implements FileOperations {
  readonly #shared: VfsShared;
  readonly #handles = new HandleTable<FileHandle>();

  constructor(shared: VfsShared) {
    this.#shared = shared;
  }

  get openCount(): number {
    return this.#handles.size;
  }

  /** From memory under a lease; whoever writes knows size and times better than anybody. */
  getattr(context: RequestContext, ino: Ino, opened?: boolean): Result<StatResult> {
    const stat = this.#getattr(context, ino);
    if (opened !== true) return stat;
    return stat instanceof Promise
      ? stat.then((result) => this.#grown(ino, result))
      : this.#grown(ino, stat);
  }

  #grown(ino: Ino, stat: StatResult): Result<StatResult> {
    const inode = this.#shared.inodes.get(ino);
    if (inode === undefined) return stat;
    const grown = growKernel(this.#shared, inode, stat.attr.size);
    return grown === undefined ? stat : grown.then(() => stat);
  }

  #getattr(context: RequestContext, ino: Ino): Result<StatResult> {
    const known = this.#shared.inodes.get(ino);
    if (known?.gone) return statResult(this.#shared, known);
    const attr = this.#shared.meta.cache.attr(ino);
    if (attr === undefined) return this.#fetchAttr(context, ino);
    known?.update(attr);
    return statResult(this.#shared, known ?? { attr });
  }

  async setattr(context: RequestContext, ino: Ino, changes: AttrChanges): Promise<StatResult> {
    const inode = await loadInode(this.#shared, context, ino);
    const change = (): Promise<void> => this.#setattr(context, inode, changes);
    try {
      if (changes.size === undefined) await change();
      else await this.#leased(context, inode, 'exclusive', change);
      return changedStat(await statResult(this.#shared, inode));
    } finally {
      this.#shared.inodes.settle(inode);
    }
  }

  async open(
    context: RequestContext,
    ino: Ino,
    options: { readonly flags: number; readonly killSuidGid: boolean },
  ): Promise<OpenResult> {
    const inode = await loadInode(this.#shared, context, ino);
    if (isDirectory(inode.attr.mode)) throw new FsError('EISDIR', `open of ino ${ino}`);
    return this.#opening(context, inode, options.flags, async () => {
      const opened = this.#open(inode, options.flags);
      try {
        if ((options.flags & O_TRUNC) !== 0) {
          await this.#setattr(context, inode, { size: 0, killSuidGid: options.killSuidGid });
        }
        return opened;
      } catch (error) {
        await this.release(opened.fh);
        throw error;
      }
    });
  }

  async create(
    context: RequestContext,
    node: MakeNode & { readonly flags: number },
  ): Promise<CreateResult> {
    const { inodes, meta, names } = this.#shared;
    const openExisting = (node.flags & O_EXCL) === 0;
    const { attr, existed } = await meta.make(context, { ...node, openExisting });
    const inode = inodes.remember(attr);
    names.set(node.parent, node.name, inode.ino);
    if (!existed) this.#shared.data.of(inode).created(inode.ino);
    const open = async (): Promise<CreateResult> => {
      const opened = this.#open(inode, node.flags);
      try {
        if (existed && (node.flags & O_TRUNC) !== 0) {
          await this.#setattr(context, inode, { size: 0, killSuidGid: true, nth: 1 });
        }
        const entry = await changedEntryStat(this.#shared, node, inode);
        return {
          fh: opened.fh,
          directIo: opened.directIo,
          get keepCache() {
            return opened.keepCache;
          },
          entry,
        };
      } catch (error) {
        await this.release(opened.fh);
        throw error;
      }
    };
    return withLookup(this.#shared, inode, () => this.#opening(context, inode, node.flags, open));
  }

  read(context: RequestContext, fh: Fh, offset: number, target: Uint8Array): Result<number> {
    const { inode } = this.#handles.get(fh);
    requireLocks(inode);
    return this.#leased(context, inode, 'shared', () => {
      // They may be lost while the lease is waited for.
      requireLocks(inode);
      // For a mapping the kernel reads pages without asking where the file ends.
      const grown = growForPage(this.#shared, inode);
      const read = (): Result<number> => this.#read(context, inode, offset, target);
      return grown === undefined ? read() : grown.then(read);
    });
  }

  write(context: RequestContext, write: WriteNode): Result<void> {
    return this.#write(context, write, { at: undefined });
  }

  #write(context: RequestContext, write: WriteNode, on: WrittenAt): Result<void> {
    const handle = this.#handles.get(write.fh);
    const { inode } = handle;
    requireLocks(inode);
    if (write.mapped && inode.fencedStores)
      throw new FsError('EIO', `a late store to ${inode.ino}`);
    const tried = this.#leased(context, inode, 'exclusive', () =>
      this.#tryWrite(context, write, on),
    );
    return tried instanceof Promise
      ? tried.then((wait) => this.#goOn(context, write, on, wait))
      : this.#goOn(context, write, on, tried);
  }

  /** Waits without the lease: what it waits for may wait for who waits for the lease. */
  #goOn(
    context: RequestContext,
    write: WriteNode,
    on: WrittenAt,
    wait: (() => Promise<unknown>) | undefined,
  ): Result<void> {
    if (wait === undefined) return this.#wrote(context, write, on);
    context.waitsFor = 'earlier';
    return wait().then(() => this.#write(context, write, on));
  }

  #wrote(context: RequestContext, write: WriteNode, on: WrittenAt): Result<void> {
    const handle = this.#handles.get(write.fh);
    // Stored through a mapping: those pages cannot be dropped before it is answered.
    const at = write.mapped ? undefined : on.at;
    const dropped = at === undefined ? undefined : dropOldPages(this.#shared, handle, write, at);
    if (!write.killSuidGid) return dropped;
    const changed = this.#setattr(context, handle.inode, { killSuidGid: true });
    return dropped === undefined ? changed : dropped.then(() => changed);
  }

  #read(context: RequestContext, inode: Inode, offset: number, target: Uint8Array): Result<number> {
    inode.copy.reads();
    const length = Math.min(target.length, Math.max(0, inode.size - offset));
    if (length === 0) return 0;
    const part = length === target.length ? target : target.subarray(0, length);
    const done = this.#shared.data.of(inode).read(context, inode, offset, part);
    return done instanceof Promise ? inode.copy.during(done.then(() => length)) : length;
  }

  /** Under the lease. @returns what to wait for before it can be tried again */
  #tryWrite(
    context: RequestContext,
    write: WriteNode,
    on: WrittenAt,
  ): Result<(() => Promise<unknown>) | undefined> {
    const handle = this.#handles.get(write.fh);
    const { inode } = handle;
    requireLocks(inode);
    const path = this.#shared.data.of(inode);
    if (inode.resizing || path.mustPrepare(inode)) {
      return () => inOrder(inode, () => path.prepare(inode, undefined));
    }
    const unsettled = unsettleKernel(this.#shared, inode);
    if (unsettled !== undefined) return () => unsettled;
    // Where the file ends is known only when earlier writes are done.
    const { writing } = inode;
    if (handle.append && writing !== undefined) return () => writing;
    const offset = handle.append ? inode.size : write.offset;
    const { length } = write.data;
    const end = offset + length;
    if (end > FILE_BYTES_MAX) throw new FsError('EFBIG', `write at ${offset} of ino ${inode.ino}`);
    if (path.mustReserve(inode, offset, length)) {
      return () => path.reserve(inode, offset, length, context);
    }
    on.at = offset;
    const written = path.write(inode, offset, write.data, this.#shared.clock.realtime());
    if (!(written instanceof Promise)) return undefined;
    inode.track(written);
    return written.then(() => undefined);
  }

  flush(context: RequestContext, fh: Fh, owner?: string): Result<void> {
    const handle = this.#handles.get(fh);
    if (owner !== undefined) handle.lockers.delete(owner);
    if (!this.#shared.locks.has(handle.inode.ino)) return this.#flush(context, handle);
    return this.#flushAndUnlock(context, handle, owner);
  }

  /** Whatever comes of it, what this process has locked is given up then. */
  async #flushAndUnlock(
    context: RequestContext,
    handle: FileHandle,
    owner: string | undefined,
  ): Promise<void> {
    const { ino } = handle.inode;
    try {
      await this.#flush(context, handle);
    } finally {
      if (owner !== undefined) await this.#shared.locks.closed({ ino, kind: 'posix', owner });
    }
  }

  #flush(context: RequestContext, handle: FileHandle): Result<void> {
    const { inode } = handle;
    reportLoss(handle);
    if (inode.dirty === undefined) return undefined;
    return this.#shared.publisher.publish(inode, context).then(() => reportLoss(handle));
  }

  /** `owner` locks the file by fcntl(2) through this handle. */
  lockedBy(fh: Fh, owner: string): void {
    this.#handles.get(fh).lockers.add(owner);
  }

  async fsync(context: RequestContext, fh: Fh): Promise<void> {
    const handle = this.#handles.get(fh);
    reportLoss(handle);
    await this.#shared.publisher.sync(handle.inode, context);
    reportLoss(handle);
  }

  async release(fh: Fh, flockOwner?: string): Promise<void> {
    const handle = this.#handles.close(fh);
    if (handle === undefined) return;
    const { inode } = handle;
    const { data, inodes, locks, publisher, unlinked } = this.#shared;
    const { ino } = inode;
    if (flockOwner !== undefined) await locks.closed({ ino, kind: 'flock', owner: flockOwner });
    // The kernel says nothing of these: it takes it that all locks end with a flush.
    for (const owner of handle.lockers) {
      if (!this.#handles.some((other) => other.inode === inode && other.lockers.has(owner))) {
        await locks.closed({ ino, kind: 'posix', owner });
      }
    }
    inode.opens--;
    if (handle.writes) inode.writers--;
    if (inode.writers === 0) {
      inode.fencedStores = false;
      this.#shared.leases.relaxSoon(inode.ino);
    }
    if (inode.opens > 0) return;
    inode.locksLost = false;
    // What cannot be published now stays with the inode, for write-back.
    await publisher.tryPublish(inode);
    if (inode.opens > 0) return;
    data.of(inode).release(inode);
    if (inode.kept || inode.toldOpen) unlinked.add(inode.ino);
    if (inode.kept) inode.gone = true;
    inode.kept = false;
    inode.toldOpen = false;
    inodes.settle(inode);
  }

  async statfs(context: RequestContext): Promise<StatFsResult> {
    const { files } = await this.#shared.meta.statfs(context);
    const { bytesTotal, bytesFree } = this.#shared.data.space();
    return { bytesTotal, bytesFree, files };
  }

  async #fetchAttr(context: RequestContext, ino: Ino): Promise<StatResult> {
    const { inodes, meta } = this.#shared;
    const noGrant = (inodes.get(ino)?.writers ?? 0) > 0;
    let attr: Attr;
    try {
      attr = await meta.getattr(context, ino, { noGrant });
    } catch (error) {
      const removed = inodes.get(ino);
      const stale = notByName(error, ino, removed);
      if (removed?.gone !== true) throw stale;
      // Whoever asks has come here before it was removed, and sees it as it was.
      return statResult(this.#shared, removed);
    }
    // No reference comes with the answer, so it is no reason to keep an inode.
    const known = inodes.get(ino) === undefined ? { attr } : inodes.remember(attr);
    return statResult(this.#shared, known);
  }

  /**
   * Runs under a lease on the file; of one that is open for writing it will be the exclusive one
   * (rule C10).
   * @throws FsError ESTALE it was removed
   */
  #leased<T>(
    context: RequestContext,
    inode: Inode,
    need: LeaseKind,
    work: () => Result<T>,
  ): Result<T> {
    const { leases } = this.#shared;
    const { ino } = inode;
    // What is gone is nobody else's any more.
    if (inode.gone) return work();
    const run = (): Result<T> => {
      this.#shared.publisher.follow(inode);
      this.#shared.kernel.note(ino);
      return work();
    };
    const result = leases.run(context, ino, need, run);
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      throw notByName(error, ino, inode);
    });
  }

  /**
   * Opens under a lease once no removal is under way. The lease is not kept while waiting: the
   * removal may wait for somebody who waits for the lease.
   * @throws FsError ESTALE when it fell to a removal
   */
  async #opening<T>(
    context: RequestContext,
    inode: Inode,
    flags: number,
    open: () => Promise<T>,
  ): Promise<T> {
    const present = async (): Promise<T | undefined> => {
      if (inode.removal !== undefined) return undefined;
      if (!isWithoutName(inode)) return open();
      this.#shared.inodes.settle(inode);
      throw new FsError('ESTALE', `ino ${inode.ino} was removed`);
    };
    for (;;) {
      while (inode.removal !== undefined) await inode.removal;
      const opened = await this.#leased(context, inode, needOf(flags), present);
      if (opened !== undefined) return opened;
    }
  }

  #open(inode: Inode, flags: number): OpenResult {
    const { clock, leases } = this.#shared;
    const writes = (flags & O_ACCMODE) !== O_RDONLY;
    inode.opens++;
    if (writes) inode.writers++;
    const append = (flags & O_APPEND) !== 0 && writes;
    const { copy } = inode;
    const nowMs = clock.bootMs();
    const direct = append || copy.isAppendedTo(nowMs) || copy.isShared(nowMs);
    return {
      fh: this.#handles.open({
        inode,
        append,
        direct,
        writes,
        lossesTold: inode.losses,
        lockers: new Set(),
      }),
      directIo: direct,
      get keepCache() {
        return leases.validMs(inode.ino) > 0;
      },
    };
  }

  /** A new size needs the exclusive lease: the caller has it. */
  async #setattr(
    context: RequestContext,
    inode: Inode,
    changes: AttrChanges & { readonly nth?: 0 | 1 },
  ): Promise<void> {
    const { size } = changes;
    if (size === undefined) {
      await inOrder(inode, () => this.#shared.publisher.setattr(context, inode, changes));
      return;
    }
    if (!isRegular(inode.attr.mode)) throw new FsError('EINVAL', `truncate of ino ${inode.ino}`);
    await inOrder(inode, () => this.#resize(context, inode, { ...changes, size }));
  }

  /** In order. Writes wait meanwhile. */
  async #resize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    inode.resizing = true;
    try {
      await inode.writing;
      await this.#shared.data.of(inode).prepare(inode, context);
      if (!this.#shared.data.isLocal(inode)) await this.#shared.publisher.flush(inode, context);
      await this.#setSize(context, inode, changes);
    } finally {
      inode.resizing = false;
    }
  }

  /** Again when another mount has cut the file meanwhile. */
  async #setSize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    const { data, meta } = this.#shared;
    for (let tries = 1; ; tries++) {
      try {
        await this.#trySetSize(context, inode, changes);
        return;
      } catch (error) {
        const cutMeanwhile = error instanceof FsError && error.code === 'ESTALE' && !inode.gone;
        if (!cutMeanwhile || tries === RESIZE_TRIES) throw error;
      }
      await refresh(meta, inode, context);
      await data.of(inode).prepare(inode, context);
    }
  }

  async #trySetSize(context: RequestContext, inode: Inode, changes: ResizeChanges): Promise<void> {
    const { size } = changes;
    const path = this.#shared.data.of(inode);
    const { cuts, dirty } = inode;
    if (size > inode.size) await path.grow(inode, size, context);
    context.waitsFor = 'metaserver';
    const cut = dirty !== undefined && dirty.end > size;
    const attr = await this.#shared.meta.setattr(context, inode.ino, { ...changes, cuts, cut });
    inode.update(attr);
    inode.resized();
    path.resized(inode);
    if (attr.cuts > cuts) await path.cut(inode, size, context);
  }
}
