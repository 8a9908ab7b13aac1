import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type ChunkServiceClient, ChunkServiceService } from '../../../gen/peer.ts';
import { asClusterId, BLOCK_BYTES, BLOCKS_PER_CHUNK } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { JsonLogger } from '../../../src/common/log.ts';
import { dialPeer } from '../../../src/common/rpc/channel.ts';
import { RpcServer, type ServedService } from '../../../src/common/rpc/server.ts';
import type { ChunkCache } from '../../../src/peer/chunk-cache.ts';
import {
  ChunkClient,
  type PeerTarget,
  type ReadCall,
  type ReceivedBlocks,
} from '../../../src/peer/chunk-client.ts';
import { ChunkListener } from '../../../src/peer/chunk-listener.ts';
import { ChunkService } from '../../../src/peer/chunk-service.ts';
import type { BlockVersions } from '../../../src/peer/chunk-store.ts';
import { NODE } from '../../support/store-helpers.ts';
import { CacheFixture } from './cache-fixture.ts';
import { FILE, HomeFixture, right } from './home-fixture.ts';

export const CLUSTER = asClusterId('cc'.repeat(16));
/** The data version and group epoch of what is cached in these tests. */
export const KNOWN = { dv: 3, rgEpoch: 77 };
export const LOOPBACK = { host: '127.0.0.1', port: 0 };
export const WHOLE = { chunk: 0, blockFirst: 0, blockEnd: BLOCKS_PER_CHUNK };

export interface Fetched {
  readonly frames: readonly ReceivedBlocks[];
  /** The blocks that came with bytes. */
  readonly sent: readonly number[];
  /** One entry a block of the run. */
  readonly versions: BlockVersions;
  /** Of the whole run; what came without bytes is zeros. */
  readonly bytes: Buffer;
}

/** A home in memory behind a real server on the loopback interface, and a client of it. */
export class ChunkFixture {
  readonly homeSide: HomeFixture;
  readonly cache: ChunkCache;
  readonly service: ChunkService;
  readonly client: ChunkClient;
  readonly target: PeerTarget;
  /** A client of the same server that checks nothing. */
  readonly raw: ChunkServiceClient;
  /** What the service took for a bug. */
  readonly bugs: string[];
  /** Versions of cached blocks that this node knows at KNOWN. */
  known: BlockVersions | undefined;

  private constructor(
    parts: Pick<ChunkFixture, 'bugs' | 'cache' | 'client' | 'homeSide' | 'raw' | 'service'> & {
      readonly port: number;
    },
  ) {
    this.homeSide = parts.homeSide;
    this.cache = parts.cache;
    this.service = parts.service;
    this.client = parts.client;
    this.raw = parts.raw;
    this.bugs = parts.bugs;
    this.target = { nodeId: NODE, name: 'anna', address: `127.0.0.1:${parts.port}` };
  }

  static async open(t: TestContext, stalledMs?: number): Promise<ChunkFixture> {
    const homeSide = new HomeFixture();
    homeSide.home.created(FILE);
    const cached = await CacheFixture.open();
    t.after(() => cached.close());
    const bugs: string[] = [];
    let fixture: ChunkFixture | undefined;
    const service = new ChunkService({
      home: homeSide.home,
      cache: cached.cache,
      clusterId: CLUSTER,
      nodeId: NODE,
      knownVersions: (_ino, { dv, rgEpoch }) =>
        dv === KNOWN.dv && rgEpoch === KNOWN.rgEpoch ? fixture?.known : undefined,
      log: JsonLogger.create('test', 'error', (line) => bugs.push(line)),
      ...(stalledMs !== undefined && { stalledMs }),
    });
    const listener = new ChunkListener([service.served]);
    t.after(() => listener[Symbol.asyncDispose]());
    const { port } = await listener.listen(LOOPBACK);
    const raw = dialPeer(`127.0.0.1:${port}`);
    t.after(() => raw.close());
    const { cache } = cached;
    fixture = new ChunkFixture({
      homeSide,
      cache,
      service,
      client: newClient(t),
      raw,
      bugs,
      port,
    });
    return fixture;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.client.write(this.target, { right: right(0), ino: FILE }, [{ offset, data }]);
  }

  read(call: Partial<ReadCall> = {}, signal?: AbortSignal): Promise<Fetched> {
    const whole = { right: right(0), ino: FILE, run: WHOLE, ...call };
    return fetchedBy(this.client, this.target, whole, signal);
  }
}

export function newClient(t: TestContext, idleMs?: number): ChunkClient {
  const client = new ChunkClient({
    clusterId: CLUSTER,
    bootMs: () => 1,
    ...(idleMs !== undefined && { idleMs }),
  });
  t.after(() => client[Symbol.asyncDispose]());
  return client;
}

/** All that a call brings, in order. */
export async function fetchedBy(
  client: ChunkClient,
  target: PeerTarget,
  call: ReadCall,
  signal?: AbortSignal,
): Promise<Fetched> {
  const { blockEnd, blockFirst } = call.run;
  const frames: ReceivedBlocks[] = [];
  const sent: number[] = [];
  const versions = {
    epochs: new Uint32Array(blockEnd - blockFirst),
    seqs: new Float64Array(blockEnd - blockFirst),
  };
  const bytes = Buffer.alloc((blockEnd - blockFirst) * BLOCK_BYTES);
  await client.read(
    target,
    call,
    (blocks) => {
      const at = blocks.blockFirst - blockFirst;
      versions.epochs.set(blocks.versions.epochs, at);
      versions.seqs.set(blocks.versions.seqs, at);
      bytes.set(blocks.data, at * BLOCK_BYTES);
      for (let from = 0; from < blocks.data.length; from += BLOCK_BYTES) {
        sent.push(blocks.blockFirst + from / BLOCK_BYTES);
      }
      frames.push(blocks);
    },
    signal,
  );
  return { frames, sent, versions, bytes };
}

/** A server of the same service that does as a test says. */
export async function scripted(
  t: TestContext,
  handlers: ServedService['handlers'],
  port = 0,
): Promise<PeerTarget> {
  const server = await RpcServer.bindTcp({ ...LOOPBACK, port }, [
    { definition: ChunkServiceService, handlers },
  ]);
  t.after(() => server[Symbol.asyncDispose]());
  return { nodeId: NODE, name: 'boris', address: `127.0.0.1:${server.port}` };
}

/** An address where nobody listens. */
export async function deserted(): Promise<PeerTarget> {
  const server = await RpcServer.bindTcp(LOOPBACK, []);
  const address = `127.0.0.1:${server.port}`;
  await server[Symbol.asyncDispose]();
  return { nodeId: NODE, name: 'carl', address };
}

/** The event loop turns until it is so; a test's own bound ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    const turn = deferred<void>();
    setTimeout(() => turn.resolve(), 1);
    await turn.promise;
  }
}

export function assertSame(seen: Buffer, expected: Buffer, what: string): void {
  assert.equal(seen.length, expected.length, what);
  assert.ok(seen.equals(expected), what);
}
