/**
 * The filesystem by inode and handle: no paths, no FUSE types. Names and attributes come from the
 * metaserver, under leases, bytes from this machine's store or from their home.
 */

import { isDirectory, isRegular } from '../../common/attr.ts';
import type { Clock } from '../../common/clock.ts';
import { asIno, type Ino } from '../../common/ids.ts';
import { TaskGroup } from '../../common/lifecycle.ts';
import type { Logger } from '../../common/log.ts';
import type { FileData } from '../data/file-data.ts';
import type { WriteJournal } from '../data/write-journal.ts';
import type { FileSystem } from '../driver/driver.ts';
import type { KernelCache } from '../kernel-cache.ts';
import type { LeasedFiles, Leases } from '../leases.ts';
import type { MountLocks } from '../locks.ts';
import type { MetaClient } from '../meta-client.ts';
import { adopt } from './adoption.ts';
import { DirOps } from './dir-ops.ts';
import { FileOps } from './file-ops.ts';
import { InodeTable } from './inode.ts';
import { LockOps } from './lock-ops.ts';
import { NameOps } from './name-ops.ts';
import { Publisher } from './publisher.ts';
import { RecentNames } from './recent-names.ts';
import type { VfsShared } from './shared.ts';
import { UnlinkedCloser } from './unlinked-closer.ts';

export interface VfsOptions {
  readonly meta: MetaClient;
  readonly leases: Leases;
  readonly locks: MountLocks;
  readonly kernel: KernelCache;
  readonly data: FileData;
  readonly journal: WriteJournal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly showAs: { readonly uid: number | undefined; readonly gid: number | undefined };
}

/** Binds the methods of the operation families into one object a driver can use. */
export class Vfs {
  readonly #options: VfsOptions;
  readonly #inodes: InodeTable;
  readonly #publisher: Publisher;
  readonly #files: FileOps;
  readonly #data: FileData;
  readonly #leases: Leases;
  readonly #tasks: TaskGroup;
  readonly #unlinked: UnlinkedCloser;
  readonly #names = new RecentNames();
  readonly fs: FileSystem;

