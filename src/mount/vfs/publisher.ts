/**
 * Publishes what this mount writes: data to the home, then size and mtime to the metaserver. fsync
 * means data on stable storage first, then size.
 */
import { FsError } from '../../common/errno.ts';
import type { Logger } from '../../common/log.ts';
import type { HomeState } from '../data/data-path.ts';
import type { FileData } from '../data/file-data.ts';
import { interruptible } from '../data/patience.ts';
import type { WriteJournal } from '../data/write-journal.ts';
import type { AttrChanges, RequestContext } from '../driver/driver.ts';
import type { Leases } from '../leases.ts';
import type { MetaClient } from '../meta-client.ts';
import { type DirtyAttr, type Inode, type InodeTable, inOrder } from './inode.ts';
import { refresh } from './refresh.ts';

/** Publications under way at a time when all files are published. */
const PARALLEL = 64;
/** A file that others cut, or a home that restarts, again and again meanwhile. */
const TRIES = 5;

export interface PublisherOptions {
  readonly meta: MetaClient;
  readonly leases: Leases;
  readonly data: FileData;
  readonly journal: Pick<WriteJournal, 'rose'>;
  readonly inodes: InodeTable;
  readonly log: Logger;
}

export class Publisher {
  readonly #meta: MetaClient;
  readonly #leases: Leases;
  readonly #data: FileData;
  readonly #journal: Pick<WriteJournal, 'rose'>;
  readonly #inodes: InodeTable;
  readonly #log: Logger;

  constructor(options: PublisherOptions) {
    this.#meta = options.meta;
    this.#leases = options.leases;
    this.#data = options.data;
    this.#journal = options.journal;
    this.#inodes = options.inodes;
    this.#log = options.log;
  }

  /** Calls about the file go under the lease this mount has now. */
  follow(inode: Inode): void {
    const lseq = this.#leases.lseqOf(inode.ino);
    if (lseq <= inode.lseq) return;
    inode.lseq = lseq;
    this.#journal.rose(inode);
  }

  /**
   * Size and mtime reach the metaserver. Who asks while the same values are under way shares the
   * outcome, so that nobody waits for the bound of another one's request and then for his own.
   */
  publish(inode: Inode, waiter?: RequestContext): Promise<void> {
    const { dirty, publication } = inode;
    if (dirty === undefined) return Promise.resolve();
    if (waiter !== undefined) waiter.waitsFor = 'earlier';
    if (publication?.dirty === dirty) return this.#shared(inode, publication.done, waiter);
    const done = inOrder(inode, async () => {
      try {
        await this.flush(inode, waiter);
      } finally {
        if (inode.publication?.dirty === dirty) inode.publication = undefined;
      }
    });
    inode.publication = { dirty, done };
    return done;
  }

