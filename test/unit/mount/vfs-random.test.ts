import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { type Fh, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { delay } from '../../../src/common/lifecycle.ts';
import { Random } from '../../support/random.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { foundIn, VfsWorld } from '../../support/vfs-world.ts';

const STEPS = 800;
const SIZE_MAX = 3000;
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const O_APPEND = 0o2000;

interface ModelFile {
  readonly ino: Ino;
  bytes: Buffer;
  nlink: number;
}

interface ModelHandle {
  readonly fh: Fh;
  readonly file: ModelFile;
  readonly append: boolean;
}

/** A driver of the vfs and what it must show: plain byte arrays under names. */
class Scenario {
  readonly #random: Random;
  readonly #world: VfsWorld;
  readonly #names = new Map<string, ModelFile>();
  readonly #lookups = new Map<Ino, number>();
  #handles: ModelHandle[] = [];
  failing = false;
  failures = 0;

  constructor(random: Random, world: VfsWorld) {
    this.#random = random;
    this.#world = world;
    world.before = (op) => {
      const mayFail = op.$case === 'flushAttr' || op.$case === 'closeUnlinked';
      if (!this.failing || !mayFail || !random.chance(0.5)) return;
      this.failures++;
      throw new FsError('EIO', 'the metaserver is away');
    };
  }

  async step(): Promise<string> {
    const roll = this.#random.below(100);
    if (roll < 12) return this.#open();
    if (roll < 40) return this.#write();
    if (roll < 52) return this.#truncate();
    if (roll < 62) return this.#close();
    if (roll < 70) return this.#unlink();
    if (roll < 78) return this.#rename();
    if (roll < 82) return this.#link();
    if (roll < 88) return this.#writeBack();
    if (roll < 92) return this.#sync();
    if (roll < 96) return this.#forget();
    this.failing = !this.failing;
    return `failing ${this.failing}`;
  }

  async check(note: string): Promise<void> {
    const { fs } = this.#world;
    for (const [name, file] of this.#names) {
      const entry = foundIn(await fs.lookup(this.#world.context(), ROOT_INO, name));
      this.#got(entry.attr.ino);
      assert.equal(entry.attr.ino, file.ino, `${note}: ino of ${name}`);
      assert.equal(entry.attr.size, file.bytes.length, `${note}: size of ${name}`);
      assert.equal(entry.attr.nlink, file.nlink, `${note}: nlink of ${name}`);
    }
    for (const { fh, file } of this.#handles) {
      const read = Buffer.from(await this.#world.read(fh, SIZE_MAX * 2), 'latin1');
      assert.ok(read.equals(file.bytes), `${note}: bytes of ino ${file.ino}`);
      const { attr } = await fs.getattr(this.#world.context(), file.ino);
      assert.equal(attr.size, file.bytes.length, `${note}: size of open ino ${file.ino}`);
    }
  }

  async finish(): Promise<void> {
    this.failing = false;
    for (const name of [...this.#names.keys()]) {
      if (this.#random.chance(0.5)) await this.#world.unlink(name);
      else continue;
      this.#names.delete(name);
    }
    for (const { fh } of this.#handles) await this.#world.fs.release(fh);
    for (const name of this.#names.keys()) await this.#world.unlink(name);
    for (const [ino, count] of this.#lookups) this.#world.fs.forget(ino, count);
    assert.equal(await this.#world.vfs.publishAll(), 0);
    await this.#world.vfs.settle();
  }

  #got(ino: Ino): void {
    this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + 1);
  }

  async #open(): Promise<string> {
    const name = this.#random.pick(NAMES);
    const append = this.#random.chance(0.3);
    const truncate = this.#random.chance(0.2);
    const flags = 2 | (append ? O_APPEND : 0) | (truncate ? 0o1000 : 0);
    const { ino, fh } = await this.#world.create(name, flags);
    this.#got(ino);
    const file = this.#names.get(name) ?? { ino, bytes: Buffer.alloc(0), nlink: 1 };
    assert.equal(file.ino, ino);
    if (truncate) file.bytes = Buffer.alloc(0);
    this.#names.set(name, file);
    this.#handles.push({ fh, file, append });
    return `open ${name} ${flags.toString(8)}`;
  }

  /** One write, or two at once through handles of the same file. */
  async #write(): Promise<string> {
    const handle = this.#some();
    if (handle === undefined) return 'nothing open';
    const same = this.#handles.filter(({ file }) => file === handle.file && file.nlink >= 0);
    const second = this.#random.chance(0.3) ? this.#random.pick(same) : undefined;
    const writes = [handle, ...(second === undefined ? [] : [second])].map((at) => this.#start(at));
    await Promise.all(writes);
    return `write ino ${handle.file.ino} x${writes.length}`;
  }

  #start({ fh, file, append }: ModelHandle): Promise<void> {
    const data = this.#random.bytes(1 + this.#random.below(400));
    const asked = this.#random.below(SIZE_MAX - 400);
    if (append && file.bytes.length + data.length > SIZE_MAX) return Promise.resolve();
    const offset = append ? file.bytes.length : asked;
    const bytes = Buffer.alloc(Math.max(file.bytes.length, offset + data.length));
    file.bytes.copy(bytes);
    data.copy(bytes, offset);
    file.bytes = bytes;
    return this.#world.write(fh, asked, data.toString('latin1'));
  }

  async #truncate(): Promise<string> {
    const file = this.#some()?.file ?? this.#named()?.[1];
    if (file === undefined) return 'nothing to truncate';
    const size = this.#random.below(this.#random.chance(0.5) ? SIZE_MAX : file.bytes.length + 1);
    const bytes = Buffer.alloc(size);
    file.bytes.copy(bytes, 0, 0, size);
    file.bytes = bytes;
    await this.#world.truncate(file.ino, size);
    return `truncate ino ${file.ino} to ${size}`;
  }

  async #close(): Promise<string> {
    const handle = this.#some();
    if (handle === undefined) return 'nothing to close';
    this.#handles = this.#handles.filter((other) => other !== handle);
    await this.#tolerant(() => this.#world.fs.flush(this.#world.context(), handle.fh));
    await this.#world.fs.release(handle.fh);
    return `close ino ${handle.file.ino}`;
  }

  async #unlink(): Promise<string> {
    const [name, file] = this.#named() ?? [];
    if (name === undefined || file === undefined) return 'nothing to unlink';
    await this.#world.unlink(name);
    this.#names.delete(name);
    file.nlink--;
    return `unlink ${name}`;
  }

  async #rename(): Promise<string> {
    const [name, file] = this.#named() ?? [];
    const newName = this.#random.pick(NAMES);
    if (name === undefined || file === undefined) return 'nothing to rename';
    const replaced = this.#names.get(newName);
    const before = this.failing;
    this.failing = false;
    await this.#world.rename(name, newName);
    this.failing = before;
    if (replaced === file) return `rename ${name} onto itself`;
    this.#names.delete(name);
    this.#names.set(newName, file);
    if (replaced !== undefined) replaced.nlink--;
    return `rename ${name} to ${newName}`;
  }

  async #link(): Promise<string> {
    const [, file] = this.#named() ?? [];
    const newName = NAMES.find((name) => !this.#names.has(name));
    if (file === undefined || newName === undefined) return 'nothing to link';
    const node = { ino: file.ino, newParent: ROOT_INO, newName };
    await this.#world.fs.link(this.#world.context(), node);
    this.#got(file.ino);
    file.nlink++;
    this.#names.set(newName, file);
    return `link ino ${file.ino} to ${newName}`;
  }

  async #writeBack(): Promise<string> {
    const failed = await this.#world.vfs.publishAll();
    return `write-back, ${failed} failed`;
  }

  async #sync(): Promise<string> {
    const handle = this.#some();
    if (handle === undefined) return 'nothing to sync';
    await this.#tolerant(() => this.#world.fs.fsync(this.#world.context(), handle.fh));
    return `fsync ino ${handle.file.ino}`;
  }

  /** The kernel forgets what no handle holds. */
  async #forget(): Promise<string> {
    const open = new Set(this.#handles.map(({ file }) => file.ino));
    for (const [ino, count] of this.#lookups) {
      if (open.has(ino)) continue;
      this.#world.fs.forget(ino, count);
      this.#lookups.delete(ino);
    }
    return 'forget';
  }

  async #tolerant(work: () => Promise<void> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.failing || !(error instanceof FsError)) throw error;
    }
  }

  #some(): ModelHandle | undefined {
    return this.#handles.length === 0 ? undefined : this.#random.pick(this.#handles);
  }

  #named(): [string, ModelFile] | undefined {
    const all = [...this.#names];
    return all.length === 0 ? undefined : this.#random.pick(all);
  }
}

test('random operations show what a byte array would, and leave nothing behind', async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`seed ${random.seed}`);
  const store = new ScriptedStore();
  store.beforeCommit = () => (random.chance(0.2) ? delay(0) : undefined);
  const world = await VfsWorld.create(store);
  const scenario = new Scenario(random, world);
  for (let at = 0; at < STEPS; at++) {
    world.clock.advance(1 + random.below(20));
    const did = await scenario.step();
    await scenario.check(`seed ${random.seed} step ${at}, ${did}`);
  }
  await scenario.finish();
  const note = `seed ${random.seed}`;
  assert.ok(scenario.failures > 0, note);
  assert.equal(world.vfs.openFiles, 0, note);
  assert.equal(world.vfs.inodeCount, 0, note);
  assert.equal(world.vfs.unlinkedPending, 0, note);
  assert.deepEqual(await world.cleaned(), { openers: 0, reclaim: 0, inodes: 1 }, note);
});
