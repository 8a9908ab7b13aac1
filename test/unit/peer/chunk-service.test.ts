import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import type { ChunkWriteFrame } from '../../../gen/peer.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asClusterId, asNodeId, BLOCK_BYTES, CHUNK_BYTES } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { PING_MS } from '../../../src/common/rpc/limits.ts';
import { ChunkClient } from '../../../src/peer/chunk-client.ts';
import type { WrittenRange } from '../../../src/peer/chunk-store.ts';
import { rangeChecksum, rightToWire } from '../../../src/peer/peer-wire.ts';
import { nextTurns, Random } from '../../support/random.ts';
import { ino, NODE, read, solidBytes } from '../../support/store-helpers.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';
import { chunkVersions, content, fetched } from './cache-fixture.ts';
import {
  assertSame,
  ChunkFixture,
  CLUSTER,
  fetchedBy,
  KNOWN,
  newClient,
  until,
  WHOLE,
} from './chunk-fixture.ts';
import { FILE, right } from './home-fixture.ts';

const MIB = 1024 * 1024;
const DATA = solidBytes(new Random(1), CHUNK_BYTES + 3 * BLOCK_BYTES);

const isError =
  (code: string, text = '') =>
  (error: unknown) =>
    error instanceof FsError && error.code === code && error.message.includes(text);

/** False for a peer that has enough to do; what else it says is thrown. */
function isBusy(error: unknown): boolean {
  assert.ok(isError('EAGAIN')(error), String(error));
  return false;
}