  /** When whoever asked first is interrupted, the others still want it. */
  async #shared(
    inode: Inode,
    done: Promise<void>,
    waiter: RequestContext | undefined,
  ): Promise<void> {
    try {
      await (waiter === undefined ? done : interruptible(waiter, 'earlier', done));
    } catch (error) {
      const others = error instanceof FsError && error.code === 'EINTR';
      if (!others || waiter?.interrupted === true) throw error;
      await this.publish(inode, waiter);
    }
  }

  /** As publish; a failure is logged, and what failed stays for the next time. @returns success */
  async tryPublish(inode: Inode): Promise<boolean> {
    try {
      await this.publish(inode);
      return true;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#log.warn('size and times stay unpublished for now', { ino: inode.ino, error });
      return false;
    }
  }

  /** Everything written so far is on stable storage, and its size at the metaserver. */
  async sync(inode: Inode, waiter?: RequestContext): Promise<void> {
    for (let tries = 1; ; tries++) {
      const { publishedUnder } = inode;
      // Also when nothing was written through this object: it may be younger than the bytes.
      const synced = await this.#data.of(inode).sync(inode, waiter);
      await this.publish(inode, waiter);
      const under = inode.publishedUnder;
      if (under === publishedUnder || same(under, synced)) return;
      // The home was another one by then, and was sent everything again.
      if (tries === TRIES) throw new FsError('EIO', `the home of ino ${inode.ino} keeps changing`);
    }
  }

  /** Explicit changes of other attributes than the size; in order. */
  async setattr(
    context: RequestContext,
    inode: Inode,
    changes: AttrChanges & { readonly nth?: 0 | 1 },
  ): Promise<void> {
    await this.flush(inode, context);
    context.waitsFor = 'metaserver';
    inode.update(await this.#meta.setattr(context, inode.ino, changes));
  }

  /** Publishes every file that is being written. @returns how many failed, to be tried again */
  async publishAll(): Promise<number> {
    const owing = [...this.#inodes.values()].filter(
      (inode) => inode.dirty !== undefined || inode.cut !== undefined,
    );
    const queue = owing.values();
    let failed = 0;
    const work = async (): Promise<void> => {
      for (const inode of queue) if (!(await this.#settle(inode))) failed++;
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    return failed;
  }

  /** As publishAll, past the order of changes. @returns how many failed */
  async publishNow(): Promise<number> {
    let failed = 0;
    for (const inode of [...this.#inodes.values()]) {
      try {
        await inode.writing;
        // What was fenced needs a lease first, which nobody gets before this is done.
        while (inode.dirty !== undefined && !inode.fenced) await this.flush(inode, undefined);
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
        this.#log.warn('a file stays unpublished for now', { ino: inode.ino, error });
        failed += 1;
      }
    }
    return failed;
  }

  /** Publishes, and makes a cut durable that nothing published since has made so. */
  async #settle(inode: Inode): Promise<boolean> {
    if (!(await this.tryPublish(inode))) return false;
    if (inode.cut === undefined) return true;
    try {
      await this.#data.of(inode).sync(inode, undefined);
      this.#inodes.settle(inode);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#log.warn('a truncated file is not on disk yet', { ino: inode.ino, error });
    }
    return true;
  }

  /** As publish, in order already. @throws FsError ENOENT once, when an open file is gone */
  async flush(inode: Inode, waiter: RequestContext | undefined): Promise<void> {
    const { dirty } = inode;
    if (dirty === undefined) return;
    if (inode.gone) {
      inode.keep(dirty);
      this.#data.of(inode).forget(inode);
    } else if (inode.fenced) await this.#afterFence(inode, dirty);
    else await this.#flush(inode, waiter);
    this.#inodes.settle(inode);
  }

  /**
   * Rule C15. Bytes that are at their home are published under a new lease; others would overwrite
   * what somebody else may have written since.
   */
  async #afterFence(inode: Inode, dirty: DirtyAttr): Promise<void> {
    const { ino } = inode;
    if (this.#data.isLocal(inode)) {
      // A recall that waits for this keeps the lease until it is done.
      const held = this.#leases.mayWrite(ino);
      if (!held) await this.#leases.use(undefined, ino, 'exclusive');
      try {
        this.follow(inode);
        inode.late();
        await this.#flush(inode, undefined);
        inode.fenced = false;
      } finally {
        if (!held) this.#leases.done(ino);
      }
      return;
    }
    const kept = await this.#data.of(inode).setAside(inode);
    inode.fenced = false;
    inode.clean(dirty);
    inode.losses += 1;
    this.#log.error('what was written here could not be merged: it is kept aside', { ino, kept });
  }

  async #flush(inode: Inode, waiter: RequestContext | undefined): Promise<void> {
    const path = this.#data.of(inode);
    for (let tries = 1; ; tries++) {
      try {
        await path.publish(inode, waiter, (state, { end, mtime }) =>
          this.#meta.flushAttr({ ino: inode.ino, size: end, mtime, ...state }, waiter),
        );
        return;
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
        if (await this.#isOver(inode, error)) return;
        if (error.code !== 'ESTALE' || tries === TRIES) throw error;
      }
      await refresh(this.#meta, inode, waiter);
      await path.again(inode, waiter);
    }
  }

  /** It will never be published as it is. @throws the error once, when an open file is gone */
  async #isOver(inode: Inode, error: FsError): Promise<boolean> {
    if (error.code === 'ENOENT' || inode.gone) {
      this.#lost(inode, error);
      return true;
    }
    const { dirty } = inode;
    if (error.code !== 'ENOLCK' || dirty === undefined) return false;
    await this.#afterFence(inode, dirty);
    return true;
  }

  /** The metaserver no longer has the file: whoever still has it open is told once. */
  #lost(inode: Inode, error: FsError): void {
    inode.gone = true;
    this.#data.of(inode).forget(inode);
    if (inode.opens > 0) throw error;
  }
}

function same(one: HomeState | undefined, other: HomeState): boolean {
  return one?.cuts === other.cuts && one.rgEpoch === other.rgEpoch;
}
