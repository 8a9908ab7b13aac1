import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../../../src/common/ids.ts';
import { hostFileIo } from '../../../src/peer/file-io.ts';
import { flipBit } from '../../support/flip-bit.ts';
import { LossyFileIo, LossyIndex } from '../../support/lossy-disk.ts';
import { nextTurns, Random } from '../../support/random.ts';
import { context, ino, read, solidBytes } from '../../support/store-helpers.ts';
import { type FixtureOptions, StoreFixture } from './store-fixture.ts';

const FILE = ino(70_000);

async function opened(t: TestContext, options: FixtureOptions = {}): Promise<StoreFixture> {
  const fixture = await StoreFixture.open(options);
  t.after(() => fixture.close());
  return fixture;
}

const isError =
  (code: string, text = '') =>
  (error: unknown) =>
    error instanceof FsError && error.code === code && error.message.includes(text);

async function write(
  fixture: StoreFixture,
  offset: number,
  data: Uint8Array,
  file: Ino = FILE,
): Promise<void> {
  await fixture.store.commit(context(fixture.epoch), file, { kind: 'write', offset, data });
}

async function truncate(fixture: StoreFixture, size: number): Promise<void> {
  await fixture.store.commit(context(fixture.epoch), FILE, { kind: 'truncate', size });
}

describe('a block that rotted on the disk', () => {
  const data = solidBytes(new Random(1), CHUNK_BYTES + 3 * BLOCK_BYTES);
  const rotten = CHUNK_BYTES + BLOCK_BYTES;

  async function withRot(t: TestContext, position = rotten + 5): Promise<StoreFixture> {
    const fixture = await opened(t);
    await write(fixture, 0, data);
    await fixture.stop();
    flipBit(fixture.pathOf(FILE), position);
    await fixture.start();
    return fixture;
  }

  it('reads as EIO that names it, and its neighbours read as they are', async (t) => {
    const { store } = await withRot(t);
    const wanted = isError('EIO', 'ino=70000 chunk=1 block=1');
    await assert.rejects(read(store, FILE, [rotten + 10, 1]), wanted);
    await assert.rejects(read(store, FILE, [0, data.length]), wanted);
    await assert.rejects(read(store, FILE, [rotten, BLOCK_BYTES]), wanted);
    assert.ok((await read(store, FILE, [0, rotten])).equals(data.subarray(0, rotten)));
    const behind: [number, number] = [rotten + BLOCK_BYTES, BLOCK_BYTES];
    assert.ok((await read(store, FILE, behind)).equals(data.subarray(rotten + BLOCK_BYTES)));
    const { checksumErrors, firstChecksumError } = store.status();
    assert.deepEqual([checksumErrors, firstChecksumError], [1, 'ino=70000 chunk=1 block=1']);
  });

  it('is found in a hole and in the zeros behind the end too', async (t) => {
    const { store } = await withRot(t, data.length + 100);
    await assert.rejects(read(store, FILE, [data.length + 50, 10]), isError('EIO', 'block=3'));
  });

  it('is found when the backing file was cut short', async (t) => {
    const fixture = await opened(t);
    await write(fixture, 0, data);
    await fixture.stop();
    const fd = hostFileIo.open(fixture.pathOf(FILE), { create: false });
    hostFileIo.truncate(fd, CHUNK_BYTES);
    hostFileIo.close(fd);
    await fixture.start();
    await assert.rejects(read(fixture.store, FILE, [CHUNK_BYTES, 10]), isError('EIO', 'chunk=1'));
  });

  it('does not become right by writing a part of it', async (t) => {
    const fixture = await withRot(t);
    await assert.rejects(write(fixture, rotten + 100, Buffer.from('new')), isError('EIO'));
    await write(fixture, rotten - 10, Buffer.from('before'));
    await fixture.settle();
    await fixture.reopen();
    await assert.rejects(read(fixture.store, FILE, [rotten, 1]), isError('EIO'));
    assert.equal((await read(fixture.store, FILE, [rotten - 10, 6])).toString(), 'before');
  });

  it('is healed by new bytes for all of it', async (t) => {
    const fixture = await withRot(t);
    await write(fixture, rotten, data.subarray(0, BLOCK_BYTES));
    await fixture.reopen();
    const healed = await read(fixture.store, FILE, [rotten, BLOCK_BYTES]);
    assert.ok(healed.equals(data.subarray(0, BLOCK_BYTES)));
  });
});

