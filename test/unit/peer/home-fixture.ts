import { FsError } from '../../../src/common/errno.ts';
import type { Ino } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { FileRight } from '../../../src/peer/chunk-store.ts';
import { Home } from '../../../src/peer/home.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { context, groupView, ino, read } from '../../support/store-helpers.ts';

export const FILE = ino(70_000);

/** The right of a caller that knows of so many cuts. */
export function right(cuts: number, epoch = 1, rg = 1): FileRight {
  return { ...context(epoch, rg), cuts };
}

/** A home on a store in memory, and a metaserver that a test holds, moves on and takes away. */
export class HomeFixture {
  readonly store = new ScriptedStore();
  readonly home: Home;
  /** What the metaserver knows; undefined: the file is gone. */
  attr: { size: number; cuts: number } | undefined = { size: 0, cuts: 0 };
  fetches = 0;
  /** A reply of the metaserver, decided before, arrives after what it returns. */
  onFetch: () => Promise<void> | void = () => undefined;
  /** Cuts the mount of this node was told of, and files. */
  readonly told: string[] = [];

  constructor() {
    this.store.setGroups([groupView(1)]);
    this.home = new Home({
      store: this.store,
      log: silentLogger,
      fetchAttr: (file) => this.#fetch(file),
    });
    this.home.onCut = (file, size) => this.told.push(`cut ${file} ${size}`);
    this.home.onRemoved = (file) => this.told.push(`removed ${file}`);
  }

  /** Bytes that an earlier life of the home has left. */
  async leave(text: string): Promise<void> {
    const data = Buffer.from(text);
    await this.store.commit(context(1), FILE, { kind: 'write', offset: 0, data });
  }

  /** What another peer reads, zeros at the end left out. */
  async seen(cuts: number): Promise<string> {
    const target = Buffer.alloc(65_536);
    await this.home.read(right(cuts), FILE, { chunk: 0, blockFirst: 0, blockEnd: 1 }, target);
    return shown(target);
  }

  /** What the backing file holds. */
  async stored(): Promise<string> {
    return shown(await read(this.store, FILE, [0, 65_536]));
  }

  write(cuts: number, text: string): Promise<void> {
    return this.home.write(right(cuts), FILE, { offset: 0, data: Buffer.from(text) });
  }

  async #fetch(file: Ino): Promise<{ readonly size: number; readonly cuts: number }> {
    this.fetches += 1;
    const reply = this.attr && { ...this.attr };
    await this.onFetch();
    if (reply === undefined) throw new FsError('ENOENT', `ino ${file} is gone`);
    return reply;
  }
}

function shown(bytes: Buffer): string {
  return bytes.toString().replace(/\0+$/, '').replaceAll('\0', '.');
}