describe('reading from a home', () => {
  it('brings whole blocks in order, each under its version', async (t) => {
    const fixture = await ChunkFixture.open(t);
    await fixture.write(0, DATA.subarray(0, MIB));
    await fixture.write(3 * BLOCK_BYTES, DATA.subarray(0, 10));
    const expected = Buffer.alloc(CHUNK_BYTES);
    DATA.copy(expected, 0, 0, MIB);
    DATA.copy(expected, 3 * BLOCK_BYTES, 0, 10);
    const seen = await fixture.read();
    assertSame(seen.bytes, expected, 'the whole chunk');
    let next = 0;
    for (const { blockFirst, count, crcs, data, unchanged } of seen.frames) {
      assert.deepEqual([blockFirst, unchanged], [next, false]);
      assert.ok(data.length <= 512 * 1024);
      assert.equal(crcs.length, count);
      next += count;
    }
    assert.equal(next, 64);
    const { seqs } = seen.versions;
    assert.ok((seqs[3] ?? 0) > (seqs[2] ?? 0), 'the block written last has the later version');
    assert.equal(fixture.client.bytesFetched, MIB);
    assert.equal(fixture.service.bytesServed, MIB);
    assert.equal(fixture.client.bytesSent, MIB + 10);
  });

  it('brings any part of any chunk', async (t) => {
    const fixture = await ChunkFixture.open(t);
    for (let at = 0; at < DATA.length; at += MIB)
      await fixture.write(at, DATA.subarray(at, at + MIB));
    for (const run of [
      { chunk: 0, blockFirst: 63, blockEnd: 64 },
      { chunk: 1, blockFirst: 1, blockEnd: 3 },
      { chunk: 0, blockFirst: 5, blockEnd: 23 },
    ]) {
      const start = run.chunk * CHUNK_BYTES + run.blockFirst * BLOCK_BYTES;
      const { bytes } = await fixture.read({ run });
      assertSame(bytes, DATA.subarray(start, start + bytes.length), JSON.stringify(run));
    }
  });

  it('sends no bytes of what the caller holds, and those of what changed', async (t) => {
    const fixture = await ChunkFixture.open(t);
    await fixture.write(0, DATA.subarray(0, 12 * BLOCK_BYTES));
    const run = { chunk: 0, blockFirst: 1, blockEnd: 14 };
    const { versions: have } = await fixture.read({ run });
    const before = fixture.client.bytesFetched;
    const again = await fixture.read({ run, have });
    assert.deepEqual(again.sent, []);
    assert.deepEqual(again.versions, have);
    assert.deepEqual(
      again.frames.map(({ unchanged }) => unchanged),
      [true, true, false],
    );
    assert.equal(fixture.client.bytesFetched, before);
    await fixture.write(5 * BLOCK_BYTES + 1, Buffer.from('new'));
    const changed = await fixture.read({ run, have });
    assert.deepEqual(changed.sent, [5]);
    assert.equal(changed.bytes.subarray(4 * BLOCK_BYTES + 1).toString('utf8', 0, 3), 'new');
    const stale = { epochs: have.epochs.map((epoch) => epoch + 1), seqs: have.seqs };
    assert.equal((await fixture.read({ run, have: stale })).sent.length, 11);
  });

  it('sends no zeros: not behind the end of a small file, not from holes', async (t) => {
    const fixture = await ChunkFixture.open(t);
    await fixture.write(0, Buffer.from('small'));
    const small = await fixture.read();
    assert.equal(small.bytes.subarray(0, 7).toString(), 'small\0\0');
    assert.equal(fixture.client.bytesFetched, 8);
    await fixture.write(20 * BLOCK_BYTES, DATA.subarray(0, BLOCK_BYTES));
    const sparse = await fixture.read();
    assert.deepEqual(sparse.sent, [0, 20]);
    assertSame(
      sparse.bytes.subarray(20 * BLOCK_BYTES, 21 * BLOCK_BYTES),
      DATA.subarray(0, BLOCK_BYTES),
      'the block behind the hole',
    );
    assert.equal(sparse.versions.seqs.filter((seq) => seq !== 0).length, 2);
    assert.equal(fixture.client.bytesFetched, 8 + 8 + BLOCK_BYTES);
  });

  it('is given up for a caller that takes nothing, so that others are served', async (t) => {
    const fixture = await ChunkFixture.open(t, 300);
    const { homeSide, target } = fixture;
    const file = ino(90_000);
    const record = { kind: 'write', offset: 0, data: DATA.subarray(0, CHUNK_BYTES) } as const;
    await homeSide.store.commit(right(0), file, record);
    homeSide.attr = { size: CHUNK_BYTES, cuts: 0 };
    const relay = await TcpRelay.start(Number(target.address.split(':')[1]));
    t.after(() => relay[Symbol.asyncDispose]());
    const gate = deferred<void>();
    homeSide.onFetch = () => gate.promise;
    const far = { ...target, address: relay.address };
    const stop = new AbortController();
    const client = newClient(t);
    const call = { right: right(0), ino: file, run: WHOLE };
    const reads = Array.from({ length: 64 }, () => fetchedBy(client, far, call, stop.signal));
    const ends = Promise.allSettled(reads);
    const isServed = (): Promise<boolean> => fixture.read().then(() => true, isBusy);
    while (await isServed()) await nextTurns(1);
    relay.freeze();
    gate.resolve();
    const startMs = performance.now();
    while (!(await isServed())) await nextTurns(1);
    assert.ok(performance.now() - startMs < PING_MS, 'before the connection was found to be dead');
    stop.abort();
    assert.ok((await ends).every(({ status }) => status === 'rejected'));
  });
});

