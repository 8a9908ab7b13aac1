/**
 * What a kernel keeps of one mount, and how it blocks: facts K6 to K15 of the design. Requests go
 * up to the mount; the mount tells it to forget.
 */
import type { Ino } from '../../../src/common/ids.ts';
import { type Attr, type Content, type Entry, NAMES, PAGES, PENDING } from './messages.ts';
import type { Mount } from './mount.ts';
import type { Answer, Upcall } from './upcalls.ts';
import type { World } from './world.ts';

interface Dentry {
  readonly entry: Entry;
  readonly untilMs: number;
  readonly epoch: number;
}

export interface Cell {
  content: Content;
  isUptodate: boolean;
  /** Held by a READ or a partial WRITE without an answer. */
  isLocked: boolean;
  /** The handle whose mapping has changed it. */
  dirtyBy: number | undefined;
  /** What a mapping has changed is on its way to the mount. */
  isLeaving: boolean;
  waiters: (() => void)[];
}

interface Cached {
  attr: Attr;
  untilMs: number;
}

export class Kernel {
  readonly world: World;
  readonly mount: Mount;
  epoch = 0;
  readonly #dentries = new Map<number, Dentry>();
  readonly #attrs = new Map<Ino, Cached>();
  readonly #attrVersions = new Map<Ino, number>();
  readonly #cells = new Map<Ino, (Cell | undefined)[]>();

  constructor(world: World, mount: Mount) {
    this.world = world;
    this.mount = mount;
  }

  get nowMs(): number {
    return this.world.queue.nowMs;
  }

  /** A request travels to the mount. */
  send(upcall: Upcall, answer: (answer: Answer) => void): void {
    upcall.answer = answer;
    upcall.kernelEpoch = this.epoch;
    const { mount } = this;
    this.world.queue.after(0.02 + 0.1 * this.world.random.next(), () =>
      mount.node.run(() => mount.arrived(upcall)),
    );
  }

  dentry(dir: Ino, name: number): Entry | undefined {
    const dentry = this.#dentries.get(dir * 8 + name);
    const isValid = dentry?.epoch === this.epoch && this.nowMs < dentry.untilMs;
    return isValid ? dentry.entry : undefined;
  }

  /** An answer names an entry; the epoch is that of the request. */
  keepEntry(dir: Ino, name: number, entry: Entry, ttlMs: number, epoch: number): void {
    if (epoch !== this.epoch) this.world.tally.count('K8 lookup across an epoch');
    this.#dentries.set(dir * 8 + name, { entry, untilMs: this.nowMs + ttlMs, epoch });
  }

  /** A rename takes it along, and how long it holds. */
  takeEntry(dir: Ino, name: number): Dentry | undefined {
    const dentry = this.#dentries.get(dir * 8 + name);
    this.dropEntry(dir, name);
    return dentry;
  }

  putEntry(dir: Ino, name: number, entry: Entry, taken: Dentry): void {
    this.#dentries.set(dir * 8 + name, { ...taken, entry });
    if (this.dentry(dir, name) !== undefined) this.world.tally.count('K8 a name moves and holds');
  }

  dropEntry(dir: Ino, name: number): void {
    this.#dentries.delete(dir * 8 + name);
  }

  attr(ino: Ino): Attr | undefined {
    const cached = this.#attrs.get(ino);
    return cached !== undefined && this.nowMs < cached.untilMs ? cached.attr : undefined;
  }

  attrVersion(ino: Ino): number {
    return this.#attrVersions.get(ino) ?? 0;
  }

  /** What was asked before an invalidation is not kept. */
  keepAttr(ino: Ino, attr: Attr, ttlMs: number, version: number): void {
    if (version === this.attrVersion(ino)) {
      this.#attrs.set(ino, { attr, untilMs: this.nowMs + ttlMs });
    } else this.world.tally.count('K9 attributes not kept');
  }

  cells(ino: Ino): (Cell | undefined)[] {
    const known = this.#cells.get(ino);
    if (known !== undefined) return known;
    const cells = Array.from<Cell | undefined>({ length: PAGES });
    this.#cells.set(ino, cells);
    return cells;
  }

