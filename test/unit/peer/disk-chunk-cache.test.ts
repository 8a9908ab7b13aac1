import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { native } from '../../../native/index.ts';
import { CHUNK_BYTES } from '../../../src/common/ids.ts';
import { hostFileIo } from '../../../src/peer/file-io.ts';
import { ino } from '../../support/store-helpers.ts';
import {
  BLOCK,
  CacheFixture,
  type CacheFixtureOptions,
  chunkVersions,
  content,
  fetched,
} from './cache-fixture.ts';

const FILE = ino(70_000);
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

async function opened(t: TestContext, options: CacheFixtureOptions = {}): Promise<CacheFixture> {
  const fixture = await CacheFixture.open(options);
  t.after(() => fixture.close());
  return fixture;
}

const runFrom = (chunk: number, blockFirst: number, count: number) => ({
  chunk,
  blockFirst,
  blockEnd: blockFirst + count,
});

/** Puts blocks of these versions at the start of a chunk. */
function put(fixture: CacheFixture, file: number, seqs: readonly number[], chunk = 0): void {
  fixture.cache.put(ino(file), runFrom(chunk, 0, seqs.length), fetched(seqs));
}

interface Wanted {
  readonly seqs: readonly number[];
  readonly chunk?: number;
  readonly from?: number;
  readonly length?: number;
}

/** @returns undefined when the cache does not have it */
function get(fixture: CacheFixture, file: number, wanted: Wanted): Buffer | undefined {
  const { seqs, chunk = 0, from = 0, length = seqs.length * BLOCK } = wanted;
  const target = Buffer.alloc(length, 0xee);
  const offset = chunk * CHUNK_BYTES + from;
  const found = fixture.cache.read(ino(file), offset, target, chunkVersions(seqs));
  return found ? target : undefined;
}

/** Changes a byte behind the cache's back. */
async function rot(fixture: CacheFixture, file: number, position: number): Promise<void> {
  const handle = await open(fixture.pathOf(file), 'r+');
  await handle.write(Buffer.of(0x5a), 0, 1, position);
  await handle.close();
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !condition(); turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(condition());
}

