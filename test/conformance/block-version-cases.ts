import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FsError } from '../../src/common/errno.ts';
import { asGroupId, BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES } from '../../src/common/ids.ts';
import { nextTurns, Random } from '../support/random.ts';
import { context, ino, solidBytes } from '../support/store-helpers.ts';
import { type SeenBlock, VersionLedger } from '../support/version-ledger.ts';
import type { StoreUnderTest } from './chunk-store-suite.ts';
import { FileModel } from './file-model.ts';

const RG = asGroupId(1);
const FIRST_FOUR = { chunk: 0, blockFirst: 0, blockEnd: 4 };

const namesOf = (blocks: readonly SeenBlock[]): string[] =>
  blocks.map(({ epoch, seq }) => (seq === 0 ? 'none' : `${epoch}.${seq}`));

/** Of blocks read twice, those whose version moved. */
function moved(before: readonly SeenBlock[], after: readonly SeenBlock[]): number[] {
  const [old, now] = [namesOf(before), namesOf(after)];
  return [...now.keys()].filter((at) => now[at] !== old[at]);
}

/** What whole blocks are called (rule H7): a version never stands for two contents. */
export function blockVersionCases(world: StoreUnderTest): void {
  const ledger = new VersionLedger();
  const see = (file: number, run = FIRST_FOUR): SeenBlock[] =>
    ledger.read(world.store, RG, ino(file), run);

  async function fourBlocks(): Promise<number> {
    const file = world.newFile();
    await world.write(file, 0, solidBytes(new Random(1), 4 * BLOCK_BYTES));
    return file;
  }

  it('names blocks without data version 0: unknown files, holes, past the end', async () => {
    const file = world.newFile();
    assert.deepEqual(namesOf(see(file)), ['none', 'none', 'none', 'none']);
    await world.write(file, 2 * BLOCK_BYTES + 5, Buffer.from('data'));
    const names = namesOf(see(file));
    assert.deepEqual([names[0], names[1], names[3]], ['none', 'none', 'none']);
    assert.notEqual(names[2], 'none');
  });

  it('reads whole blocks of any part of a chunk', async () => {
    const file = world.newFile();
    const data = solidBytes(new Random(2), CHUNK_BYTES + 3 * BLOCK_BYTES);
    await world.write(file, BLOCK_BYTES, data);
    for (const run of [
      { chunk: 0, blockFirst: 63, blockEnd: 64 },
      { chunk: 1, blockFirst: 0, blockEnd: 1 },
      { chunk: 1, blockFirst: 2, blockEnd: 6 },
      { chunk: 0, blockFirst: 0, blockEnd: BLOCKS_PER_CHUNK },
    ]) {
      const start = run.chunk * CHUNK_BYTES + run.blockFirst * BLOCK_BYTES - BLOCK_BYTES;
      const seen = Buffer.concat(see(file, run).map(({ bytes }) => bytes));
      const expected = Buffer.alloc(seen.length);
      data.copy(expected, Math.max(0, -start), Math.max(0, start), start + seen.length);
      assert.ok(seen.equals(expected), JSON.stringify(run));
    }
  });

  it('keeps a version while its bytes stay, and moves it with every write', async () => {
    const file = await fourBlocks();
    const first = see(file);
    assert.deepEqual(moved(first, see(file)), []);
    await world.write(file, BLOCK_BYTES + 7, Buffer.from('x'));
    const second = see(file);
    assert.deepEqual(moved(first, second), [1]);
    await world.write(file, 2 * BLOCK_BYTES - 1, Buffer.from('yz'));
    const third = see(file);
    assert.deepEqual(moved(second, third), [1, 2]);
    await world.settle();
    assert.deepEqual(moved(third, see(file)), []);
    await world.write(file, 0, Buffer.from('w'));
    assert.deepEqual(moved(third, see(file)), [0]);
  });

  it('moves the version of bytes that are written once more as they were', async () => {
    const file = await fourBlocks();
    const before = see(file);
    const [first] = before;
    assert.ok(first !== undefined);
    await world.write(file, 0, first.bytes);
    assert.deepEqual(moved(before, see(file)), [0]);
  });

  it('keeps versions when the file grows, also where its last block ends', async () => {
    const file = world.newFile();
    await world.write(file, 0, Buffer.alloc(BLOCK_BYTES + 100, 'x'));
    const before = see(file);
    await world.truncate(file, BLOCK_BYTES + 9_000);
    await world.commit(file, { kind: 'extend', size: 3 * BLOCK_BYTES });
    assert.deepEqual(moved(before, see(file)), []);
    await world.settle();
    await world.commit(file, { kind: 'extend', size: 4 * BLOCK_BYTES });
    assert.deepEqual(moved(before, see(file)), []);
    await world.write(file, BLOCK_BYTES + 200, Buffer.from('x'));
    assert.deepEqual(moved(before, see(file)), [1]);
  });

  for (const sealed of [false, true]) {
    const state = sealed ? 'a file left alone for a while' : 'a file just written';
    it(`a cut of ${state} moves the block it lies in and ends those behind`, async () => {
      const file = await fourBlocks();
      const before = see(file);
      if (sealed) await world.settle();
      await world.truncate(file, 2 * BLOCK_BYTES + 1);
      const cut = see(file);
      assert.deepEqual(moved(before, cut), [2, 3]);
      assert.equal(namesOf(cut)[3], 'none');
      await world.truncate(file, 4 * BLOCK_BYTES);
      assert.deepEqual(moved(cut, see(file)), []);
      await world.write(file, 3 * BLOCK_BYTES, Buffer.from('again'));
      const names = namesOf(see(file));
      assert.ok(names[3] !== 'none' && names[3] !== namesOf(before)[3]);
    });

    it(`zeroing in ${state} ends whole blocks and moves those at its ends`, async () => {
      const file = await fourBlocks();
      const before = see(file);
      if (sealed) await world.settle();
      await world.zero(file, 100, 2 * BLOCK_BYTES);
      const after = see(file);
      assert.deepEqual(moved(before, after), [0, 1, 2]);
      assert.equal(namesOf(after)[1], 'none');
    });
  }

  it('moves the version of what is cut off behind the authoritative size', async () => {
    const file = await fourBlocks();
    const before = see(file);
    await world.store.reconcile(ino(file), BLOCK_BYTES + 10);
    const after = see(file);
    assert.deepEqual(moved(before, after), [1, 2, 3]);
    assert.deepEqual(namesOf(after).slice(2), ['none', 'none']);
  });

  it('does not name again what a removed file had', async () => {
    const file = await fourBlocks();
    const before = namesOf(see(file));
    await world.store.remove([ino(file)]);
    assert.deepEqual(namesOf(see(file)), ['none', 'none', 'none', 'none']);
    await world.write(file, 0, solidBytes(new Random(9), 4 * BLOCK_BYTES));
    const after = new Set(namesOf(see(file)));
    assert.ok(before.every((name) => !after.has(name)));
  });

  it('says whether a right is of its group and epoch', () => {
    const isStale = (error: unknown) => error instanceof FsError && error.code === 'ESTALE';
    world.store.check(context(world.epoch));
    assert.throws(() => world.store.check(context(world.epoch + 1)), isStale);
    assert.throws(() => world.store.check(context(world.epoch - 1)), isStale);
    assert.throws(() => world.store.check(context(world.epoch, 77)), isStale);
  });

  it('never gives a version to two contents through 700 random changes', async (t) => {
    const random = Random.fromEnvironment();
    t.diagnostic(`SEED=${random.seed}`);
    const files = [1, 2, 3].map(() => ({
      file: world.newFile(),
      model: new FileModel(random, 2 * CHUNK_BYTES),
    }));
    const seenBefore = ledger.size;
    const look = (what: string): void => {
      const { file, model } = random.pick(files);
      const chunk = random.below(2);
      const blockFirst = random.below(BLOCKS_PER_CHUNK);
      const blockEnd = Math.min(BLOCKS_PER_CHUNK, blockFirst + 1 + random.below(9));
      const bytes = Buffer.concat(
        see(file, { chunk, blockFirst, blockEnd }).map((block) => block.bytes),
      );
      const offset = chunk * CHUNK_BYTES + blockFirst * BLOCK_BYTES;
      const same = bytes.equals(model.at([offset, bytes.length]));
      assert.ok(same, `${what}, file ${file} at ${offset}; replay with SEED=${random.seed}`);
    };
    for (let step = 0; step < 700; step += 1) {
      const { file, model } = random.pick(files);
      const sealing = random.chance(0.05) ? world.settle() : undefined;
      for (let turns = random.below(12); sealing !== undefined && turns > 0; turns -= 1) {
        await nextTurns(1);
        look(`step ${step}, while sealing`);
      }
      await world.commit(file, model.change());
      look(`step ${step}`);
      await sealing;
      if (random.chance(0.03)) await world.store.fsync(ino(file));
      if (random.chance(0.015)) await world.reopen();
      look(`after step ${step}`);
    }
    assert.ok(ledger.size - seenBefore > 500, 'enough versions were seen');
  });
}
