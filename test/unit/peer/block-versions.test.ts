import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { asGroupId, BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../../../src/common/ids.ts';
import type { BlockTable } from '../../../src/peer/core/chunk-state.ts';
import { FileModel } from '../../conformance/file-model.ts';
import { flipBit } from '../../support/flip-bit.ts';
import { LossyFileIo, LossyIndex } from '../../support/lossy-disk.ts';
import { Random } from '../../support/random.ts';
import { context, groupView, ino, read, solidBytes } from '../../support/store-helpers.ts';
import { type SeenBlock, VersionLedger } from '../../support/version-ledger.ts';
import { type FixtureOptions, StoreFixture } from './store-fixture.ts';

const RG = asGroupId(1);
const FILE = ino(70_000);
const RUN = { chunk: 0, blockFirst: 0, blockEnd: 3 };

async function opened(t: TestContext, options: FixtureOptions = {}): Promise<StoreFixture> {
  const fixture = await StoreFixture.open(options);
  t.after(() => fixture.close());
  return fixture;
}

async function write(fixture: StoreFixture, offset: number, data: Uint8Array): Promise<void> {
  await fixture.store.commit(context(fixture.epoch), FILE, { kind: 'write', offset, data });
}

/** A claim takes its time to be stored, and others read meanwhile. */
class CrowdedIndex extends LossyIndex {
  whilePutting: () => void = () => undefined;

  override async putSealed(file: Ino, chunk: number, blocks: BlockTable): Promise<void> {
    const done = super.putSealed(file, chunk, blocks);
    await Promise.resolve();
    this.whilePutting();
    await done;
  }
}

const namesOf = (blocks: readonly SeenBlock[]): string[] =>
  blocks.map(({ epoch, seq }) => `${epoch}.${seq}`);

const isError = (code: string, text: string) => (error: unknown) =>
  error instanceof FsError && error.code === code && error.message.includes(text);

describe('the versions of blocks on a disk', () => {
  it('stay over an orderly restart, so that caches of others stay right', async (t) => {
    const ledger = new VersionLedger();
    const fixture = await opened(t);
    await write(fixture, 0, solidBytes(new Random(1), 2 * BLOCK_BYTES));
    await write(fixture, BLOCK_BYTES, Buffer.from('second'));
    const before = namesOf(ledger.read(fixture.store, RG, FILE, RUN));
    assert.deepEqual(before, ['1.1', '1.2', '0.0']);
    const store = await fixture.reopen();
    assert.deepEqual(namesOf(ledger.read(store, RG, FILE, RUN)), before);
    await write(fixture, 2 * BLOCK_BYTES, Buffer.from('third'));
    assert.deepEqual(namesOf(ledger.read(store, RG, FILE, RUN)), ['1.1', '1.2', '2.1']);
  });

  it('are new after a crash, and the next claim takes them over', async (t) => {
    const ledger = new VersionLedger();
    const fixture = await opened(t);
    await write(fixture, 0, solidBytes(new Random(1), 2 * BLOCK_BYTES));
    ledger.read(fixture.store, RG, FILE, RUN);
    await fixture.restartAfterCrash();
    const fresh = namesOf(ledger.read(fixture.store, RG, FILE, RUN));
    assert.deepEqual(fresh, ['2.1', '2.2', '0.0']);
    assert.deepEqual(namesOf(ledger.read(fixture.store, RG, FILE, RUN)), fresh);
    await write(fixture, 2 * BLOCK_BYTES, Buffer.from('third'));
    await fixture.settle();
    const sealed = namesOf(ledger.read(fixture.store, RG, FILE, RUN));
    assert.deepEqual(sealed, ['2.1', '2.2', '2.3']);
    const store = await fixture.reopen();
    assert.deepEqual(namesOf(ledger.read(store, RG, FILE, RUN)), sealed);
  });

  it('are not given for a group of others, but what has one keeps it', async (t) => {
    const fixture = await opened(t);
    await write(fixture, 0, Buffer.from('data'));
    await fixture.restartAfterCrash();
    const { store } = fixture;
    const target = Buffer.alloc(3 * BLOCK_BYTES);
    const stale = isError('ESTALE', 'replica group 9');
    assert.throws(() => store.readBlocks(asGroupId(9), FILE, RUN, target), stale);
    store.readBlocks(RG, FILE, RUN, target);
    assert.deepEqual([...store.readBlocks(asGroupId(9), FILE, RUN, target).seqs], [1, 0, 0]);
  });

  it('do not begin again when a group goes and comes back in the same epoch', async (t) => {
    const ledger = new VersionLedger();
    const fixture = await opened(t);
    await write(fixture, 0, Buffer.from('one'));
    assert.deepEqual(namesOf(ledger.read(fixture.store, RG, FILE, RUN)), ['1.1', '0.0', '0.0']);
    fixture.store.setGroups([]);
    fixture.store.setGroups([groupView(1)]);
    await write(fixture, 0, Buffer.from('two'));
    assert.deepEqual(namesOf(ledger.read(fixture.store, RG, FILE, RUN)), ['1.2', '0.0', '0.0']);
  });

  it('are not given to rot, and neighbours of it are read', async (t) => {
    const fixture = await opened(t);
    const data = solidBytes(new Random(1), 3 * BLOCK_BYTES);
    await write(fixture, 0, data);
    await fixture.stop();
    flipBit(fixture.pathOf(FILE), BLOCK_BYTES + 9);
    await fixture.start();
    const target = Buffer.alloc(3 * BLOCK_BYTES);
    const wrong = isError('EIO', 'ino=70000 chunk=0 block=1');
    const { store } = fixture;
    assert.throws(() => store.readBlocks(RG, FILE, RUN, target), wrong);
    const ledger = new VersionLedger();
    const last = { chunk: 0, blockFirst: 2, blockEnd: 3 };
    const [block] = ledger.read(store, RG, FILE, last);
    assert.ok(block?.bytes.equals(data.subarray(2 * BLOCK_BYTES)));
    assert.throws(() => store.readBlocks(RG, FILE, RUN, target), wrong);
    assert.equal(store.status().checksumErrors, 1);
  });

  it('and their claims are kept by reads that crowd the memory while a chunk is sealed', async (t) => {
    const ledger = new VersionLedger();
    const index = new CrowdedIndex();
    const fixture = await opened(t, { limits: { chunksMax: 2 }, index });
    await write(fixture, 0, Buffer.from('sealed'));
    index.whilePutting = () => {
      for (const chunk of [1, 2, 3, 0]) ledger.read(fixture.store, RG, FILE, { ...RUN, chunk });
    };
    await fixture.settle();
    assert.equal(index.sealedCount, 1);
    await write(fixture, 0, Buffer.from('new'));
    await fixture.restartAfterCrash();
    assert.equal((await read(fixture.store, FILE, [0, 6])).toString(), 'newled');
  });

  it('never stand for two contents over power cuts', async (t) => {
    const random = Random.fromEnvironment();
    t.diagnostic(`SEED=${random.seed}`);
    const ledger = new VersionLedger();
    const io = new LossyFileIo();
    const index = new LossyIndex();
    const fixture = await opened(t, { io, index });
    const model = new FileModel(random, CHUNK_BYTES + 8 * BLOCK_BYTES);
    let lost = 0;
    for (let step = 0; step < 500; step += 1) {
      const { store } = fixture;
      await store.commit(context(fixture.epoch), FILE, model.change());
      const blockFirst = random.below(60);
      const run = { chunk: random.below(2), blockFirst, blockEnd: blockFirst + 4 };
      ledger.read(store, RG, FILE, run);
      if (random.chance(0.06)) await store.fsync(FILE);
      if (random.chance(0.04)) await fixture.settle();
      if (random.chance(0.04)) {
        lost += io.cutPower(() => random.chance(0.7));
        index.cutPower(random.chance(0.5));
        await fixture.restartAfterCrash();
      }
      ledger.read(fixture.store, RG, FILE, run);
    }
    assert.ok(lost > 0, 'something was lost');
  });
});
