/**
 * Inodes the kernel or an open handle refers to, and what this mount knows better than the
 * metaserver: size and times of files it is writing.
 */

import { assert } from '../../common/assert.ts';
import { type Attr, laterTime, type Timespec, timeAfter } from '../../common/attr.ts';
import type { GroupId, Ino } from '../../common/ids.ts';
import type { HomeState } from '../data/data-path.ts';
import { KernelCopy } from './kernel-copy.ts';

/** What this mount has written and not published yet. */
export interface DirtyAttr {
  /** The file is at least this long. */
  readonly end: number;
  /** Of the last write: mtime and ctime, unless something else has moved that later. */
  readonly mtime: Timespec;
}

export class Inode {
  readonly ino: Ino;
  /** References the kernel owes forgets for. */
  lookups = 0;
  /** Open file handles. */
  opens = 0;
  /** No name leads here any more, and it lives at the metaserver until our last close. */
  kept = false;
  /** The metaserver no longer has it. */
  gone = false;
  /** Its size is being set: writes wait. */
  resizing = false;
  /** Shrunk to this size, and the shrinking is not on stable storage yet; an object a cut. */
  cut: { readonly size: number } | undefined;
  /** Unlinks and rename-overs are under way: opens wait for all of them. */
  removal: Promise<unknown> | undefined;
  /** Writes the store has not finished: appends and size changes wait for them. */
  writing: Promise<unknown> | undefined;
  /** Where the last publication of this mount found the bytes. */
  publishedUnder: HomeState | undefined;
  /** Of the lease this mount has on it, or had last: what it writes goes under that. */
  lseq = 0;
  /** Handles that may write. */
  writers = 0;
  readonly copy = new KernelCopy();
  /** What is unpublished was written under a lease that was lost for good. */
  fenced = false;
  /** Stores through mappings may be older than what others wrote: it was evicted while open. */
  fencedStores = false;
  /** Programs that have it open relied on locks that were lost with the session. */
  locksLost = false;
  /** How often something written here was lost to others. */
  losses = 0;
  /** The metaserver was told that it is open here: it is told of the last close too. */
  toldOpen = false;
  /** A publication that was asked for when this was what there was to publish. */
  publication: { readonly dirty: DirtyAttr; readonly done: Promise<void> } | undefined;
  /** Attribute changes and publications run one after another. */
  changes: Promise<unknown> = Promise.resolve();
  #attr: Attr;
  #dirty: DirtyAttr | undefined;

  constructor(attr: Attr) {
    this.ino = attr.ino;
    this.#attr = attr;
  }