describe('a home refuses', () => {
  it('calls under another epoch or group of the replica group', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const { client, target } = fixture;
    const small = Buffer.from('x');
    for (const wrong of [right(0, 2), right(0, 1, 9)]) {
      const call = { right: wrong, ino: FILE };
      const stale = isError('ESTALE', 'replica group');
      await assert.rejects(fixture.read(call), stale);
      await assert.rejects(client.write(target, call, [{ offset: 0, data: small }]), stale);
      await assert.rejects(client.cut(target, { ...call, size: 0 }), stale);
      await assert.rejects(client.sync(target, call), stale);
    }
    assert.equal(fixture.homeSide.store.blocks(FILE), 0);
  });

  it('calls that know of fewer cuts, and makes those it learns of', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const { client, target } = fixture;
    await fixture.write(0, Buffer.from('longer'));
    await client.cut(target, { right: right(1), ino: FILE, size: 4 });
    await assert.rejects(fixture.read(), isError('ESTALE', 'cut 1 times, not 0'));
    await assert.rejects(fixture.write(0, Buffer.from('x')), isError('ESTALE'));
    fixture.homeSide.attr = { size: 2, cuts: 2 };
    const { bytes } = await fixture.read({ right: right(2) });
    assert.equal(bytes.toString('utf8', 0, 6), 'lo\0\0\0\0');
  });

  it('calls that were meant for another peer or cluster', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const call = { right: right(0), ino: FILE };
    const stale = isError('ESTALE', `this is peer ${NODE} of cluster ${CLUSTER}`);
    const otherNode = { ...fixture.target, nodeId: asNodeId('ab'.repeat(16)) };
    await assert.rejects(fetchedBy(fixture.client, otherNode, { ...call, run: WHOLE }), stale);
    await assert.rejects(fixture.client.sync(otherNode, call), stale);
    const clusterId = asClusterId('ee'.repeat(16));
    await using other = new ChunkClient({ clusterId, bootMs: () => 1 });
    const ranges = [{ offset: 0, data: Buffer.from('x') }];
    await assert.rejects(other.write(fixture.target, call, ranges), stale);
    await assert.rejects(other.cut(fixture.target, { ...call, size: 0 }), stale);
    assert.equal(fixture.homeSide.store.blocks(FILE), 0);
    const { address } = fixture.target;
    assert.deepEqual(await other.describe(address), { clusterId: CLUSTER, nodeId: NODE });
  });

  it('calls about a removed file', async (t) => {
    const fixture = await ChunkFixture.open(t);
    await fixture.write(0, Buffer.from('gone soon'));
    await fixture.homeSide.home.remove([FILE]);
    await assert.rejects(fixture.read(), isError('ESTALE', 'was removed'));
    await assert.rejects(fixture.write(0, Buffer.from('x')), isError('ESTALE', 'was removed'));
  });

  it('more than 64 calls at a time, and none of the next', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const gate = deferred<void>();
    fixture.homeSide.onFetch = () => gate.promise;
    const call = { right: right(0), ino: ino(90_000) };
    const { client, target } = fixture;
    const syncs = Array.from({ length: 64 }, () => client.sync(target, call));
    await until(() => fixture.homeSide.fetches === 1);
    // The last of them may still be on its way.
    let refused: unknown;
    while (refused === undefined) {
      refused = await client
        .sync(target, { ...call, right: right(0, 9) })
        .catch((error: unknown) => (isError('ESTALE')(error) ? undefined : error));
    }
    assert.ok(isError('EAGAIN', '64 calls')(refused));
    gate.resolve();
    await Promise.all(syncs);
    await client.sync(target, call);
  });

  it('what its store refuses, with the errno and the sentence', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const { store } = fixture.homeSide;
    store.beforeCommit = () => Promise.reject(new FsError('ENOSPC', 'no space for 1 byte'));
    await assert.rejects(fixture.write(0, Buffer.from('x')), {
      code: 'ENOSPC',
      message: 'ENOSPC: no space for 1 byte',
    });
    store.beforeSync = () => Promise.reject(new Error('a bug'));
    await assert.rejects(
      fixture.client.sync(fixture.target, { right: right(0), ino: FILE }),
      isError('EIO', 'its log says how'),
    );
    assert.equal(fixture.bugs.length, 1);
    assert.match(fixture.bugs[0] ?? '', /a bug/);
  });
});