describe('the cache on disk', () => {
  it('gives back what was put, whole blocks and parts of them', async (t) => {
    const fixture = await opened(t);
    const seqs = [3, 4, 5];
    put(fixture, FILE, seqs, 2);
    const all = Buffer.concat(seqs.map(content));
    assert.deepEqual(
      get(fixture, FILE, { seqs, chunk: 2, from: BLOCK - 5, length: 10 }),
      all.subarray(BLOCK - 5, BLOCK + 5),
    );
    assert.deepEqual(get(fixture, FILE, { seqs, chunk: 2 }), all);
    assert.equal(get(fixture, FILE, { seqs, chunk: 1 }), undefined);
    assert.equal(get(fixture, FILE, { seqs: [...seqs, 6], chunk: 2 }), undefined);
    assert.equal(get(fixture, FILE + 1, { seqs, chunk: 2 }), undefined);
    assert.equal(fixture.cache.status().bytes, fixture.allocated());
  });

  it('tells which blocks it holds, in a copy of the caller’s own', async (t) => {
    const fixture = await opened(t);
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    fixture.cache.put(FILE, runFrom(0, 1, 2), fetched([9, 0]));
    const held = fixture.cache.held(FILE, 0);
    assert.deepEqual([...(held?.held.subarray(0, 4) ?? [])], [0, 1, 1, 0]);
    assert.deepEqual([...(held?.seqs.subarray(0, 4) ?? [])], [0, 9, 0, 0]);
    assert.deepEqual([...(held?.epochs.subarray(0, 4) ?? [])], [0, 1, 0, 0]);
    held?.held.fill(1);
    assert.equal(fixture.cache.held(FILE, 0)?.held[5], 0);
    assert.equal(fixture.cache.held(FILE, 1), undefined);
  });

  it('answers only in the version asked for', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 4]);
    assert.equal(get(fixture, FILE, { seqs: [3, 5] }), undefined);
    const otherEpoch = chunkVersions([3, 4]);
    otherEpoch.epochs[0] = 2;
    assert.equal(fixture.cache.read(FILE, 0, Buffer.alloc(10), otherEpoch), false);
    assert.deepEqual(get(fixture, FILE, { seqs: [3] }), content(3));
  });

  it('merges runs of one chunk, and replaces blocks of other versions', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 4]);
    fixture.cache.put(FILE, runFrom(0, 1, 2), fetched([7, 8]));
    assert.deepEqual(
      get(fixture, FILE, { seqs: [3, 7, 8] }),
      Buffer.concat([3, 7, 8].map(content)),
    );
    assert.equal(get(fixture, FILE, { seqs: [3, 4] }), undefined);
  });

  it('keeps zeros without taking space for them', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [0, 4, 0]);
    const all = Buffer.concat([0, 4, 0].map(content));
    assert.deepEqual(get(fixture, FILE, { seqs: [0, 4, 0] }), all);
    put(fixture, FILE, [0, 0, 0]);
    assert.deepEqual(get(fixture, FILE, { seqs: [0, 0, 0] }), Buffer.alloc(3 * BLOCK));
    assert.ok(fixture.allocated() < BLOCK, `${fixture.allocated()} bytes for zeros`);
    await fixture.reopen();
    assert.deepEqual(get(fixture, FILE, { seqs: [0, 0, 0] }), Buffer.alloc(3 * BLOCK));
    assert.equal(get(fixture, FILE, { seqs: [0, 0, 0, 0] }), undefined);
  });

  it('reads what a block lacks at its end as zeros, whatever lay there', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 4]);
    const whole = Buffer.concat([Buffer.from('short'), Buffer.alloc(BLOCK - 5)]);
    const short = fetched([5]);
    const crcs = Uint32Array.of(native.crc32c(0, whole, 0, BLOCK));
    fixture.cache.put(FILE, runFrom(0, 0, 1), { ...short, crcs, data: whole.subarray(0, 5) });
    assert.deepEqual(get(fixture, FILE, { seqs: [5, 4] }), Buffer.concat([whole, content(4)]));
  });

  it('keeps everything over a restart', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 0, 5]);
    put(fixture, 300, [8], 1000);
    const { bytes } = fixture.cache.status();
    await fixture.reopen();
    assert.equal(fixture.cache.status().bytes, bytes);
    assert.deepEqual(
      get(fixture, FILE, { seqs: [3, 0, 5] }),
      Buffer.concat([3, 0, 5].map(content)),
    );
    assert.deepEqual(get(fixture, 300, { seqs: [8], chunk: 1000 }), content(8));
  });

  it('finds rot at the first read, and forgets that block alone', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 4, 5]);
    await rot(fixture, FILE, BLOCK + 1000);
    assert.equal(get(fixture, FILE, { seqs: [3, 4, 5], from: BLOCK, length: 10 }), undefined);
    assert.deepEqual([...(fixture.cache.held(FILE, 0)?.held.subarray(0, 3) ?? [])], [1, 0, 1]);
    put(fixture, FILE, [3, 4, 5]);
    assert.deepEqual(
      get(fixture, FILE, { seqs: [3, 4, 5] }),
      Buffer.concat([3, 4, 5].map(content)),
    );
    await fixture.reopen();
    await rot(fixture, FILE, 2 * BLOCK);
    assert.equal(get(fixture, FILE, { seqs: [3, 4, 5] }), undefined);
    assert.deepEqual(get(fixture, FILE, { seqs: [3, 4] }), Buffer.concat([3, 4].map(content)));
  });

  it('drops files, with all their bytes', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3, 4]);
    put(fixture, FILE, [3, 4], 7);
    put(fixture, FILE + 1, [5]);
    fixture.cache.drop([FILE, ino(99)]);
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    assert.equal(fixture.cache.held(FILE, 7), undefined);
    await until(() => !existsSync(fixture.pathOf(FILE)));
    assert.equal(fixture.cache.status().bytes, fixture.allocated());
    await fixture.reopen();
    assert.equal(fixture.cache.held(FILE, 7), undefined);
    assert.deepEqual(get(fixture, FILE + 1, { seqs: [5] }), content(5));
  });
});

