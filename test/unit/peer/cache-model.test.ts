/** Random operations on the cache: whatever it answers is what was put, and it stays in bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_BYTES } from '../../../src/common/ids.ts';
import { Random } from '../../support/random.ts';
import { ino } from '../../support/store-helpers.ts';
import { BLOCK, CacheFixture, chunkVersions, content, fetched } from './cache-fixture.ts';

const FILES = 6;
const CHUNKS = 3;
const BLOCKS = 8;
const LIMIT_BYTES = 40 * BLOCK;
const OPERATIONS = 1_500;

interface Place {
  readonly file: number;
  readonly chunk: number;
}

class World {
  readonly #fixture: CacheFixture;
  readonly #random: Random;
  /** The versions that were put last, by file, chunk and block; undefined: never, or dropped. */
  readonly #model = new Map<string, (number | undefined)[]>();
  found = 0;

  constructor(fixture: CacheFixture, random: Random) {
    this.#fixture = fixture;
    this.#random = random;
  }

  async step(): Promise<void> {
    const place = { file: 1 + this.#random.below(FILES), chunk: this.#random.below(CHUNKS) };
    const kind = this.#random.below(100);
    if (kind < 40) this.#put(place);
    else if (kind < 90) this.#read(place);
    else if (kind < 97) await new Promise((resolve) => setImmediate(resolve));
    else if (kind < 99) this.#drop(place.file);
    else await this.#fixture.reopen();
    this.#checkHeld(place);
    const { bytes } = this.#fixture.cache.status();
    assert.ok(bytes <= LIMIT_BYTES, `${bytes} bytes`);
  }

  #put({ file, chunk }: Place): void {
    const blockFirst = this.#random.below(BLOCKS);
    const count = 1 + this.#random.below(BLOCKS - blockFirst);
    const seqs = Array.from({ length: count }, () => this.#random.below(6));
    const run = { chunk, blockFirst, blockEnd: blockFirst + count };
    this.#fixture.cache.put(ino(file), run, fetched(seqs));
    const known = this.#known({ file, chunk });
    for (const [at, seq] of seqs.entries()) known[blockFirst + at] = seq;
  }

  /** Asks for what was put last, and now and then for another version. */
  #read({ file, chunk }: Place): void {
    const known = this.#known({ file, chunk });
    const isOther = this.#random.chance(0.1);
    const seqs = Array.from(
      { length: BLOCKS },
      (_, block) => (known[block] ?? 77) + (isOther ? 50 : 0),
    );
    const offset = this.#random.below(BLOCKS * BLOCK - 1);
    const length = 1 + this.#random.below(Math.min(3 * BLOCK, BLOCKS * BLOCK - offset));
    const target = Buffer.alloc(length, 0xee);
    const versions = chunkVersions(seqs);
    const at = chunk * CHUNK_BYTES + offset;
    if (!this.#fixture.cache.read(ino(file), at, target, versions)) return;
    assert.ok(!isOther, 'another version was answered');
    const first = Math.floor(offset / BLOCK);
    const blocks = seqs.slice(first, Math.ceil((offset + length) / BLOCK)).map(content);
    const from = offset - first * BLOCK;
    assert.ok(target.equals(Buffer.concat(blocks).subarray(from, from + length)), 'other bytes');
    this.found += 1;
  }

  #drop(file: number): void {
    this.#fixture.cache.drop([ino(file)]);
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
      this.#model.delete(`${file}/${chunk}`);
      assert.equal(this.#fixture.cache.held(ino(file), chunk), undefined);
    }
  }

  /** Nothing is held that was never put, or was dropped. */
  #checkHeld({ file, chunk }: Place): void {
    const held = this.#fixture.cache.held(ino(file), chunk);
    if (held === undefined) return;
    const known = this.#known({ file, chunk });
    for (const [block, isHeld] of held.held.entries()) {
      if (isHeld === 1) assert.ok(known[block] !== undefined, `block ${block} was never put`);
    }
  }

  #known({ file, chunk }: Place): (number | undefined)[] {
    const key = `${file}/${chunk}`;
    const known = this.#model.get(key) ?? [];
    this.#model.set(key, known);
    return known;
  }
}

test('random operations never find other bytes than were put', async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  const fixture = await CacheFixture.open({ limitBytes: LIMIT_BYTES });
  t.after(() => fixture.close());
  const world = new World(fixture, random);
  for (let count = 0; count < OPERATIONS; count += 1) await world.step();
  assert.ok(world.found > OPERATIONS / 50, `${world.found} reads found what they asked for`);
  await fixture.reopen();
  assert.equal(fixture.cache.status().bytes, fixture.allocated());
});
