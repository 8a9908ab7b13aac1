/**
 * Rules H3 and H4 together: writers on other nodes, cuts of both kinds, lost messages and restarts
 * of the home in random order. Bytes once cut off never come back, and what was published stays.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { ChunkStore, FileRight } from '../../../src/peer/chunk-store.ts';
import { Home } from '../../../src/peer/home.ts';
import { nextTurns, Random } from '../../support/random.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { context, groupView, ino, read } from '../../support/store-helpers.ts';

const FILE = ino(70_000);
const BYTES = 48;

/** What lies at one position: each write fills its range with its own number. */
interface Position {
  /** Something that was published lies here. */
  published: boolean;
  /** Writes up to this number were cut off here. */
  cutOff: number;
}

class World {
  readonly random: Random;
  readonly store = new ScriptedStore();
  readonly positions: Position[] = Array.from({ length: BYTES }, () => ({
    published: false,
    cutOff: 0,
  }));
  size = 0;
  cuts = 0;
  epoch = 0;
  writes = 0;
  published = 0;
  refused = 0;
  #home: Home | undefined;
  #life = { isOver: true };

  constructor(random: Random) {
    this.random = random;
    const pause = (): Promise<void> | undefined =>
      random.chance(0.5) ? undefined : nextTurns(random.below(4));
    this.store.beforeCommit = pause;
    this.store.beforeSync = pause;
  }

  /** The node of the home ends and begins anew: what it knew is gone, its group has another epoch. */
  async restart(): Promise<void> {
    const { random, store } = this;
    this.#life.isOver = true;
    await nextTurns(8);
    this.epoch += 1;
    store.setGroups([groupView(this.epoch)]);
    const life = { isOver: false };
    this.#life = life;
    this.#home = new Home({
      store: mortal(store, life),
      log: silentLogger,
      fetchAttr: async () => {
        await nextTurns(random.below(4));
        const reply = { size: this.size, cuts: this.cuts };
        await nextTurns(random.below(4));
        return reply;
      },
    });
  }

  get home(): Home {
    assert.ok(this.#home);
    return this.#home;
  }

  right(): FileRight {
    return { ...context(this.epoch), cuts: this.cuts };
  }

  /** Data to the home, then the size to the metaserver; all of it again when that refuses. */
  async write(isOwn: boolean): Promise<void> {
    const { random } = this;
    const offset = random.below(BYTES);
    const length = 1 + random.below(BYTES - offset);
    for (let isPublished = false; !isPublished; ) {
      this.writes += 1;
      const right = this.right();
      const data = Buffer.alloc(length, this.writes);
      const isSent = await isDone(this.#send(isOwn, right, offset, data));
      await nextTurns(random.below(4));
      isPublished = isSent && this.#isPublished(right, offset, length);
      if (!isPublished) this.refused += 1;
    }
  }

  /** The metaserver cuts, then the home hears of it, perhaps late or never. */
  async cut(isOwn: boolean): Promise<void> {
    const { random } = this;
    if (this.size === 0) return;
    const size = random.below(this.size);
    for (const position of this.positions.slice(size)) {
      position.published = false;
      position.cutOff = this.writes;
    }
    this.size = size;
    this.cuts += 1;
    const right = this.right();
    if (!isOwn && random.chance(0.3)) return;
    await nextTurns(isOwn ? 0 : random.below(6));
    const { home } = this;
    await isDone(isOwn ? home.cut(right, FILE, size) : home.cutFor(right, FILE, size));
  }

  /** What the file holds below its size is what was published, or written since; never cut off. */
  async check(what: string): Promise<void> {
    await isDone(this.home.settle(FILE, this.cuts));
    const bytes = await read(this.store, FILE, [0, BYTES]);
    for (let at = 0; at < this.size; at += 1) {
      const found = bytes[at] ?? 0;
      const { cutOff, published } = this.positions[at] ?? { cutOff: 0, published: false };
      const where = `${what}: byte ${at} of ${this.size} is ${found}; replay with SEED=${this.random.seed}`;
      if (published) assert.notEqual(found, 0, `${where}, what was published is lost`);
      if (found !== 0) assert.ok(found > cutOff, `${where}, cut off up to ${cutOff}`);
    }
  }

  async #send(isOwn: boolean, right: FileRight, offset: number, data: Buffer): Promise<void> {
    const { home, store } = this;
    if (!isOwn) return home.write(right, FILE, { offset, data });
    while (!home.isSettled(FILE, right.cuts)) await home.settle(FILE, right.cuts);
    await store.commit(right, FILE, { kind: 'write', offset, data });
  }

  /** Rule H4. */
  #isPublished(right: FileRight, offset: number, length: number): boolean {
    if (right.cuts !== this.cuts || right.rgEpoch !== this.epoch) return false;
    for (const position of this.positions.slice(offset, offset + length)) position.published = true;
    this.size = Math.max(this.size, offset + length);
    this.published += 1;
    return true;
  }
}

/** False when it was refused, and when the process that did it has ended. */
async function isDone(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (error instanceof FsError && ['ENOTCONN', 'ESTALE'].includes(error.code)) return false;
    throw error;
  }
}

/** The store as a process sees it, until that process is over. */
function mortal(store: ChunkStore, life: { readonly isOver: boolean }): ChunkStore {
  return new Proxy(store, {
    get: (_, key): unknown => {
      const value: unknown = Reflect.get(store, key);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (life.isOver) throw new FsError('ENOTCONN', 'the process has ended');
        return Reflect.apply(value, store, args);
      };
    },
  });
}

test('bytes once cut off never come back, and what was published stays', async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  let refused = 0;
  let published = 0;
  for (let round = 0; round < 150; round += 1) {
    const world = new World(random);
    await world.restart();
    for (let step = 0; step < 6; step += 1) {
      const works: Promise<void>[] = [];
      for (let left = 1 + random.below(5); left > 0; left -= 1) {
        const isOwn = random.chance(0.4);
        works.push(random.chance(0.4) ? world.cut(isOwn) : world.write(isOwn));
        await nextTurns(random.below(3));
      }
      if (random.chance(0.3)) works.push(world.restart());
      await Promise.all(works);
      await world.check(`round ${round}, step ${step}`);
    }
    refused += world.refused;
    published += world.published;
  }
  assert.ok(published > 500 && refused > 50, `${published} published, ${refused} refused`);
});