describe('sealing', () => {
  it('withdraws a claim before the first byte changes, and claims only what is synced', async (t) => {
    const log: string[] = [];
    const fixture = await opened(t, { io: new LossyFileIo(log), index: new LossyIndex(log) });
    const events = () => log.splice(0).filter((event) => !event.startsWith('syncDirectory'));
    await write(fixture, 0, Buffer.from('one'));
    await fixture.settle();
    assert.deepEqual(events(), ['pwrite', 'sync', 'seal 0']);
    await write(fixture, 1, Buffer.from('two'));
    await write(fixture, 2, Buffer.from('three'));
    assert.deepEqual(events(), ['open 0', 'pwrite', 'pwrite']);
    await fixture.settle();
    await truncate(fixture, 2);
    assert.deepEqual(events(), ['sync', 'seal 0', 'open 0', 'truncate']);
    await fixture.settle();
    await truncate(fixture, 9_000);
    assert.deepEqual(events(), ['sync', 'seal 0', 'truncate']);
    await fixture.store.remove([FILE]);
    assert.equal(events()[0], 'remove');
  });

  it('does not let a later change overtake one that waits for the index', async (t) => {
    const fixture = await opened(t, { index: new LossyIndex() });
    await write(fixture, 0, Buffer.from('sealed'));
    await fixture.settle();
    const across = write(fixture, CHUNK_BYTES - 5, Buffer.from('firstfirst'));
    const later = write(fixture, CHUNK_BYTES, Buffer.from('later'));
    await Promise.all([across, later]);
    const seen = await read(fixture.store, FILE, [CHUNK_BYTES - 5, 10]);
    assert.equal(seen.toString(), 'firstlater');
  });

  it('leaves alone what changed less than 5 s ago', async (t) => {
    const fixture = await opened(t);
    await write(fixture, 0, Buffer.from('one'));
    fixture.clock.advance(4_999);
    await fixture.store.sealIdle();
    assert.equal(fixture.store.status().sealedChunks, 0);
    fixture.clock.advance(1);
    await fixture.store.sealIdle();
    assert.equal(fixture.store.status().sealedChunks, 1);
    assert.equal(fixture.store.status().unsealedFiles, 0);
  });

  it('is done once though rounds of it overlap', async (t) => {
    const index = new LossyIndex();
    const fixture = await opened(t, { index });
    for (let done = 2; done <= 16; done += 2) {
      await write(fixture, 0, solidBytes(new Random(done), CHUNK_BYTES + 5));
      const rounds: Promise<void>[] = [];
      for (let round = 0; round < 12; round += 1) {
        rounds.push(fixture.settle());
        await nextTurns(1);
      }
      await Promise.all(rounds);
      assert.equal(fixture.store.status().sealedChunks, done);
    }
    assert.equal(index.sealedCount, 2);
  });

  it('gives way to a change that comes in between', async (t) => {
    const index = new LossyIndex();
    const fixture = await opened(t, { index });
    const random = Random.fromEnvironment();
    const model = Buffer.alloc(2 * CHUNK_BYTES);
    for (let round = 0; round < 60; round += 1) {
      fixture.clock.advance(6_000);
      const sealing = fixture.store.sealIdle();
      for (let turns = random.below(14); turns > 0; turns -= 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const data = solidBytes(random, 1 + random.below(100_000));
      const offset = random.below(model.length - data.length);
      data.copy(model, offset);
      await write(fixture, offset, data);
      await sealing;
    }
    await fixture.settle();
    assert.equal(index.sealedCount, 2);
    await fixture.reopen();
    const whole = await read(fixture.store, FILE, [0, model.length]);
    assert.ok(whole.equals(model), `seed ${random.seed}`);
  });
});

describe('durability', () => {
  it('of a new file includes the folders on its way, once', async (t) => {
    const io = new LossyFileIo();
    const fixture = await opened(t, { io });
    const folders = () => io.log.splice(0).filter((event) => event.startsWith('syncDirectory'));
    await write(fixture, 0, Buffer.from('x'));
    await fixture.store.fsync(FILE);
    const paths = folders().map((event) => event.replace(`syncDirectory ${fixture.dir}/`, ''));
    assert.deepEqual(paths, ['data/01/11', 'data/01', 'data']);
    await write(fixture, 0, Buffer.from('y'));
    await fixture.store.fsync(FILE);
    assert.deepEqual(folders(), []);
    const neighbour = ino(FILE + 1);
    await write(fixture, 0, Buffer.from('z'), neighbour);
    await fixture.store.fsync(neighbour);
    assert.equal(folders().length, 1);
  });

  it('costs one sync for all who wait, and covers what each had written', async (t) => {
    const io = new LossyFileIo();
    const fixture = await opened(t, { io });
    await write(fixture, 0, Buffer.from('1'));
    const first = fixture.store.fsync(FILE);
    await new Promise((resolve) => setImmediate(resolve));
    await write(fixture, 1, Buffer.from('2'));
    const later = [1, 2, 3, 4].map(() => fixture.store.fsync(FILE));
    await Promise.all([first, ...later]);
    assert.ok(io.log.filter((event) => event === 'sync').length <= 2);
    assert.equal(io.cutPower(), 0);
  });

  it('is never promised again after a sync failed, until a restart', async (t) => {
    const io = new LossyFileIo();
    const fixture = await opened(t, { io });
    await write(fixture, 0, Buffer.from('kept in memory only'));
    io.syncFails = true;
    await assert.rejects(fixture.store.fsync(FILE), isError('EIO', 'ino=70000'));
    io.syncFails = false;
    await assert.rejects(fixture.store.fsync(FILE), isError('EIO'));
    await assert.rejects(fixture.store.syncAll(), isError('EIO'));
    await assert.rejects(write(fixture, 0, Buffer.from('more')), isError('EIO'));
    await assert.rejects(truncate(fixture, 0), isError('EIO'));
    await assert.rejects(fixture.store.reconcile(FILE, 0), isError('EIO'));
    assert.equal(fixture.store.status().failedSyncs, 1);
    assert.equal((await read(fixture.store, FILE, [0, 4])).toString(), 'kept');
    const other = ino(FILE + 1);
    await write(fixture, 0, Buffer.from('fine'), other);
    await fixture.store.fsync(other);
    await fixture.reopen();
    await write(fixture, 0, Buffer.from('again'));
    await fixture.store.fsync(FILE);
  });

  it('is made up for a cut that a killed process left unsynced', async (t) => {
    const io = new LossyFileIo();
    const fixture = await opened(t, { io });
    await write(fixture, 0, Buffer.from('once there'));
    await fixture.store.fsync(FILE);
    await truncate(fixture, 4);
    await fixture.restartAfterCrash();
    await fixture.store.reconcile(FILE, 4);
    assert.equal(io.cutPower(), 0, 'the cut could come undone under a larger size');
  });

  it('of fsynced bytes survives power cuts, and nothing reads as rotten after one', async (t) => {
    const random = Random.fromEnvironment();
    const lost = await powerCuts(t, { random, syncsNothing: false });
    assert.ok(lost > 10, `seed ${random.seed}: only ${lost} changes were lost`);
  });

  it('would not survive without the syncs', async (t) => {
    const random = Random.fromEnvironment();
    await assert.rejects(powerCuts(t, { random, syncsNothing: true }));
  });
});

/**
 * Random writes with syncs and sealing between them, and 40 power cuts: after each, the bytes must
 * be those of the last sync.
 * @returns how many unsynced changes the cuts undid
 */
async function powerCuts(
  t: TestContext,
  options: { readonly random: Random; readonly syncsNothing: boolean },
): Promise<number> {
  const { random } = options;
  const io = new LossyFileIo();
  const index = new LossyIndex();
  const fixture = await opened(t, { io, index });
  io.syncsNothing = options.syncsNothing;
  const bytes = CHUNK_BYTES + 300_000;
  const synced = Buffer.alloc(bytes);
  let lost = 0;
  for (let round = 0; round < 40; round += 1) {
    const model = Buffer.from(synced);
    for (let step = random.below(12); step > 0; step -= 1) {
      const data = solidBytes(random, 1 + random.below(random.pick([100, 200_000])));
      const offset = random.below(bytes - data.length);
      data.copy(model, offset);
      await write(fixture, offset, data);
      if (random.chance(0.6)) continue;
      if (random.chance(0.5)) await fixture.store.fsync(FILE);
      else await fixture.settle();
      model.copy(synced);
    }
    lost += io.cutPower();
    index.cutPower(random.chance(0.5));
    await fixture.restartAfterCrash();
    const seen = await read(fixture.store, FILE, [0, bytes]);
    assert.ok(seen.equals(synced), `seed ${random.seed} round ${round}`);
  }
  return lost;
}

describe('descriptors', () => {
  it('stay below the bound while many files are used and synced', async (t) => {
    const fixture = await opened(t, { limits: { descriptorsMax: 8 } });
    const files = Array.from({ length: 100 }, (_, at) => ino(90_000 + at * 100));
    for (const file of files) await write(fixture, 0, Buffer.from(`file ${file}`), file);
    assert.equal(fixture.store.status().openFiles, 8);
    await Promise.all(files.map((file) => fixture.store.fsync(file)));
    for (const file of files) {
      const text = `file ${file}`;
      assert.equal((await read(fixture.store, file, [0, text.length])).toString(), text);
    }
    assert.equal(openIn(fixture.dir), 8);
    await fixture.store.remove(files);
    assert.equal(fixture.store.status().openFiles, 0);
    assert.equal(openIn(fixture.dir), 0);
  });
});

/** Backing files this process has open below `dir`. */
function openIn(dir: string): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((path) => path.startsWith(`${dir}/data/`)).length;
}

describe('a disk that fills up in the middle of a write', () => {
  it('leaves the file as long as it was', async (t) => {
    let takes = Number.POSITIVE_INFINITY;
    const pwrite: typeof hostFileIo.pwrite = (fd, data, position) =>
      hostFileIo.pwrite(fd, data.subarray(0, Math.min(takes, data.length)), position);
    const fixture = await opened(t, { io: { ...hostFileIo, pwrite } });
    await write(fixture, 0, Buffer.from('before'));
    takes = 10_000;
    await assert.rejects(write(fixture, 6, Buffer.alloc(50_000, 'x')), isError('ENOSPC'));
    assert.equal(hostFileIo.stat(fixture.pathOf(FILE))?.size, 6);
    takes = Number.POSITIVE_INFINITY;
    await write(fixture, 100, Buffer.from('!'));
    const seen = await read(fixture.store, FILE, [0, 101]);
    assert.deepEqual(seen, Buffer.from(`before${'\0'.repeat(94)}!`));
  });
});