describe('writing to a home', () => {
  const header: ChunkWriteFrame = {
    body: {
      $case: 'header',
      value: {
        right: rightToWire(right(0), { clusterId: CLUSTER, nodeId: NODE }),
        ino: BigInt(FILE),
      },
    },
  };

  function range(at: number, data: Uint8Array, crcDelta = 0): ChunkWriteFrame {
    const offset = BigInt(at);
    const crc32c = (rangeChecksum(BigInt(FILE), offset, data) ^ crcDelta) >>> 0;
    return { body: { $case: 'data', value: { offset, data, crc32c, bytesPromised: 0n } } };
  }

  /** @returns the errno of the refusal, or `done` */
  async function sent(fixture: ChunkFixture, frames: Iterable<ChunkWriteFrame>): Promise<string> {
    const outcome = deferred<ServiceError | null>();
    const call = fixture.raw.write((error) => outcome.resolve(error));
    call.on('error', () => undefined);
    for (const frame of frames) {
      if (call.write(frame)) continue;
      const drained = deferred<void>();
      call.once('drain', () => drained.resolve());
      await Promise.race([drained.promise, outcome.promise]);
    }
    call.end();
    const error = await outcome.promise;
    return error === null ? 'done' : String(error.metadata.get('x-fs-errno')[0]);
  }

  const stored = (fixture: ChunkFixture): Promise<Buffer> =>
    read(fixture.homeSide.store, FILE, [0, 8]);

  it('applies all ranges in their order, over many frames', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const { client, target } = fixture;
    const ranges: WrittenRange[] = [];
    for (let offset = 0; offset < DATA.length; offset += MIB) {
      ranges.push({ offset, data: DATA.subarray(offset, offset + MIB) });
    }
    ranges.push({ offset: 5, data: Buffer.from('first') });
    ranges.push({ offset: 8, data: Buffer.from('last') });
    await client.write(target, { right: right(0), ino: FILE }, ranges);
    const expected = Buffer.from(DATA);
    expected.write('firlast', 5);
    assertSame(await read(fixture.homeSide.store, FILE, [0, DATA.length]), expected, 'all of it');
    assert.equal(client.bytesSent, DATA.length + 9);
    await client.write(target, { right: right(0), ino: FILE }, []);
  });

  it('applies nothing when one range was damaged on the way', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const good = range(0, Buffer.from('good'));
    assert.equal(await sent(fixture, [header, good, range(4, Buffer.from('bad'), 1)]), 'EIO');
    assert.equal(await sent(fixture, [header, range(0, Buffer.from('bad'), 1), good]), 'EIO');
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
    const misplaced = range(4, Buffer.from('good'));
    assert.ok(good.body?.$case === 'data' && misplaced.body?.$case === 'data');
    const { crc32c } = good.body.value;
    const moved = { $case: 'data', value: { ...misplaced.body.value, crc32c } } as const;
    assert.equal(await sent(fixture, [header, { body: moved }]), 'EIO');
    assert.equal(await sent(fixture, [header, good]), 'done');
    assert.equal((await stored(fixture)).toString(), 'good\0\0\0\0');
  });

  it('applies nothing of a call that is given up before its end', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const stop = new AbortController();
    function* ranges(): Iterable<{ offset: number; data: Uint8Array }> {
      yield { offset: 0, data: Buffer.from('half') };
      stop.abort();
      yield { offset: 4, data: Buffer.from('done') };
    }
    const call = { right: right(0), ino: FILE };
    const { client, target } = fixture;
    await assert.rejects(client.write(target, call, ranges(), stop.signal), isError('ETIMEDOUT'));
    await client.sync(target, call);
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
    const broken = (function* broken(): Iterable<{ offset: number; data: Uint8Array }> {
      yield { offset: 0, data: Buffer.from('half') };
      throw new FsError('EIO', 'the source of the bytes is broken');
    })();
    await assert.rejects(client.write(target, call, broken), isError('EIO', 'the source'));
    await client.sync(target, call);
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
  });

  it('takes one header, then ranges of at most 1 MiB that lie in a file', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const good = range(0, Buffer.from('good'));
    const wrong: readonly (readonly ChunkWriteFrame[])[] = [
      [],
      [good],
      [good, header],
      [header, header, good],
      [header, { body: undefined }],
      [header, good, range(0, Buffer.alloc(MIB + 1))],
      [header, good, range(Number.MAX_SAFE_INTEGER, Buffer.from('x'))],
    ];
    for (const frames of wrong) assert.equal(await sent(fixture, frames), 'EINVAL');
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
    assert.equal(await sent(fixture, [header]), 'done');
  });

  it('takes at most 64 MiB in one call', async (t) => {
    const fixture = await ChunkFixture.open(t);
    const big = range(0, DATA.subarray(0, MIB));
    function* frames(count: number): Iterable<ChunkWriteFrame> {
      yield header;
      for (let left = count; left > 0; left -= 1) yield big;
    }
    assert.equal(await sent(fixture, frames(65)), 'E2BIG');
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
    assert.equal(await sent(fixture, frames(64)), 'done');
  });

  it('waits for a caller that is slow, and gives up one that has stopped', async (t) => {
    const stalledMs = 600;
    const fixture = await ChunkFixture.open(t, stalledMs);
    const slow = async (frames: number, ends: boolean): Promise<string> => {
      const outcome = deferred<ServiceError | null>();
      const call = fixture.raw.write((error) => outcome.resolve(error));
      call.on('error', () => undefined);
      call.write(header);
      for (let left = frames; left > 0; left -= 1) {
        call.write(range(0, Buffer.from('slow')));
        await new Promise((resolve) => {
          setTimeout(resolve, stalledMs / 6);
        });
      }
      if (ends) call.end();
      const error = await outcome.promise;
      return error === null ? 'done' : String(error.metadata.get('x-fs-errno')[0]);
    };
    assert.equal(await slow(1, false), 'EINTR');
    assert.deepEqual(await stored(fixture), Buffer.alloc(8));
    assert.equal(await slow(9, true), 'done');
    assert.equal((await stored(fixture)).toString(), 'slow\0\0\0\0');
  });
});

