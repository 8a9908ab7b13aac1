/**
 * What a check keeps of every inode, in columns of numbers: some 60 bytes an inode. Inos are handed
 * out in sequence, so a page of them is full or missing.
 */
import { asIno, type Ino } from '../../common/ids.ts';

const PAGE = 1024;

class Page {
  /** S_IFMT bits of the mode by 12; ABSENT and UNREADABLE stand for no inode and a damaged one. */
  readonly type = new Uint8Array(PAGE);
  readonly nlink = new Uint32Array(PAGE);
  readonly entries = new Float64Array(PAGE);
  readonly openers = new Uint32Array(PAGE);
  readonly parent = new Float64Array(PAGE);
  readonly nextSeq = new Float64Array(PAGE);
  /** Counted: names of it, names and directories in it, its opener records. */
  readonly names = new Uint32Array(PAGE);
  readonly entriesFound = new Uint32Array(PAGE);
  readonly subdirs = new Uint32Array(PAGE);
  readonly openersFound = new Uint32Array(PAGE);
  /** The directory in which it has a name: the last one found. */
  readonly namedIn = new Float64Array(PAGE);
  /** 1: it has a target. */
  readonly target = new Uint8Array(PAGE);
  /** How far the walk to the root came. */
  readonly walked = new Uint8Array(PAGE);
}

export type Column = keyof Page;

export const ABSENT = 0;
export const UNREADABLE = 255;

export class InodeColumns {
  readonly #pages = new Map<number, Page>();

  get(ino: Ino, column: Column): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.[column][ino % PAGE] ?? 0;
  }

  set(ino: Ino, column: Column, value: number): void {
    const number = Math.floor(ino / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Page();
      this.#pages.set(number, page);
    }
    page[column][ino % PAGE] = value;
  }

  add(ino: Ino, column: Column): void {
    this.set(ino, column, this.get(ino, column) + 1);
  }

  /** Inodes that are there, in pieces of at most a page, in order. */
  *pieces(): Iterable<Ino[]> {
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const type = this.#pages.get(number)?.type ?? [];
      const inos: Ino[] = [];
      for (const [at, value] of type.entries()) {
        if (value !== ABSENT) inos.push(asIno(number * PAGE + at));
      }
      yield inos;
    }
  }
}
