/** The committed namespace: two directories with a few names, and files. Survives restarts. */
import type { Ino, SessionId } from '../../../src/common/ids.ts';
import type { Checker } from './checker.ts';
import { modeKey, nameKey, sizeKey } from './checker.ts';
import { type Attr, DIRS, type Entry, FIRST_FILE, NAMES } from './messages.ts';

interface Inode {
  mode: number;
  size: number;
  links: number;
  /** Sessions that keep it although it has no name. */
  readonly openers: Set<SessionId>;
  /** What was done to it is on disk then. */
  durableMs: number;
}

export class Tree {
  readonly inodes = new Map<Ino, Inode>();
  readonly #names = new Map<number, Entry>();
  readonly #checker: Checker;
  #nextIno = FIRST_FILE;

  constructor(checker: Checker) {
    this.#checker = checker;
    for (const dir of DIRS) this.#add(dir, 2);
  }

  inode(ino: Ino): Inode | undefined {
    return this.inodes.get(ino);
  }

  attr(ino: Ino): Attr | undefined {
    const inode = this.inodes.get(ino);
    return inode === undefined ? undefined : { mode: inode.mode, size: inode.size };
  }

  entry(dir: Ino, name: number): Entry {
    return this.#names.get(dir * 8 + name) ?? { ino: 0, version: 0 };
  }

  names(dir: Ino): { dir: Ino; name: number; entry: Entry }[] {
    return Array.from({ length: NAMES }, (_, name) => ({
      dir,
      name,
      entry: this.entry(dir, name),
    }));
  }

  make(dir: Ino, name: number): Ino {
    const ino = this.#nextIno as Ino;
    this.#nextIno += 1;
    this.#add(ino, 0);
    this.point(dir, name, ino);
    return ino;
  }

  /** Leads a name to another inode, or to none. */
  point(dir: Ino, name: number, ino: Ino | 0): void {
    const old = this.inodes.get(this.entry(dir, name).ino as Ino);
    if (old !== undefined) old.links -= 1;
    const version = this.#checker.nextVersion();
    this.#names.set(dir * 8 + name, { ino, version });
    this.#checker.changed(nameKey(dir, name), version);
    if (ino !== 0) this.#must(ino).links += 1;
    this.#must(dir).size = version;
    this.#checker.changed(sizeKey(dir), version);
  }

  setMode(ino: Ino): void {
    const version = this.#checker.nextVersion();
    this.#must(ino).mode = version;
    this.#checker.changed(modeKey(ino), version);
  }

  grow(ino: Ino, size: number): void {
    const inode = this.#must(ino);
    inode.size = Math.max(inode.size, size);
  }

  #add(ino: Ino, links: number): void {
    this.inodes.set(ino, { mode: 0, size: 0, links, openers: new Set(), durableMs: 0 });
  }

  #must(ino: Ino): Inode {
    const inode = this.inodes.get(ino);
    if (inode === undefined) throw new Error(`no inode ${ino}`);
    return inode;
  }
}