  /** What stat(2) shows. */
  get attr(): Attr {
    const nlink = this.gone ? 0 : this.#attr.nlink;
    const dirty = this.#dirty;
    if (dirty === undefined) {
      return nlink === this.#attr.nlink ? this.#attr : { ...this.#attr, nlink };
    }
    const ctime = laterTime(this.#attr.ctime, dirty.mtime);
    return { ...this.#attr, nlink, size: this.size, mtime: dirty.mtime, ctime };
  }

  get size(): number {
    return Math.max(this.#attr.size, this.#dirty?.end ?? 0);
  }

  get publishedSize(): number {
    return this.#attr.size;
  }

  get rg(): GroupId {
    return this.#attr.rg;
  }

  get cuts(): number {
    return this.#attr.cuts;
  }

  get dv(): number {
    return this.#attr.dv;
  }

  get dirty(): DirtyAttr | undefined {
    return this.#dirty;
  }

  get referenced(): boolean {
    const owes = this.#dirty !== undefined || this.cut !== undefined;
    return this.lookups > 0 || this.opens > 0 || (owes && !this.gone);
  }

  /** Takes over what the metaserver says; an older version never replaces a newer one. */
  update(attr: Attr): void {
    assert(attr.ino === this.ino, `attributes of ino ${attr.ino} for ino ${this.ino}`);
    if (attr.av >= this.#attr.av) this.#attr = attr;
    this.#shrunk();
    // Its last name went on another machine, and it lives for us.
    if (attr.nlink === 0 && this.opens > 0 && !this.gone) this.kept = true;
  }

  /** Bytes up to `end` were written at `now`. */
  wrote(end: number, now: Timespec): void {
    const { end: known, mtime: last } = this.#dirty ?? { end: 0, mtime: this.#attr.ctime };
    const mtime = timeAfter(laterTime(this.#attr.ctime, last), now);
    this.#dirty = { end: Math.max(known, end), mtime };
  }

  /** What is unpublished is news for others only now: the file may have changed for them since. */
  late(): void {
    if (this.#dirty === undefined) return;
    this.#dirty = { ...this.#dirty, mtime: timeAfter(this.#attr.ctime, this.#dirty.mtime) };
  }

  /** An earlier process of the node has written this and not published it. */
  restore(dirty: DirtyAttr): void {
    this.#dirty = dirty;
  }

  /** `dirty` reached the metaserver, which answered `attr`; later writes stay dirty. */
  published(attr: Attr, dirty: DirtyAttr, under: HomeState): void {
    this.update(attr);
    this.publishedUnder = under;
    this.clean(dirty);
  }

  clean(dirty: DirtyAttr): void {
    if (this.#dirty === dirty) this.#dirty = undefined;
  }

  /** Another mount has cut the file to `size`: what was written behind that went with it. */
  cutElsewhere(size: number): void {
    if (this.#dirty === undefined || this.#dirty.end <= size) return;
    this.#dirty = { ...this.#dirty, end: size };
    this.#shrunk();
  }

  /** Nobody else asks for the attributes of a file that is gone: they end up here. */
  keep(last: DirtyAttr): void {
    this.#attr = this.attr;
    this.clean(last);
  }

  /** The store still works on this write. */
  track(write: Promise<unknown>): void {
    const all = Promise.allSettled([this.writing, write]).then(() => {
      if (this.writing === all) this.writing = undefined;
    });
    this.writing = all;
  }

  /** An unlink or rename-over is under way. */
  falls(removal: Promise<unknown>): void {
    const all = Promise.allSettled([this.removal, removal]).then(() => {
      if (this.removal === all) this.removal = undefined;
    });
    this.removal = all;
  }

  /** The file was cut or extended at the metaserver while writes waited: nothing local is newer. */
  resized(): void {
    this.#dirty = undefined;
    this.#shrunk();
  }

  #shrunk(): void {
    this.copy.size = Math.min(this.copy.size, this.size);
    this.copy.toldSize = Math.min(this.copy.toldSize, this.size);
  }
}

export class InodeTable {
  readonly #inodes = new Map<Ino, Inode>();
  readonly #onLost: (inode: Inode) => void;

  /** @param onLost a file that is gone is not referred to any more, whatever it still owed */
  constructor(onLost: (inode: Inode) => void) {
    this.#onLost = onLost;
  }

  get size(): number {
    return this.#inodes.size;
  }

  get(ino: Ino): Inode | undefined {
    return this.#inodes.get(ino);
  }

  /** The inode with these attributes, made when unknown. */
  remember(attr: Attr): Inode {
    const known = this.#inodes.get(attr.ino);
    if (known !== undefined) {
      known.update(attr);
      return known;
    }
    const inode = new Inode(attr);
    this.#inodes.set(attr.ino, inode);
    return inode;
  }

  /** Drops an inode nobody refers to. */
  settle(inode: Inode): void {
    if (inode.referenced || this.#inodes.get(inode.ino) !== inode) return;
    this.#inodes.delete(inode.ino);
    if (inode.gone) this.#onLost(inode);
  }

  values(): IterableIterator<Inode> {
    return this.#inodes.values();
  }
}

/** Runs `task` after the inode's earlier attribute changes, whatever became of them. */
export function inOrder<T>(inode: Inode, task: () => Promise<T>): Promise<T> {
  const run = inode.changes.then(task, task);
  inode.changes = run.catch(() => undefined);
  return run;
}