describe('the space of the cache', () => {
  it('evicts what was used longest ago, and never takes more than the limit', async (t) => {
    const limitBytes = 2 * MIB;
    const fixture = await opened(t, { limitBytes });
    const seqs = [3, 4, 5, 6];
    for (let file = 1; file <= 30; file += 1) {
      put(fixture, file, seqs);
      assert.ok(fixture.allocated() <= limitBytes, `${fixture.allocated()} bytes`);
      assert.ok(get(fixture, 1, { seqs }), 'what is used stays');
    }
    assert.equal(fixture.cache.held(ino(2), 0), undefined);
    assert.ok(fixture.cache.held(ino(30), 0));
    assert.ok(fixture.allocated() > limitBytes / 2);
    await until(() => !existsSync(fixture.pathOf(2)));
  });

  it('evicts chunks of one large file by punching holes', async (t) => {
    const limitBytes = MIB;
    const fixture = await opened(t, { limitBytes });
    for (let chunk = 0; chunk < 12; chunk += 1) put(fixture, FILE, [3, 4, 5], chunk);
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    assert.ok(get(fixture, FILE, { seqs: [3, 4, 5], chunk: 11 }));
    assert.ok(fixture.allocated() <= limitBytes);
    await fixture.reopen();
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    assert.ok(get(fixture, FILE, { seqs: [3, 4, 5], chunk: 11 }));
  });

  it('keeps at most so many chunks, and shrinks to a smaller limit', async (t) => {
    const fixture = await opened(t, { chunksMax: 3 });
    for (let file = 1; file <= 5; file += 1) put(fixture, file, [file]);
    const held = [1, 2, 3, 4, 5].filter((file) => fixture.cache.held(ino(file), 0));
    assert.deepEqual(held, [3, 4, 5]);
    await fixture.reopen({ limitBytes: BLOCK });
    put(fixture, 6, [6]);
    assert.ok(fixture.allocated() <= BLOCK);
    assert.deepEqual(get(fixture, 6, { seqs: [6] }), content(6));
  });

  it('leaves a tenth of the disk free, looking once a second', async (t) => {
    let bytesFree = 20 * GIB;
    const io = { ...hostFileIo, statfs: () => ({ bytesTotal: 100 * GIB, bytesFree }) };
    const fixture = await opened(t, { io });
    for (let file = 1; file <= 8; file += 1) put(fixture, file, [3, 4]);
    assert.equal(fixture.allocated(), 16 * BLOCK);
    bytesFree = 10 * GIB - 8 * BLOCK;
    fixture.clock.advance(1_000);
    put(fixture, 9, [3]);
    assert.ok(fixture.allocated() <= 8 * BLOCK, `${fixture.allocated()} bytes`);
    assert.ok(fixture.cache.held(ino(9), 0));
    bytesFree = 0;
    put(fixture, 9, [3, 4]);
    assert.ok(fixture.cache.held(ino(9), 0), 'not looked at yet');
    fixture.clock.advance(1_000);
    put(fixture, 10, [3]);
    assert.equal(fixture.allocated(), 0);
  });

  it('takes a tenth of the disk, or 20 GiB, unless told otherwise', async (t) => {
    const disk = (bytes: number): CacheFixtureOptions => {
      const io = { ...hostFileIo, statfs: () => ({ bytesTotal: bytes, bytesFree: bytes }) };
      return { io, limitBytes: undefined };
    };
    const fixture = await opened(t, disk(50 * GIB));
    assert.equal(fixture.cache.status().limitBytes, 5 * GIB);
    await fixture.reopen(disk(500 * GIB));
    assert.equal(fixture.cache.status().limitBytes, 20 * GIB);
  });

  it('keeps nothing, not even what was there, when its limit is 0', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3]);
    await fixture.reopen({ limitBytes: 0 });
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    put(fixture, FILE, [3]);
    assert.equal(get(fixture, FILE, { seqs: [3] }), undefined);
    await until(() => !existsSync(fixture.pathOf(FILE)));
    await fixture.reopen({});
    assert.equal(fixture.cache.held(FILE, 0), undefined);
  });

  it('goes on without what the disk refuses', async (t) => {
    let refused: string | undefined;
    const refusing = () => {
      if (refused !== undefined) throw Object.assign(new Error(refused), { code: refused });
    };
    const io = {
      ...hostFileIo,
      pwrite: (fd: number, data: Uint8Array, position: number): number => {
        refusing();
        return hostFileIo.pwrite(fd, data, position);
      },
      pread: (fd: number, data: Uint8Array, position: number): number => {
        refusing();
        return hostFileIo.pread(fd, data, position);
      },
    };
    const fixture = await opened(t, { io });
    for (let file = 1; file <= 40; file += 1) put(fixture, file, [file]);
    refused = 'ENOSPC';
    put(fixture, 40, [41]);
    refused = undefined;
    assert.equal(fixture.cache.held(ino(1), 0), undefined, 'room was made');
    assert.equal(get(fixture, 40, { seqs: [40] }), undefined, 'its bytes are not known any more');
    assert.deepEqual(get(fixture, 39, { seqs: [39] }), content(39));
    refused = 'EIO';
    assert.equal(get(fixture, 38, { seqs: [38] }), undefined);
    put(fixture, 39, [42]);
    refused = undefined;
    assert.equal(get(fixture, 38, { seqs: [38] }), undefined);
    assert.equal(get(fixture, 39, { seqs: [42] }), undefined);
    assert.equal(fixture.cache.status().bytes, fixture.allocated());
  });
});

