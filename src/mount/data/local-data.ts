/** Files whose home is this machine: the backing file itself, with no network in between. */
import type { Attr, Timespec } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import type { ChunkStore } from '../../peer/chunk-store.ts';
import type { Home } from '../../peer/home.ts';
import type { RequestContext, Result } from '../driver/driver.ts';
import type { Inode } from '../vfs/inode.ts';
import type { DataPath, HomeState, Publish } from './data-path.ts';
import type { Rights } from './rights.ts';
import type { WriteJournal } from './write-journal.ts';

/** A file that is cut again and again meanwhile is somebody else's quarrel. */
const TRIES = 5;

export interface LocalDataOptions {
  readonly store: ChunkStore;
  readonly home: Pick<Home, 'created' | 'follow' | 'isRemoved' | 'isSettled' | 'settle' | 'cut'>;
  readonly rights: Rights;
  readonly journal: Pick<WriteJournal, 'wrote' | 'left' | 'clean'>;
  /** The inode takes over what the metaserver says now. */
  refresh(inode: Inode, waiter: RequestContext | undefined): Promise<void>;
}

export class LocalData implements DataPath {
  readonly #options: LocalDataOptions;

  constructor(options: LocalDataOptions) {
    this.#options = options;
  }

  created(ino: Ino): void {
    this.#options.home.created(ino);
  }

  /** Unsettled cuts do not matter: nothing behind a size is read, and growth comes after the cut. */
  read(_context: RequestContext, inode: Inode, offset: number, target: Uint8Array): Result<void> {
    this.#checkPresent(inode.ino);
    const { home, rights } = this.#options;
    home.follow(inode.ino, rights.to(inode).lseq);
    return this.#options.store.read(inode.ino, offset, target);
  }

  mustPrepare(inode: Inode): boolean {
    return !inode.gone && !this.#options.home.isSettled(inode.ino, inode.cuts);
  }

  async prepare(inode: Inode, waiter: RequestContext | undefined): Promise<void> {
    for (let tries = 1; this.mustPrepare(inode); tries += 1) {
      if (waiter !== undefined) waiter.waitsFor = 'earlier';
      await inode.writing;
      try {
        await this.#options.home.settle(inode.ino, inode.cuts);
      } catch (error) {
        if (!(error instanceof FsError && error.code === 'ESTALE') || tries === TRIES) throw error;
        await this.#options.refresh(inode, waiter);
      }
    }
  }

  mustReserve(): boolean {
    return false;
  }

  async reserve(): Promise<void> {
    // The store refuses what it has no space for.
  }

  write(inode: Inode, offset: number, data: Uint8Array, now: Timespec): Result<void> {
    const { home, rights, store } = this.#options;
    this.#checkPresent(inode.ino);
    const end = offset + data.length;
    const right = rights.to(inode);
    home.follow(inode.ino, right.lseq);
    const done = store.commit(right, inode.ino, { kind: 'write', offset, data });
    if (done instanceof Promise) return done.then(() => this.#wrote(inode, end, now));
    this.#wrote(inode, end, now);
    return undefined;
  }

  #wrote(inode: Inode, end: number, now: Timespec): void {
    inode.wrote(end, now);
    this.#options.journal.wrote(inode, undefined);
  }

  async publish(inode: Inode, waiter: RequestContext | undefined, publish: Publish): Promise<void> {
    await this.prepare(inode, waiter);
    if (inode.cut !== undefined && inode.size > inode.cut.size) await this.#syncData(inode);
    const { dirty } = inode;
    if (dirty === undefined) return;
    const state = this.#state(inode);
    inode.published(await publish(state, dirty), dirty, state);
    this.#options.journal.left(inode, []);
  }

  async again(inode: Inode, waiter: RequestContext | undefined): Promise<void> {
    await this.prepare(inode, waiter);
  }

  async sync(inode: Inode, waiter: RequestContext | undefined): Promise<HomeState> {
    if (waiter !== undefined) waiter.waitsFor = 'disk';
    await inode.writing;
    const state = this.#state(inode);
    await this.#syncData(inode);
    return state;
  }

  async grow(inode: Inode, size: number, waiter: RequestContext | undefined): Promise<void> {
    const { rights, store } = this.#options;
    await this.prepare(inode, waiter);
    // A size the disk refuses is refused before anybody has seen it.
    await store.commit(rights.to(inode), inode.ino, { kind: 'extend', size });
    if (inode.cut !== undefined && size > inode.cut.size) await this.#syncData(inode);
  }

  async cut(inode: Inode, size: number, waiter: RequestContext | undefined): Promise<void> {
    const { home, rights } = this.#options;
    if (waiter !== undefined) waiter.waitsFor = 'disk';
    inode.cut = { size: Math.min(inode.cut?.size ?? size, size) };
    await home.cut(rights.to(inode), inode.ino, size);
  }

  resized(inode: Inode): void {
    this.#options.journal.left(inode, []);
  }

  /** The bytes are in their place; cuts are synced before the first publication (H3, D4). */
  adopt(): boolean {
    return true;
  }

  release(inode: Inode): void {
    this.#options.store.release(inode.ino);
  }

  /** The bytes are at their home, as they were accepted: only size and times are missing. */
  async setAside(): Promise<undefined> {
    return undefined;
  }

  /** The bytes go when the metaserver says that the file is gone. */
  forget({ ino }: { readonly ino: Ino }): void {
    this.#options.journal.clean(ino);
  }

  blocks(attr: Attr): Result<number> {
    return this.#options.store.blocks(attr.ino);
  }

  #state(inode: Inode): HomeState {
    const { cuts, rgEpoch } = this.#options.rights.to(inode);
    return { cuts, rgEpoch };
  }

  /** @throws FsError ESTALE */
  #checkPresent(ino: Ino): void {
    if (this.#options.home.isRemoved(ino)) throw new FsError('ESTALE', `ino ${ino} was removed`);
  }

  async #syncData(inode: Inode): Promise<void> {
    const { cut } = inode;
    await this.#options.store.fsync(inode.ino);
    if (inode.cut === cut) inode.cut = undefined;
  }
}
