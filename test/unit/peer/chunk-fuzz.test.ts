/** Whatever another machine sends, the chunk service refuses it in words, and serves the next. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { type ServiceError, status } from '@grpc/grpc-js';
import {
  ChunkReadRequest,
  ChunkServiceService,
  ChunkWriteFrame,
  CutRequest,
  type DataRight,
  ReserveRequest,
  SyncRequest,
} from '../../../gen/peer.ts';
import { isErrnoName } from '../../../src/common/errno.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { rangeChecksum, rightToWire } from '../../../src/peer/peer-wire.ts';
import { Random } from '../../support/random.ts';
import { NODE } from '../../support/store-helpers.ts';
import { ChunkFixture, CLUSTER } from './chunk-fixture.ts';
import { FILE, right } from './home-fixture.ts';

const ROUNDS = 1_000;
const DATA = Buffer.from('some bytes');
const same = (bytes: Buffer): Buffer => bytes;

/** Numbers at the edges of what fields hold. */
const NUMBERS = [0n, 1n, 2n, 63n, 64n, 65n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n];
const WORDS = [0, 1, 2, 63, 64, 65, 2 ** 31, 2 ** 32 - 1];

class Garbage {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Messages of one call, in bytes. */
  messages(method: string): Buffer[] {
    const random = this.#random;
    const count = method === 'write' ? random.below(5) : 1;
    const wanted = Array.from({ length: count }, (_, at) => this.#encoded(method, at));
    return wanted.map((bytes) => (random.chance(0.3) ? this.#damaged(bytes) : bytes));
  }

  #encoded(method: string, at: number): Buffer {
    const file = { right: this.#right(), ino: this.#number(BigInt(FILE)) };
    switch (method) {
      case 'read':
        return Buffer.from(ChunkReadRequest.encode(this.#readRequest(file)).finish());
      case 'cut':
        return Buffer.from(CutRequest.encode({ ...file, size: this.#number(5n) }).finish());
      case 'write':
        return Buffer.from(ChunkWriteFrame.encode(this.#writeFrame(file, at)).finish());
      case 'reserve': {
        const amounts = { bytesNeeded: this.#number(1n), bytesWanted: this.#number(2n) };
        const request = { right: file.right, ...amounts };
        return Buffer.from(ReserveRequest.encode(request).finish());
      }
      default:
        return Buffer.from(SyncRequest.encode(file).finish());
    }
  }

  #readRequest(file: Pick<ChunkReadRequest, 'right' | 'ino'>): ChunkReadRequest {
    const random = this.#random;
    const count = random.pick([0, 0, 2, 3]);
    return {
      ...file,
      chunk: this.#number(0n),
      blockFirst: this.#word(0),
      blockEnd: this.#word(2),
      haveEpochs: Array.from({ length: count }, () => this.#word(1)),
      haveSeqs: Array.from({ length: random.chance(0.9) ? count : 1 }, () => this.#number(1n)),
      cached: random.chance(0.2),
      dv: this.#number(3n),
    };
  }

  #writeFrame(file: Pick<ChunkReadRequest, 'right' | 'ino'>, at: number): ChunkWriteFrame {
    const random = this.#random;
    if (random.chance(0.05)) return { body: undefined };
    const isHeader = random.chance(0.9) === (at === 0);
    if (isHeader) return { body: { $case: 'header', value: file } };
    const offset = this.#number(0n);
    const crc32c = random.chance(0.9) ? rangeChecksum(file.ino, offset, DATA) : this.#word(0);
    return {
      body: {
        $case: 'data',
        value: { offset, data: DATA, crc32c, bytesPromised: this.#number(0n) },
      },
    };
  }

  #right(): DataRight | undefined {
    const random = this.#random;
    if (random.chance(0.05)) return undefined;
    const wire = rightToWire(right(0), { clusterId: CLUSTER, nodeId: NODE });
    return {
      clusterId: random.chance(0.95) ? wire.clusterId : random.bytes(random.below(20)),
      nodeId: random.chance(0.95) ? wire.nodeId : random.bytes(random.below(20)),
      sid: this.#number(wire.sid),
      sepoch: this.#number(wire.sepoch),
      lseq: this.#number(0n),
      rg: this.#number(wire.rg),
      rgEpoch: this.#number(wire.rgEpoch),
      cuts: this.#number(wire.cuts),
    };
  }

  #number(usual: bigint): bigint {
    return this.#random.chance(0.9) ? usual : this.#random.pick(NUMBERS);
  }

  #word(usual: number): number {
    return this.#random.chance(0.85) ? usual : this.#random.pick(WORDS);
  }

  #damaged(bytes: Buffer): Buffer {
    const random = this.#random;
    if (random.chance(0.2)) return random.bytes(random.below(60));
    const damaged = Buffer.from(bytes.subarray(0, bytes.length - random.below(3)));
    for (let left = random.below(3); left > 0 && damaged.length > 0; left -= 1) {
      damaged[random.below(damaged.length)] = random.below(256);
    }
    return damaged;
  }
}

/** @returns how the call ended: `done`, an errno, or the status of the wire itself */
function sent(fixture: ChunkFixture, method: string, messages: readonly Buffer[]): Promise<string> {
  const { raw } = fixture;
  const outcome = deferred<string>();
  const done = (error: ServiceError | null): void => {
    if (error === null) {
      outcome.resolve('done');
      return;
    }
    const errno = error.metadata.get('x-fs-errno')[0];
    outcome.resolve(isErrnoName(errno) ? errno : (status[error.code] ?? String(error.code)));
  };
  const [first = Buffer.alloc(0)] = messages;
  if (method === 'read') {
    const call = raw.makeServerStreamRequest(ChunkServiceService.read.path, same, same, first);
    call.on('data', () => undefined);
    call.on('error', done);
    call.on('end', () => done(null));
  } else if (method === 'write') {
    const { path } = ChunkServiceService.write;
    const call = raw.makeClientStreamRequest(path, same, same, done);
    call.on('error', () => undefined);
    for (const message of messages) call.write(message);
    call.end();
  } else {
    const { cut, reserve, sync } = ChunkServiceService;
    const unary = new Map([
      ['cut', cut.path],
      ['reserve', reserve.path],
    ]);
    const path = unary.get(method) ?? sync.path;
    raw.makeUnaryRequest(path, same, same, first, done);
  }
  return outcome.promise;
}

test('calls of random fields and bytes are refused in words', async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  const fixture = await ChunkFixture.open(t);
  const garbage = new Garbage(random);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const method = random.pick(['read', 'write', 'cut', 'sync', 'reserve']);
    const outcome = await sent(fixture, method, garbage.messages(method));
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    assert.deepEqual(fixture.bugs, [], `${method} in round ${round}`);
  }
  t.diagnostic([...outcomes].map(([name, count]) => `${name} ${count}`).join(', '));
  const refused = ['EINVAL', 'ESTALE', 'EIO', 'ENODATA', 'ENOLCK', 'EFBIG', 'ENOSPC', 'INTERNAL'];
  const known = new Set(['done', ...refused]);
  assert.deepEqual(
    [...outcomes.keys()].filter((name) => !known.has(name)),
    [],
  );
  for (const name of ['done', 'EINVAL', 'ESTALE']) assert.ok((outcomes.get(name) ?? 0) > 20, name);
  await fixture.client.describe(fixture.target.address);
});

test('connections that speak something else are ended, and disturb nobody', async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  const fixture = await ChunkFixture.open(t);
  const [host, port] = fixture.target.address.split(':');
  for (let round = 0; round < 40; round += 1) {
    const ended = deferred<void>();
    const socket = net.connect(Number(port), host);
    socket.on('error', () => undefined);
    socket.on('close', () => ended.resolve());
    socket.resume();
    if (random.chance(0.5)) socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.end(random.bytes(1 + random.below(3_000)));
    await ended.promise;
  }
  await fixture.client.describe(fixture.target.address);
  assert.deepEqual(fixture.bugs, []);
});