describe('reading what another peer has cached', () => {
  const OTHER = ino(71_000);
  const RUN = { chunk: 0, blockFirst: 2, blockEnd: 6 };
  const CALL = { ino: OTHER, right: right(3, KNOWN.rgEpoch), run: RUN, cachedDv: KNOWN.dv };

  /** A peer that knows of these versions, and holds blocks in some of them. */
  async function caching(t: TestContext, known: readonly number[]): Promise<ChunkFixture> {
    const fixture = await ChunkFixture.open(t);
    fixture.cache.put(OTHER, RUN, fetched([7, 8, 0, 9]));
    fixture.known = chunkVersions([0, 0, ...known]);
    return fixture;
  }

  it('brings blocks in the versions it knows at exactly that state of the file', async (t) => {
    const fixture = await caching(t, [7, 8, 0, 9]);
    const { bytes, sent, versions } = await fixture.read(CALL);
    assertSame(bytes, Buffer.concat([7, 8, 0, 9].map(content)), 'all four');
    assert.deepEqual(
      [sent, [...versions.seqs]],
      [
        [2, 3, 5],
        [7, 8, 0, 9],
      ],
    );
    const unknown = isError('ENODATA', 'not known here');
    await assert.rejects(fixture.read({ ...CALL, cachedDv: KNOWN.dv + 1 }), unknown);
    const otherEpoch = right(3, KNOWN.rgEpoch + 1);
    await assert.rejects(fixture.read({ ...CALL, right: otherEpoch }), unknown);
    assert.equal(fixture.homeSide.fetches, 0);
  });

  it('brings them up to the first that is not there in its version', async (t) => {
    const fixture = await caching(t, [7, 10, 0, 9]);
    const arrived: number[] = [];
    const reading = fixture.client.read(fixture.target, CALL, (blocks) => {
      arrived.push(blocks.blockFirst);
    });
    await assert.rejects(reading, isError('ENODATA', 'fewer blocks'));
    assert.deepEqual(arrived, [2]);
  });

  it('is refused by another peer than the one that was meant', async (t) => {
    const fixture = await caching(t, [7, 8, 0, 9]);
    const otherNode = { ...fixture.target, nodeId: asNodeId('ab'.repeat(16)) };
    const reading = fetchedBy(fixture.client, otherNode, CALL);
    await assert.rejects(reading, isError('ESTALE', 'this is peer'));
  });
});
