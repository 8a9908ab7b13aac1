import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import type { ChunkReadFrame, ChunkReadRequest } from '../../../gen/peer.ts';
import { FsError } from '../../../src/common/errno.ts';
import { BLOCK_BYTES } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { homeFrames } from '../../../src/peer/block-frames.ts';
import type { PeerTarget } from '../../../src/peer/chunk-client.ts';
import type { BlockVersions } from '../../../src/peer/chunk-store.ts';
import { ZERO_BLOCK_CRC } from '../../../src/peer/core/chunk-state.ts';
import { nextTurns, Random } from '../../support/random.ts';
import { solidBytes } from '../../support/store-helpers.ts';
import { deserted, type Fetched, fetchedBy, newClient, scripted } from './chunk-fixture.ts';
import { FILE, HomeFixture, right } from './home-fixture.ts';

const RUN = { chunk: 0, blockFirst: 2, blockEnd: 22 };
const CALL = { right: right(0), ino: FILE, run: RUN };

type ReadCall = ServerWritableStream<ChunkReadRequest, ChunkReadFrame>;

const isError =
  (code: string, text = '') =>
  (error: unknown) =>
    error instanceof FsError && error.code === code && error.message.includes(text);

/** What an honest home sends for RUN: data, a hole, data. */
async function honest(have?: BlockVersions): Promise<ChunkReadFrame[]> {
  const fixture = new HomeFixture();
  fixture.home.created(FILE);
  const data = solidBytes(new Random(1), 3 * BLOCK_BYTES);
  for (const block of [2, 12, 19]) {
    await fixture.home.write(right(0), FILE, { offset: block * BLOCK_BYTES, data });
  }
  const frames: ChunkReadFrame[] = [];
  for await (const frame of homeFrames(fixture.home, { ...CALL, have })) frames.push(frame);
  return frames;
}

/** A peer that answers every read with these frames. */
function sending(t: TestContext, frames: readonly ChunkReadFrame[]): Promise<PeerTarget> {
  const read = (call: ReadCall): void => {
    for (const frame of frames) call.write(frame);
    call.end();
  };
  return scripted(t, { read });
}

async function fetchedOf(
  t: TestContext,
  frames: readonly ChunkReadFrame[],
  have?: BlockVersions,
): Promise<Fetched> {
  const target = await sending(t, frames);
  return fetchedBy(newClient(t), target, { ...CALL, ...(have !== undefined && { have }) });
}

