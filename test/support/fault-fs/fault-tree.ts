import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRegular, S_IFDIR } from '../../../src/common/attr.ts';
import { FaultFile } from './fault-file.ts';

/** A change of names or attributes, as the journal keeps it. */
export type Change =
  | { op: 'make'; parent: number; name: string; ino: number; mode: number; target?: string }
  | { op: 'link'; parent: number; name: string; ino: number }
  | { op: 'remove'; parent: number; name: string }
  | { op: 'rename'; parent: number; name: string; newParent: number; newName: string }
  | { op: 'mode'; ino: number; mode: number }
  | { op: 'size'; ino: number; size: number };

export interface FaultNode {
  readonly ino: number;
  mode: number;
  nlink: number;
  readonly target: string;
  /** Directories: name -> ino, in the order of creation. */
  readonly entries: Map<string, number>;
  file: FaultFile | undefined;
  /** Size known to the journal. */
  size: number;
  mtimeMs: number;
}

const ROOT = 1;

/**
 * Names and attributes with ext4's promise: changes become durable in order, all of them with the
 * next fsync of anything; those after the last fsync are lost in a power cut. File data is durable
 * only where that very file was synced.
 */
export class FaultTree {
  readonly #dir: string;
  readonly #nodes = new Map<number, FaultNode>();
  #journal: Change[] = [];
  #next = ROOT + 1;

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(join(dir, 'objects'), { recursive: true });
    this.#nodes.set(ROOT, node(ROOT, S_IFDIR | 0o755));
    const journal = join(dir, 'journal');
    if (!existsSync(journal)) return;
    for (const line of readFileSync(journal, 'utf8').split('\n')) {
      if (line !== '') this.#apply(JSON.parse(line) as Change);
    }
  }

  get(ino: number): FaultNode | undefined {
    return this.#nodes.get(ino);
  }

  nextIno(): number {
    return this.#next;
  }

  change(change: Change): void {
    this.#apply(change);
    this.#journal.push(change);
  }

  /** The bytes of a regular file. */
  file(of: FaultNode): FaultFile {
    of.file ??= new FaultFile(join(this.#dir, 'objects', String(of.ino)), of.size);
    return of.file;
  }

  /** fsync: every change of names so far, and the data of this file. */
  sync(of: FaultNode | undefined): void {
    if (of !== undefined && isRegular(of.mode)) {
      const size = this.file(of).sync();
      if (size !== of.size) this.change({ op: 'size', ino: of.ino, size });
    }
    if (this.#journal.length === 0) return;
    const lines = this.#journal.map((change) => `${JSON.stringify(change)}\n`);
    appendFileSync(join(this.#dir, 'journal'), lines.join(''));
    for (const change of this.#journal) {
      if (change.op === 'size') this.#nodes.get(change.ino)?.file?.settleCut();
    }
    this.#journal = [];
  }

  #apply(change: Change): void {
    switch (change.op) {
      case 'make': {
        this.#next = Math.max(this.#next, change.ino + 1);
        this.#nodes.set(change.ino, node(change.ino, change.mode, change.target));
        this.#nodes.get(change.parent)?.entries.set(change.name, change.ino);
        return;
      }
      case 'link': {
        this.#nodes.get(change.parent)?.entries.set(change.name, change.ino);
        const linked = this.#nodes.get(change.ino);
        if (linked !== undefined) linked.nlink++;
        return;
      }
      case 'remove': {
        this.#unlink(change.parent, change.name);
        return;
      }
      case 'rename': {
        const from = this.#nodes.get(change.parent)?.entries;
        const ino = from?.get(change.name);
        if (from === undefined || ino === undefined) return;
        this.#unlink(change.newParent, change.newName);
        from.delete(change.name);
        this.#nodes.get(change.newParent)?.entries.set(change.newName, ino);
        return;
      }
      case 'mode': {
        const changed = this.#nodes.get(change.ino);
        if (changed !== undefined) changed.mode = change.mode;
        return;
      }
      case 'size': {
        const sized = this.#nodes.get(change.ino);
        if (sized !== undefined) sized.size = change.size;
      }
    }
  }

  #unlink(parent: number, name: string): void {
    const entries = this.#nodes.get(parent)?.entries;
    const target = this.#nodes.get(entries?.get(name) ?? 0);
    entries?.delete(name);
    if (target !== undefined) target.nlink--;
  }
}

function node(ino: number, mode: number, target = ''): FaultNode {
  return {
    ino,
    mode,
    nlink: 1,
    target,
    entries: new Map(),
    file: undefined,
    size: 0,
    mtimeMs: 0,
  };
}