  constructor(options: VfsOptions) {
    const { log } = options;
    this.#options = options;
    this.#data = options.data;
    this.#leases = options.leases;
    this.#inodes = new InodeTable((inode) => this.#data.of(inode).forget(inode));
    this.#tasks = new TaskGroup((error) => log.warn('background work failed', { error }));
    this.#publisher = new Publisher({ ...options, inodes: this.#inodes });
    this.#unlinked = new UnlinkedCloser({ meta: options.meta, tasks: this.#tasks });
    const shared: VfsShared = {
      ...options,
      inodes: this.#inodes,
      names: this.#names,
      publisher: this.#publisher,
      unlinked: this.#unlinked,
    };
    this.#files = new FileOps(shared);
    options.leases.files = this.#leasedFiles(options.meta);
    options.locks.onLost = (ino) => {
      const inode = this.#inodes.get(ino);
      if (inode !== undefined && inode.opens > 0) inode.locksLost = true;
    };
    options.meta.cache.onAttr = (attr) => this.#inodes.get(attr.ino)?.update(attr);
    const locks = new LockOps(shared, this.#files);
    this.fs = fileSystem(new NameOps(shared), this.#files, new DirOps(shared), locks);
  }

  /** Files that programs have open here, as the metaserver is told now: of their last close too. */
  tellOpen(): Ino[] {
    const open = [...this.#inodes.values()].filter(({ opens }) => opens > 0);
    for (const inode of open) inode.toldOpen = true;
    return open.map(({ ino }) => ino);
  }

  get leaseCount(): number {
    return this.#leases.count;
  }

  get openFiles(): number {
    return this.#files.openCount;
  }

  /** Tells where inodes were last found: see RecentNames. */
  paths(): (ino: number) => string {
    return this.#names.paths();
  }

  /** The name of the machine that keeps a file; undefined: this one, or it is not known here. */
  homeName(ino: number): string | undefined {
    const inode = this.#inodes.get(asIno(ino));
    if (inode === undefined || !isRegular(inode.attr.mode)) return undefined;
    return this.#data.homeName(inode);
  }

  get inodeCount(): number {
    return this.#inodes.size;
  }

  /** Unlinked files that are closed here and still take space for what the metaserver knows. */
  get unlinkedPending(): number {
    return this.#unlinked.pendingCount;
  }

  /** Publishes size and times of everything written so far. @returns how many failed */
  publishAll(): Promise<number> {
    this.#unlinked.retry();
    return this.#publisher.publishAll();
  }

  /**
   * What an earlier process of the node left unpublished is this mount's to publish.
   * @throws FsError the metaserver does not answer; what is left stays in the journal
   */
  adopt(): Promise<void> {
    return adopt({ ...this.#options, inodes: this.#inodes });
  }

  /** This mount may not publish any more what it wrote under the leases it lost. */
  evicted(): void {
    for (const inode of this.#inodes.values()) {
      inode.toldOpen = false;
      if (inode.dirty !== undefined) inode.fenced = true;
      if (inode.writers > 0) inode.fencedStores = true;
    }
  }

  /**
   * As publishAll, past changes that wait for the metaserver: it waits for this before it makes
   * them. @returns how many failed
   */
  publishNow(): Promise<number> {
    return this.#publisher.publishNow();
  }

  /** Another mount has cut a file whose home is here. */
  cutElsewhere(ino: Ino, size: number): void {
    this.#inodes.get(ino)?.cutElsewhere(size);
  }

  /** A file whose home is here is gone. */
  removedElsewhere(ino: Ino): void {
    const inode = this.#inodes.get(ino);
    if (inode !== undefined) inode.gone = true;
  }

  #leasedFiles(meta: MetaClient): LeasedFiles {
    const inodes = this.#inodes;
    return {
      isOpen: (ino) => (inodes.get(ino)?.opens ?? 0) > 0,
      mayWrite: (ino) => (inodes.get(ino)?.writers ?? 0) > 0,
      isDirectory: (ino) => {
        const attr = inodes.get(ino)?.attr ?? meta.cache.attr(ino);
        return attr === undefined || isDirectory(attr.mode);
      },
      publish: async (ino) => {
        const inode = inodes.get(ino);
        while (inode?.dirty !== undefined) {
          // Of before an eviction: it is published under a lease that is asked for, not under this.
          const waits = inode.fenced && this.#data.isLocal(inode) && !this.#leases.mayWrite(ino);
          if (waits) return;
          await this.#publisher.publish(inode);
        }
      },
      unpublished: (ino) => {
        const inode = inodes.get(ino);
        if (inode === undefined || inode.fenced || inode.gone || inode.resizing) return undefined;
        // Nobody is told of the new end before programs here may be (C18).
        return inode.copy.dropping === undefined ? inode.dirty : undefined;
      },
      forget: (ino) => {
        meta.cache.forget(ino);
        inodes.get(ino)?.copy.forgot(this.#options.clock.bootMs());
      },
      dropping: (ino) => inodes.get(ino)?.copy.called(this.#options.clock.bootMs()),
      toldOpen: (ino) => {
        const inode = inodes.get(ino);
        if (inode !== undefined) inode.toldOpen = true;
      },
    };
  }

  /** Waits for work no request waits for. */
  async settle(): Promise<void> {
    await this.#tasks.settle();
    await this.#data.settle();
  }
}

function fileSystem(names: NameOps, files: FileOps, dirs: DirOps, locks: LockOps): FileSystem {
  return {
    lookup: (context, parent, name) => names.lookup(context, parent, name),
    forget: (ino, count) => names.forget(ino, count),
    readlink: (context, ino) => names.readlink(context, ino),
    mknod: (context, node) => names.mknod(context, node),
    symlink: (context, node) => names.symlink(context, node),
    unlink: (context, parent, name) => names.unlink(context, parent, name),
    rmdir: (context, parent, name) => names.rmdir(context, parent, name),
    rename: (context, node) => names.rename(context, node),
    link: (context, node) => names.link(context, node),
    getattr: (context, ino, opened) => files.getattr(context, ino, opened),
    setattr: (context, ino, changes) => files.setattr(context, ino, changes),
    open: (context, ino, options) => files.open(context, ino, options),
    create: (context, node) => files.create(context, node),
    read: (context, fh, offset, target) => files.read(context, fh, offset, target),
    write: (context, write) => files.write(context, write),
    flush: (context, fh, owner) => files.flush(context, fh, owner),
    fsync: (context, fh) => files.fsync(context, fh),
    release: (fh, flockOwner) => files.release(fh, flockOwner),
    statfs: (context) => files.statfs(context),
    opendir: (context, ino) => dirs.opendir(context, ino),
    readdir: (context, fh, options) => dirs.readdir(context, fh, options),
    remember: (attr) => dirs.remember(attr),
    releasedir: (fh) => dirs.releasedir(fh),
    locks,
  };
}