describe('what a crash leaves of the cache', () => {
  it('is forgotten where the bytes are gone', async (t) => {
    const fixture = await opened(t);
    put(fixture, FILE, [3]);
    put(fixture, 5, [5]);
    await fixture.stop();
    await rm(fixture.pathOf(FILE));
    await fixture.start();
    assert.equal(fixture.cache.held(FILE, 0), undefined);
    assert.deepEqual(get(fixture, 5, { seqs: [5] }), content(5));
    await fixture.stop();
    await writeFile(fixture.pathOf(5), '');
    await fixture.start();
    assert.equal(get(fixture, 5, { seqs: [5] }), undefined);
    assert.equal(fixture.cache.held(ino(5), 0), undefined);
  });

  it('is removed where no record speaks of the bytes; foreign names stay', async (t) => {
    const fixture = await opened(t);
    put(fixture, 5, [5]);
    await fixture.stop();
    const strays = [fixture.pathOf(6), fixture.pathOf(900_000)];
    const foreign = `${fixture.pathOf(6)}.txt`;
    for (const path of [...strays, foreign]) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content(1));
    }
    await fixture.start();
    await until(() => strays.every((path) => !existsSync(path)));
    assert.ok(existsSync(foreign));
    assert.deepEqual(get(fixture, 5, { seqs: [5] }), content(5));
  });

  it('is not believed where a record makes no sense', async (t) => {
    const fixture = await opened(t);
    for (const file of [5, 6, 7]) put(fixture, file, [file]);
    await fixture.stop();
    await fixture.start();
    const keys: Buffer[] = [];
    for await (const key of fixture.records.keys({ gte: Buffer.from('k'), lt: Buffer.from('l') })) {
      keys.push(key);
    }
    const [first, second] = keys;
    assert.ok(keys.length === 3 && first && second);
    await fixture.records.batch([
      { type: 'put', key: first, value: Buffer.from('no record at all') },
      { type: 'put', key: second, value: Buffer.of(0x0d, 1, 2, 3, 4) },
      { type: 'put', key: Buffer.from('k?'), value: Buffer.alloc(0) },
    ]);
    await fixture.reopen();
    assert.equal(get(fixture, 5, { seqs: [5] }), undefined);
    assert.equal(get(fixture, 6, { seqs: [6] }), undefined);
    assert.deepEqual(get(fixture, 7, { seqs: [7] }), content(7));
    // Nothing is taken under a name that is being removed.
    await until(() => {
      put(fixture, 5, [8]);
      return fixture.cache.held(ino(5), 0) !== undefined;
    });
    assert.deepEqual(get(fixture, 5, { seqs: [8] }), content(8));
  });
});
