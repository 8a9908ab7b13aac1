import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type Fh, type Ino } from '../../../../src/common/ids.ts';
import { Random } from '../../../support/random.ts';
import { SharedFileModel } from '../../../support/shared-file-model.ts';
import { TwoWorlds } from '../../../support/two-worlds.ts';

const ROUNDS = 12;
const STEPS = 30;
const SIZE_MAX = 2 * BLOCK_BYTES;
const WRITE_MAX = 4000;
const MACHINES = ['one', 'two'] as const;

type Name = (typeof MACHINES)[number];

/** A file, its model, and what has it open. Positions count from `base`. */
class SharedFile {
  readonly model: SharedFileModel;
  readonly #random: Random;
  readonly #worlds: TwoWorlds;
  readonly #home: Name;
  readonly #base: number;
  readonly #ino: Ino;
  readonly #open = new Map<Name, Fh>();
  #value = 0;

  constructor(random: Random, worlds: TwoWorlds, file: { home: Name; base: number; ino: Ino }) {
    this.#random = random;
    this.#worlds = worlds;
    this.#home = file.home;
    this.#base = file.base;
    this.#ino = file.ino;
    this.model = new SharedFileModel(file.home, SIZE_MAX);
  }

  async begin(): Promise<void> {
    for (const name of MACHINES) await this.#reopen(name);
  }

  async step(note: string): Promise<string> {
    const who = this.#random.pick(MACHINES);
    const roll = this.#random.below(100);
    if (roll < 45) return this.#write(who);
    if (roll < 65) return this.#read(who, note);
    if (roll < 72) return this.#sync(who);
    if (roll < 80) {
      await this.#close(who);
      await this.#reopen(who);
      return `${who} opens again`;
    }
    if (roll < 88) return this.#resize(who);
    if (roll < 93) return this.#writeBack(who);
    if (roll < 97) return this.#die(who);
    return this.#losePower();
  }

  /** Both close; both must see the same, and nothing but what may be there. */
  async end(note: string): Promise<void> {
    for (const name of MACHINES) await this.#close(name);
    for (const name of MACHINES) assert.equal(this.#worlds.node(name).data.chargedBytes, 0, note);
    const found: Buffer[] = [];
    for (const name of MACHINES) {
      const node = this.#worlds.node(name);
      const { fh, size } = await node.open('file');
      found.push(await node.read(fh, this.#base, SIZE_MAX * 2));
      assert.equal(size, this.#base + (found.at(-1)?.length ?? 0), `${note}: size on ${name}`);
      await node.shut(fh);
    }
    const [first = Buffer.alloc(0), second] = found;
    this.model.settle(first, `${note}, seen by one`);
    assert.ok(second?.equals(first), `${note}: both see the same`);
  }

  async #write(who: Name): Promise<string> {
    const offset = this.#random.below(SIZE_MAX);
    const length = 1 + this.#random.below(Math.min(WRITE_MAX, SIZE_MAX - offset));
    this.#value = (this.#value % 255) + 1;
    const data = Buffer.alloc(length, this.#value);
    await this.#worlds.node(who).write(this.#opened(who), this.#base + offset, data);
    this.model.write(who, offset, data);
    return `${who} writes ${this.#value} to ${offset}..${offset + length}`;
  }

  async #read(who: Name, note: string): Promise<string> {
    const offset = this.#random.below(SIZE_MAX);
    const length = 1 + this.#random.below(20_000);
    const found = await this.#worlds.node(who).read(this.#opened(who), this.#base + offset, length);
    this.model.takes(who);
    this.model.check(found, offset, `${note}: ${who} reads`);
    return `${who} reads ${offset}..${offset + length}`;
  }

  async #sync(who: Name): Promise<string> {
    await this.#worlds.node(who).fsync(this.#opened(who));
    this.model.synced(who);
    return `${who} syncs`;
  }

  async #writeBack(who: Name): Promise<string> {
    assert.equal(await this.#worlds.node(who).vfs.publishAll(), 0);
    this.model.published(who);
    return `${who} writes back`;
  }

  async #resize(who: Name): Promise<string> {
    const size = this.#random.below(SIZE_MAX);
    await this.#worlds.node(who).truncate(this.#ino, this.#base + size);
    this.model.resized(who, size);
    return `${who} sets the size to ${size}`;
  }

  async #die(who: Name): Promise<string> {
    await this.#worlds.restart(this.#worlds.node(who), () => true);
    this.model.died(who);
    await this.#reopen(who);
    return `${who} dies and starts again`;
  }

  async #losePower(): Promise<string> {
    const home = this.#home;
    await this.#worlds.restart(this.#worlds.node(home), () => this.#random.chance(0.5));
    this.model.lostPower(otherOf(home));
    await this.#reopen(home);
    return `${home} loses power`;
  }

  async #reopen(who: Name): Promise<void> {
    const { fh } = await this.#worlds.node(who).open('file');
    this.model.takes(who);
    this.#open.set(who, fh);
  }

  async #close(who: Name): Promise<void> {
    await this.#worlds.node(who).shut(this.#opened(who));
    this.#open.delete(who);
    this.model.published(who);
  }

  #opened(who: Name): Fh {
    const fh = this.#open.get(who);
    assert.ok(fh !== undefined);
    return fh;
  }
}

function otherOf(name: Name): Name {
  return name === 'one' ? 'two' : 'one';
}

/** Calls and answers are lost now and then, and some take their time. */
function trouble(random: Random, worlds: TwoWorlds): void {
  const lose = async (): Promise<void> => {
    for (let turn = random.below(4); turn > 0; turn -= 1) {
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
    if (random.chance(0.02)) throw new FsError('EHOSTUNREACH', 'lost on the way');
  };
  worlds.before = async ({ kind }) => {
    await lose();
    if (kind === 'cut' && random.chance(0.3)) throw new FsError('EHOSTUNREACH', 'lost on the way');
  };
  worlds.after = lose;
}

for (const home of MACHINES) {
  for (const base of [0, CHUNK_BYTES - BLOCK_BYTES]) {
    test(`two machines share a file of ${home}, from ${base} on`, async (t) => {
      const random = Random.fromEnvironment();
      t.diagnostic(`seed ${random.seed}`);
      const worlds = await TwoWorlds.create();
      t.after(() => worlds.close());
      const ino = await worlds.node(home).put('file', '');
      await worlds.node(home).truncate(ino, base);
      trouble(random, worlds);
      for (const { cache } of [worlds.one, worlds.two]) cache.loses = () => random.chance(0.02);
      const file = new SharedFile(random, worlds, { home, base, ino });
      for (let round = 0; round < ROUNDS; round += 1) {
        const log: string[] = [];
        const where = (): string =>
          `seed ${random.seed}, round ${round}, after\n${log.join('\n')}\n`;
        await file.begin();
        for (let step = 0; step < STEPS; step += 1) log.push(await file.step(where()));
        await file.end(where());
      }
    });
  }
}