describe('blocks from another peer', () => {
  it('are what an honest one sends', async (t) => {
    const frames = await honest();
    assert.ok(frames.length > 4);
    const { sent, versions } = await fetchedOf(t, frames);
    assert.deepEqual(sent, [2, 3, 4, 12, 13, 14, 19, 20, 21]);
    const second = await honest(versions);
    assert.ok(second.some(({ unchanged }) => unchanged));
    assert.deepEqual((await fetchedOf(t, second, versions)).sent, []);
  });

  it('are refused when a byte of them was flipped, and those before it are not', async (t) => {
    const frames = await honest();
    const at = frames.findIndex(({ blockFirst }) => blockFirst === 12);
    const frame = frames[at];
    assert.ok(frame !== undefined);
    for (const position of [0, 2 * BLOCK_BYTES + 7, frame.data.length - 1]) {
      const data = Uint8Array.from(frame.data);
      data[position] = (data[position] ?? 0) ^ 1;
      const arrived: number[] = [];
      const target = await sending(t, frames.with(at, { ...frame, data }));
      await assert.rejects(
        newClient(t).read(target, CALL, ({ blockFirst }) => arrived.push(blockFirst)),
        isError('EIO', 'blocks from 12 on were damaged on the way'),
      );
      assert.deepEqual(
        arrived,
        frames.slice(0, at).map(({ blockFirst }) => blockFirst),
      );
    }
  });

  it('are refused when their checksum was flipped, or the end of them was lost', async (t) => {
    const [frame, ...rest] = await honest();
    assert.ok(frame !== undefined);
    const [crc = 0, ...crcs] = frame.crc32c;
    const damaged = [
      { ...frame, crc32c: [(crc ^ 4) >>> 0, ...crcs] },
      { ...frame, data: frame.data.subarray(0, frame.data.length - 8) },
      { ...frame, data: new Uint8Array(0) },
    ];
    for (const wrong of damaged) {
      await assert.rejects(fetchedOf(t, [wrong, ...rest]), isError('EIO', 'damaged on the way'));
    }
  });

  it('are refused when they are not what was asked for', async (t) => {
    const frames = await honest();
    const [first, second] = frames;
    assert.ok(first !== undefined && second !== undefined);
    const count = first.seqs.length;
    const nothing = { ...first, epochs: [], seqs: [], crc32c: [], data: new Uint8Array(0) };
    const unchanged = { ...first, crc32c: [], data: new Uint8Array(0), unchanged: true };
    const long = Array.from({ length: 21 }, () => 1);
    const wrong: readonly (readonly [string, readonly ChunkReadFrame[]])[] = [
      ['the first is missing', frames.slice(1)],
      ['one comes twice', [first, first]],
      ['it begins before what was asked for', [{ ...first, blockFirst: 1 }]],
      ['it ends behind it', [{ ...first, seqs: long.map(BigInt), epochs: long, crc32c: long }]],
      ['it has no blocks', [nothing]],
      ['epochs are missing', [{ ...first, epochs: [] }]],
      ['a checksum is missing', [{ ...first, crc32c: first.crc32c.slice(1) }]],
      ['there is too much data', [{ ...first, data: Buffer.alloc(count * BLOCK_BYTES + 1) }]],
      ['unchanged blocks have data', [{ ...unchanged, data: Buffer.alloc(8) }]],
      ['nothing was held that could be unchanged', [unchanged]],
      ['a version is out of range', [{ ...first, seqs: first.seqs.map(() => 2n ** 60n) }]],
      ['bytes without a version', [{ ...first, seqs: first.seqs.map(() => 0n) }]],
    ];
    for (const [what, sent] of wrong) {
      await assert.rejects(fetchedOf(t, sent), isError('EPROTO', 'not what was asked for'), what);
    }
  });

  it('are refused as unchanged in another version than the caller holds', async (t) => {
    const { versions } = await fetchedOf(t, await honest());
    const frames = await honest(versions);
    const at = frames.findIndex(({ unchanged }) => unchanged);
    const frame = frames[at];
    assert.ok(frame !== undefined);
    const zeros = frames.findIndex(({ crc32c }) => crc32c[0] === ZERO_BLOCK_CRC);
    const hole = frames[zeros];
    assert.ok(hole !== undefined);
    for (const wrong of [
      frames.with(at, { ...frame, seqs: frame.seqs.map((seq) => seq + 1n) }),
      frames.with(at, { ...frame, epochs: frame.epochs.map((epoch) => epoch + 1) }),
      frames.with(zeros, { ...hole, crc32c: [], unchanged: true }),
    ]) {
      await assert.rejects(fetchedOf(t, wrong, versions), isError('EPROTO'));
    }
  });

  it('that are too few are used, but are no answer', async (t) => {
    const frames = await honest();
    const target = await sending(t, frames.slice(0, -1));
    const arrived: number[] = [];
    await assert.rejects(
      newClient(t).read(target, CALL, ({ blockFirst }) => arrived.push(blockFirst)),
      isError('ENODATA', 'boris sent fewer blocks than it was asked for'),
    );
    assert.deepEqual(
      arrived,
      frames.slice(0, -1).map(({ blockFirst }) => blockFirst),
    );
  });
});

/** False for a peer that is not reached; what else a call fails with is thrown. */
function isAway(error: unknown): boolean {
  assert.ok(isError('EHOSTUNREACH')(error), String(error));
  return false;
}