  add(ino: Ino, page: number, content: Content, isLocked: boolean): Cell {
    const isUptodate = !isLocked;
    const cell: Cell = {
      content,
      isUptodate,
      isLocked,
      dirtyBy: undefined,
      isLeaving: false,
      waiters: [],
    };
    this.cells(ino)[page] = cell;
    return cell;
  }

  remove(ino: Ino, page: number, cell: Cell): void {
    const cells = this.cells(ino);
    if (cells[page] === cell) cells[page] = undefined;
    this.unlock(cell);
  }

  unlock(cell: Cell): void {
    cell.isLocked = false;
    const { waiters } = cell;
    cell.waiters = [];
    for (const waiter of waiters) waiter();
  }

  // Notifications.

  forgetAttr(ino: Ino): void {
    this.#attrs.delete(ino);
    this.#attrVersions.set(ino, this.attrVersion(ino) + 1);
  }

  forgetNames(): void {
    this.epoch += 1;
  }

  /** INVAL_INODE: page by page, waiting for each that is locked. */
  forgetData(ino: Ino, done: () => void, from = 0, to = PAGES): void {
    const cells = this.cells(ino);
    for (let page = from; page < to; page += 1) {
      const cell = cells[page];
      if (cell === undefined) continue;
      if (cell.isLocked) {
        this.world.tally.count('K6 invalidation waits for a page');
        cell.waiters.push(() => this.forgetData(ino, done, page, to));
        return;
      }
      if (cell.dirtyBy !== undefined) {
        this.world.tally.count('K15 stores leave during invalidation');
        this.writeBack(ino, page, cell, () => this.forgetData(ino, done, page, to));
        return;
      }
      cells[page] = undefined;
    }
    done();
  }

  /** Stores of a mapping go to the mount; the page is held meanwhile. */
  writeBack(ino: Ino, page: number, cell: Cell, done: (failed: boolean) => void): void {
    const { content, dirtyBy: fh } = cell;
    cell.isLocked = true;
    cell.dirtyBy = undefined;
    cell.isLeaving = true;
    const handle = { fh: fh ?? 0, isDirect: false, isStore: true };
    this.send({ kind: 'write', ino, page, content, ...handle }, ({ error }) => {
      cell.isLeaving = false;
      if (error !== undefined) this.remove(ino, page, cell);
      else this.unlock(cell);
      done(error !== undefined);
    });
  }

  /** At the end of the leases, by the node or by the guardian: what cannot be waited for is not. */
  forgetEverything(): void {
    this.forgetNames();
    for (const ino of this.#attrs.keys()) this.forgetAttr(ino);
    for (const ino of this.#cells.keys()) {
      const cells = this.cells(ino);
      for (let page = 0; page < PAGES; page += 1) {
        const cell = cells[page];
        if (cell === undefined) continue;
        if (cell.isLocked) cell.waiters.unshift(() => this.#drop(ino, page, cell));
        else this.#drop(ino, page, cell);
      }
    }
  }

  #drop(ino: Ino, page: number, cell: Cell): void {
    if (cell.isLocked || this.cells(ino)[page] !== cell) return;
    if (cell.dirtyBy === undefined) this.remove(ino, page, cell);
    else this.writeBack(ino, page, cell, () => this.#drop(ino, page, cell));
  }

  /** Stores of a mapping that the mount has not accepted. */
  hasStored(ino: Ino, page: number): boolean {
    const cell = this.#cells.get(ino)?.[page];
    return cell !== undefined && (cell.dirtyBy !== undefined || cell.isLeaving);
  }

  /** What it would answer of the inode without asking; for the checks. */
  remembers(ino: Ino): string | undefined {
    if (this.attr(ino) !== undefined) return 'attributes';
    for (const cell of this.#cells.get(ino) ?? []) {
      if (cell?.isUptodate === true && !cell.isLocked && cell.content.version !== PENDING) {
        return 'data';
      }
    }
    for (let name = 0; name < NAMES; name += 1) {
      if (this.dentry(ino, name) !== undefined) return 'names';
    }
    return undefined;
  }
}
