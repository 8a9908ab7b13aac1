import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FsError } from '../../src/common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES } from '../../src/common/ids.ts';
import type { ChunkStore, DataContext, DataRecord } from '../../src/peer/chunk-store.ts';
import { Random } from '../support/random.ts';
import { context, groupView, ino, read, solidBytes } from '../support/store-helpers.ts';
import { blockVersionCases } from './block-version-cases.ts';
import { FileModel } from './file-model.ts';

export interface ChunkStoreFixture {
  readonly store: ChunkStore;
  /** Ends the store in an orderly way and starts it again, where that keeps the bytes. */
  reopen?(): Promise<ChunkStore>;
  /** Lets time pass and the background work be done. */
  settle?(): Promise<void>;
  close(): Promise<void>;
}

/** The store of a suite, which may be another one after each `reopen`. */
export interface StoreUnderTest {
  readonly store: ChunkStore;
  readonly epoch: number;
  newFile(): number;
  commit(file: number, record: DataRecord): Promise<void>;
  write(file: number, offset: number, data: Uint8Array): Promise<void>;
  truncate(file: number, size: number): Promise<void>;
  zero(file: number, offset: number, length: number): Promise<void>;
  settle(): Promise<void>;
  reopen(): Promise<void>;
}

const isError = (code: string) => (error: unknown) =>
  error instanceof FsError && error.code === code;