describe('a call to another peer', () => {
  const silent = {
    read: () => undefined,
    write: () => undefined,
    cut: () => undefined,
    sync: () => undefined,
    describe: () => undefined,
  };
  const range = { offset: 0, data: Buffer.from('x') };

  it('is given up when nothing comes back, whatever it is', async (t) => {
    const target = await scripted(t, silent);
    const client = newClient(t, 40);
    const unreached = isError(
      'EHOSTUNREACH',
      `boris at ${target.address} does not answer (for 0.0`,
    );
    await assert.rejects(fetchedBy(client, target, CALL), unreached);
    await assert.rejects(client.write(target, CALL, [range]), unreached);
    await assert.rejects(client.cut(target, { ...CALL, size: 0 }), unreached);
    // A slow disk has more time: six times as much.
    await assert.rejects(client.sync(target, CALL), isError('EHOSTUNREACH', 'for 0.24 s'));
    await assert.rejects(client.describe(target.address), isError('EHOSTUNREACH', 'the peer at'));
  });

  it('is given up when nothing more comes, and the other side hears of it', async (t) => {
    const [first] = await honest();
    assert.ok(first !== undefined);
    const cancelled = deferred<void>();
    const read = (call: ReadCall): void => {
      call.on('cancelled', () => cancelled.resolve());
      call.write(first);
    };
    const target = await scripted(t, { read });
    const arrived: number[] = [];
    await assert.rejects(
      newClient(t, 200).read(target, CALL, ({ blockFirst }) => arrived.push(blockFirst)),
      isError('EHOSTUNREACH', 'for 0.2 s'),
    );
    assert.deepEqual(arrived, [2]);
    await cancelled.promise;
  });

  it('goes on as long as there is progress', async (t) => {
    const frames = await honest();
    const idleMs = 600;
    const read = (call: ReadCall): void => {
      const left = [...frames];
      const timer = setInterval(() => {
        const frame = left.shift();
        if (frame !== undefined) call.write(frame);
        else {
          clearInterval(timer);
          call.end();
        }
      }, idleMs / 4);
    };
    const target = await scripted(t, { read });
    assert.ok(frames.length > 4);
    assert.equal((await fetchedBy(newClient(t, idleMs), target, CALL)).sent.length, 9);
  });

  it('ends at once with its signal, before it begins too', async (t) => {
    const cancelled = deferred<void>();
    const sync = (call: ServerUnaryCall<unknown, unknown>): void => {
      call.on('cancelled', () => cancelled.resolve());
      stop.abort();
    };
    const target = await scripted(t, { ...silent, sync });
    const client = newClient(t);
    const stop = new AbortController();
    const givenUp = isError('ETIMEDOUT', 'a call to boris was given up');
    await assert.rejects(client.sync(target, CALL, stop.signal), givenUp);
    await cancelled.promise;
    await assert.rejects(fetchedBy(client, target, CALL, stop.signal), givenUp);
    await assert.rejects(client.write(target, CALL, [range], stop.signal), givenUp);
    assert.equal(client.bytesSent, 0);
  });

  it('hands on nothing more once it was given up, whenever that is', async (t) => {
    const random = Random.fromEnvironment();
    t.diagnostic(`SEED=${random.seed}`);
    const target = await sending(t, await honest());
    const client = newClient(t);
    const moments: readonly ((act: () => void) => void)[] = [
      (act) => act(),
      queueMicrotask,
      (act) => setImmediate(act),
    ];
    for (let round = 0; round < 30; round += 1) {
      const stop = new AbortController();
      const at = 1 + random.below(7);
      const whenever = random.pick(moments);
      let count = 0;
      let late = 0;
      const reading = client.read(
        target,
        CALL,
        () => {
          count += 1;
          if (stop.signal.aborted) late += 1;
          if (count === at) whenever(() => stop.abort());
        },
        stop.signal,
      );
      await reading.catch((error: unknown) => assert.ok(isError('ETIMEDOUT')(error)));
      // What was under way on the connection has arrived when this is refused.
      await client.describe(target.address).catch(() => undefined);
      assert.equal(late, 0, `round ${round}`);
    }
  });

  it('fails with what its receiver of blocks throws', async (t) => {
    const target = await sending(t, await honest());
    const reading = newClient(t).read(target, CALL, () => {
      throw new FsError('ENOSPC', 'no room for blocks');
    });
    await assert.rejects(reading, isError('ENOSPC', 'no room for blocks'));
  });

  it('says when nobody listens, and reaches the peer that comes there later', async (t) => {
    const nobody = await deserted();
    const client = newClient(t);
    const startMs = performance.now();
    await assert.rejects(client.sync(nobody, CALL), isError('EHOSTUNREACH', 'carl at 127.0.0.1:'));
    await assert.rejects(fetchedBy(client, nobody, CALL), isError('EHOSTUNREACH'));
    await assert.rejects(client.write(nobody, CALL, [range]), isError('EHOSTUNREACH'));
    assert.ok(performance.now() - startMs < 9_000, 'without waiting for progress');
    const port = Number(nobody.address.split(':')[1]);
    await scripted(
      t,
      { sync: (_: unknown, answer: sendUnaryData<object>) => answer(null, {}) },
      port,
    );
    const isReached = (): Promise<boolean> => client.sync(nobody, CALL).then(() => true, isAway);
    while (!(await isReached())) await nextTurns(1);
  });

  it('takes a refusal without an errno for a fault of the call', async (t) => {
    const refusing = (_: unknown, answer: sendUnaryData<unknown>): void =>
      answer({ code: 3, details: 'what is this' }, null);
    const target = await scripted(t, { sync: refusing });
    const client = newClient(t);
    await assert.rejects(client.sync(target, CALL), isError('EIO', 'what is this'));
    await assert.rejects(client.cut(target, { ...CALL, size: 0 }), isError('EIO', 'UNIMPLEMENTED'));
  });
});
