/**
 * Publishes what this mount writes: size and mtime to the metaserver, data to stable storage.
 *
 * Order that a crash must find: bytes behind a cut are off the disk before a larger size is
 * published (they would come back otherwise), and fsync means data first, then size.
 */
import type { Attr } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Logger } from '../../common/log.ts';
import type { ChunkStore } from '../../peer/chunk-store.ts';
import type { AttrChanges, RequestContext } from '../driver/driver.ts';
import type { MetaClient } from '../meta-client.ts';
import { type DirtyAttr, type Inode, type InodeTable, inOrder } from './inode.ts';

/** Publications under way at a time when all files are published. */
const PARALLEL = 64;

export interface PublisherOptions {
  readonly meta: MetaClient;
  readonly store: ChunkStore;
  readonly inodes: InodeTable;
  readonly log: Logger;
}

export class Publisher {
  readonly #meta: MetaClient;
  readonly #store: ChunkStore;
  readonly #inodes: InodeTable;
  readonly #log: Logger;

  constructor(options: PublisherOptions) {
    this.#meta = options.meta;
    this.#store = options.store;
    this.#inodes = options.inodes;
    this.#log = options.log;
  }

  /**
   * Size and mtime reach the metaserver. Who asks while the same values are under way shares the
   * outcome, so that nobody waits for the bound of another one's request and then for his own.
   */
  publish(inode: Inode, waiter?: RequestContext): Promise<void> {
    const { dirty, publication } = inode;
    if (dirty === undefined) return Promise.resolve();
    if (waiter !== undefined) waiter.waitsFor = 'metaserver';
    if (publication?.dirty === dirty) return publication.done;
    const done = inOrder(inode, async () => {
      try {
        await this.#publish(inode, waiter);
      } finally {
        if (inode.publication?.dirty === dirty) inode.publication = undefined;
      }
    });
    inode.publication = { dirty, done };
    return done;
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
    if (waiter !== undefined) waiter.waitsFor = 'disk';
    await inode.writing;
    // Also when nothing was written through this object: it may be younger than the bytes.
    await this.#syncData(inode);
    await this.publish(inode, waiter);
  }

  /** Explicit attribute changes, with what is dirty published in the same step. */
  async setattr(
    context: RequestContext,
    inode: Inode,
    changes: AttrChanges & { readonly nth?: 0 | 1 },
  ): Promise<Attr> {
    context.waitsFor = 'metaserver';
    const { dirty } = inode;
    const size = changes.size ?? dirty?.size;
    const mtime = changes.mtime ?? (changes.size === undefined ? dirty?.mtime : undefined);
    if (size !== undefined) await this.settleCut(inode, size);
    const attr = await this.#meta.setattr(context, inode.ino, {
      ...changes,
      ...(size !== undefined && { size }),
      ...(mtime !== undefined && { mtime }),
    });
    inode.update(attr);
    inode.clean(dirty);
    return attr;
  }

  /** Before a size beyond an unsynced cut becomes known: the cut itself is made durable. */
  async settleCut(inode: Inode, size: number): Promise<void> {
    if (inode.cut === undefined || size <= inode.cut.size) return;
    await this.#syncData(inode);
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

  /** Publishes, and makes a cut durable that nothing published since has made so. */
  async #settle(inode: Inode): Promise<boolean> {
    if (!(await this.tryPublish(inode))) return false;
    if (inode.cut === undefined) return true;
    try {
      await this.#syncData(inode);
      this.#inodes.settle(inode);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#log.warn('a truncated file is not on disk yet', { ino: inode.ino, error });
    }
    return true;
  }

  async #publish(inode: Inode, waiter: RequestContext | undefined): Promise<void> {
    const { dirty } = inode;
    if (dirty === undefined) return;
    if (inode.gone) inode.keep(dirty);
    else {
      await this.settleCut(inode, dirty.size);
      await this.#flush(inode, dirty, waiter);
      inode.clean(dirty);
    }
    this.#inodes.settle(inode);
  }

  /** @throws FsError ENOENT once, when an open file is gone from the metaserver */
  async #flush(inode: Inode, dirty: DirtyAttr, waiter: RequestContext | undefined): Promise<void> {
    try {
      inode.update(await this.#meta.flushAttr({ ino: inode.ino, ...dirty }, waiter));
    } catch (error) {
      if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
      inode.gone = true;
      if (inode.opens > 0) throw error;
    }
  }

  async #syncData(inode: Inode): Promise<void> {
    const { cut } = inode;
    await this.#store.fsync(inode.ino);
    if (inode.cut === cut) inode.cut = undefined;
  }
}