/** What every ChunkStore must do. */
export function chunkStoreSuite(name: string, open: () => Promise<ChunkStoreFixture>): void {
  describe(`${name} is a chunk store`, () => {
    let fixture: ChunkStoreFixture;
    let store: ChunkStore;
    let epoch = 1;
    let nextIno = 5_000;
    const newFile = () => {
      nextIno += 1;
      return ino(nextIno);
    };
    const now = (): DataContext => context(epoch);
    const commit = async (file: number, record: DataRecord): Promise<void> => {
      await store.commit(now(), ino(file), record);
    };
    const write = (file: number, offset: number, data: Uint8Array): Promise<void> =>
      commit(file, { kind: 'write', offset, data });
    const truncate = (file: number, size: number): Promise<void> =>
      commit(file, { kind: 'truncate', size });
    const zero = (file: number, offset: number, length: number): Promise<void> =>
      commit(file, { kind: 'zero', offset, length });
    const failure = async (work: () => Promise<void>, code: string): Promise<void> => {
      await assert.rejects(work, isError(code));
    };

    before(async () => {
      fixture = await open();
      store = fixture.store;
      store.setGroups([groupView(epoch)]);
    });
    after(() => fixture.close());

    it('reads back what was written, also across chunks', async () => {
      const file = newFile();
      const data = solidBytes(new Random(1), 300_000);
      await write(file, CHUNK_BYTES - 100_000, data);
      assert.deepEqual(await read(store, file, [CHUNK_BYTES - 100_000, 300_000]), data);
      const inner = await read(store, file, [CHUNK_BYTES - 5, 10]);
      assert.deepEqual(inner, data.subarray(99_995, 100_005));
    });

    it('reads zeros where nothing was written: unknown files, holes, past the end', async () => {
      const file = newFile();
      assert.deepEqual(await read(store, file, [0, 100]), Buffer.alloc(100));
      await write(file, 200_000, Buffer.from('tail'));
      assert.deepEqual(await read(store, file, [0, 1000]), Buffer.alloc(1000));
      const end = await read(store, file, [199_998, 10]);
      assert.deepEqual(end, Buffer.from('\0\0tail\0\0\0\0'));
      assert.deepEqual(await read(store, file, [CHUNK_BYTES * 3 - 5, 10]), Buffer.alloc(10));
    });

    it('keeps the caller free to reuse its buffer once a commit is done', async () => {
      const file = newFile();
      const data = Buffer.from('first');
      await write(file, 0, data);
      data.write('XXXXX');
      assert.equal((await read(store, file, [0, 5])).toString(), 'first');
    });

    it('accepts writes without bytes and zeroing of nothing', async () => {
      const file = newFile();
      await write(file, 10, Buffer.alloc(0));
      await zero(file, 0, 100);
      await truncate(file, 0);
      assert.equal(await store.blocks(file), 0);
    });

    it('never brings back bytes that were cut off', async () => {
      const file = newFile();
      const bytes = CHUNK_BYTES + 3 * BLOCK_BYTES;
      await write(file, 0, solidBytes(new Random(2), bytes));
      await truncate(file, 1000);
      await truncate(file, bytes);
      const seen = await read(store, file, [1000, bytes - 1000]);
      assert.ok(seen.equals(Buffer.alloc(bytes - 1000)));
      await truncate(file, 0);
      await write(file, 2_000, Buffer.from('x'));
      assert.deepEqual(await read(store, file, [0, 2_000]), Buffer.alloc(2_000));
    });

    it('zeroes a range and leaves what is around it', async () => {
      const file = newFile();
      const data = solidBytes(new Random(3), 2 * CHUNK_BYTES + 500);
      await write(file, 0, data);
      await zero(file, 100, 2 * CHUNK_BYTES);
      const expected = Buffer.from(data);
      expected.fill(0, 100, 100 + 2 * CHUNK_BYTES);
      assert.ok((await read(store, file, [0, data.length])).equals(expected));
      await zero(file, 2 * CHUNK_BYTES + 200, Number.MAX_SAFE_INTEGER - 3 * CHUNK_BYTES);
      expected.fill(0, 2 * CHUNK_BYTES + 200);
      assert.ok((await read(store, file, [0, data.length])).equals(expected));
    });

    it('holds bytes beyond 4 GiB', async () => {
      const file = newFile();
      const offset = 5 * 1024 ** 3 + 17;
      await write(file, offset, Buffer.from('far'));
      assert.equal((await read(store, file, [offset, 3])).toString(), 'far');
      assert.deepEqual(await read(store, file, [2 ** 32, 8]), Buffer.alloc(8));
      assert.ok((await store.blocks(file)) * 512 < CHUNK_BYTES);
      await truncate(file, 0);
      await truncate(file, offset + 3);
      assert.deepEqual(await read(store, file, [offset, 3]), Buffer.alloc(3));
    });

    it('refuses to write where no file can reach', async () => {
      const offset = Number.MAX_SAFE_INTEGER - 2;
      await failure(() => write(newFile(), offset, Buffer.from('xyz!')), 'EFBIG');
    });

    it('cuts off what is past the authoritative end when told', async () => {
      const file = newFile();
      await write(file, 0, Buffer.from('published, unpublished'));
      await store.reconcile(file, 9);
      assert.equal((await read(store, file, [0, 11])).toString(), 'published\0\0');
      await store.reconcile(file, 9);
      await store.reconcile(file, 900);
      await store.reconcile(newFile(), 0);
      assert.equal((await read(store, file, [0, 9])).toString(), 'published');
    });

    it('fences other epochs and groups it does not serve', async () => {
      const file = newFile();
      const record = { kind: 'write', offset: 0, data: Buffer.from('no') } as const;
      const commit = async (right: DataContext): Promise<void> => {
        await store.commit(right, file, record);
      };
      await failure(() => commit(context(epoch + 1)), 'ESTALE');
      await failure(() => commit(context(epoch, 77)), 'ESTALE');
      epoch += 1;
      store.setGroups([groupView(epoch)]);
      await failure(() => commit(context(epoch - 1)), 'ESTALE');
      await commit(context(epoch));
      assert.equal((await read(store, file, [0, 2])).toString(), 'no');
    });

    it('forgets removed files, as often as it is told', async () => {
      const files = [newFile(), newFile(), newFile()];
      for (const file of files) await write(file, 0, solidBytes(new Random(4), 100_000));
      const other = newFile();
      await write(other, 0, Buffer.from('stays'));
      await store.remove(files);
      await store.remove([...files, newFile()]);
      for (const file of files) {
        assert.equal(await store.blocks(file), 0);
        assert.deepEqual(await read(store, file, [0, 10]), Buffer.alloc(10));
      }
      assert.equal((await read(store, other, [0, 5])).toString(), 'stays');
    });

    it('counts blocks and owned bytes, and gives space back', async () => {
      const file = newFile();
      const before = store.space();
      assert.ok(before.bytesTotal > 0 && before.bytesFree > 0);
      await write(file, 0, solidBytes(new Random(5), 1024 ** 2));
      assert.equal((await store.blocks(file)) * 512, 1024 ** 2);
      assert.equal(store.space().bytesOwned - before.bytesOwned, 1024 ** 2);
      await store.remove([file]);
      assert.equal(store.space().bytesOwned, before.bytesOwned);
    });

    it('applies changes of one file in the order of the calls', async () => {
      const file = newFile();
      await write(file, 0, Buffer.alloc(100, 'a'));
      await store.fsync(file);
      await fixture.settle?.();
      const pending = ['b', 'c', 'd', 'e'].map((letter) =>
        store.commit(now(), file, { kind: 'write', offset: 0, data: Buffer.alloc(50, letter) }),
      );
      const last = store.commit(now(), file, { kind: 'truncate', size: 60 });
      await Promise.all([...pending, last]);
      const expected = Buffer.from(`${'e'.repeat(50)}${'a'.repeat(10)}${'\0'.repeat(40)}`);
      assert.deepEqual(await read(store, file, [0, 100]), expected);
    });

    it('syncs one file, all files, and unknown ones', async () => {
      const file = newFile();
      await store.fsync(file);
      await write(file, 0, Buffer.from('durable'));
      await Promise.all([store.fsync(file), store.fsync(file), store.syncAll()]);
      store.release(file);
      assert.equal((await read(store, file, [0, 7])).toString(), 'durable');
    });

    const reopen = async (): Promise<void> => {
      if (fixture.reopen === undefined) return;
      store = await fixture.reopen();
      epoch += 1;
      store.setGroups([groupView(epoch)]);
    };

    it('behaves like an array of bytes through 1000 random changes', async () => {
      const random = Random.fromEnvironment();
      const model = new FileModel(random, 3 * CHUNK_BYTES);
      const file = newFile();
      const same = async (range: [number, number], what: string): Promise<void> => {
        const equal = (await read(store, file, range)).equals(model.at(range));
        assert.ok(equal, `${what} [${range}]; replay with SEED=${random.seed}`);
      };
      for (let step = 0; step < 1000; step += 1) {
        await store.commit(now(), file, model.change());
        if (random.chance(0.04)) await store.fsync(file);
        if (random.chance(0.025)) await fixture.settle?.();
        if (random.chance(0.01)) await reopen();
        await same(model.someRange(), `step ${step}`);
      }
      await same([0, 3 * CHUNK_BYTES], 'the whole file');
    });

    blockVersionCases({
      get store() {
        return store;
      },
      get epoch() {
        return epoch;
      },
      newFile,
      commit,
      write,
      truncate,
      zero,
      settle: async () => fixture.settle?.(),
      reopen,
    });
  });
}
