/**
 * Calls to the chunk services of other peers. Each call is one attempt; one that makes no progress
 * for 10 s is given up, so a peer that hangs is as bad as one that is gone, and no worse.
 */
import { Metadata } from '@grpc/grpc-js';
import type {
  ChunkReadFrame,
  ChunkReadRequest,
  ChunkServiceClient,
  ChunkWriteFrame,
  CutReply,
  PeerDescribeReply,
  ReserveReply,
  SyncReply,
} from '../../gen/peer.ts';
import { FsError } from '../common/errno.ts';
import type { ClusterId, Ino, NodeId } from '../common/ids.ts';
import { deferred } from '../common/lifecycle.ts';
import type { BlockRun, BlockVersions, FileRight, WrittenRange } from './chunk-store.ts';
import type { SpaceAsk } from './core/grants.ts';
import { Attempt } from './peer-call-client.ts';
import { PeerConnections } from './peer-connections.ts';
import { promisedOf, rangeChecksum, rightToWire } from './peer-wire.ts';
import { checkFrame, type ReceivedBlocks } from './received-blocks.ts';

export type { ReceivedBlocks } from './received-blocks.ts';

/** A peer and where it is dialled. */
export interface PeerTarget {
  readonly nodeId: NodeId;
  readonly name: string;
  /** HOST:PORT */
  readonly address: string;
}

export interface FileCall {
  readonly right: FileRight;
  readonly ino: Ino;
}

export interface ReadCall extends FileCall {
  readonly run: BlockRun;
  /** What the caller holds, one entry a block: unchanged blocks come without bytes. */
  readonly have?: BlockVersions;
  /** Of a peer that is not the home: what it has cached of this data version. */
  readonly cachedDv?: number;
}

export interface ChunkClientOptions {
  readonly clusterId: ClusterId;
  readonly bootMs: () => number;
  /** Without progress for so long an attempt is given up, milliseconds. */
  readonly idleMs?: number;
}

const IDLE_MS = 10_000;
const SYNC_TIMES = 6;

interface AttemptPatience {
  readonly signal: AbortSignal | undefined;
  /** How many idle bounds it may go without progress. */
  readonly times?: number;
}

/**
 * All methods: @throws FsError EHOSTUNREACH the peer does not answer · ETIMEDOUT `signal` was
 * aborted · EIO damaged on the way · what the peer refuses with
 */
export class ChunkClient implements AsyncDisposable {
  readonly #options: ChunkClientOptions;
  readonly #connections: PeerConnections;
  #bytesFetched = 0;
  #bytesSent = 0;

  constructor(options: ChunkClientOptions) {
    this.#options = options;
    this.#connections = new PeerConnections(options);
  }

  /** File bytes that came from other peers. */
  get bytesFetched(): number {
    return this.#bytesFetched;
  }

  /** File bytes sent to other peers. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Hands on blocks as they arrive, in order. */
  async read(
    target: PeerTarget,
    call: ReadCall,
    onBlocks: (blocks: ReceivedBlocks) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const request = this.#readRequest(target, call);
    let expected = call.run.blockFirst;
    await this.#attempt(target, { signal }, (client, attempt) => {
      const stream = client.read(request);
      attempt.onGivenUp(() => stream.cancel());
      stream.on('data', (frame: ChunkReadFrame) => {
        try {
          const blocks = checkFrame(frame, { run: call.run, have: call.have, next: expected });
          this.#bytesFetched += blocks.data.length;
          expected += blocks.count;
          onBlocks(blocks);
          attempt.progress();
        } catch (error) {
          attempt.fail(error);
        }
      });
      stream.on('error', (error) => attempt.fail(error));
      stream.on('end', () => attempt.done());
    });
    if (expected < call.run.blockEnd) {
      throw new FsError('ENODATA', `${target.name} sent fewer blocks than it was asked for`);
    }
  }

  /**
   * All ranges are applied, in order, once all of them have arrived undamaged. What the store of
   * the peer refuses (ENOSPC, EIO) leaves those before it applied.
   */
  async write(
    target: PeerTarget,
    { right, ino }: FileCall,
    ranges: Iterable<WrittenRange>,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#attempt(target, { signal }, (client, attempt) => {
      const stream = client.write(new Metadata(), (error) => {
        if (error === null) attempt.done();
        else attempt.fail(error);
      });
      attempt.onGivenUp(() => stream.cancel());
      // Reported through the callback.
      stream.on('error', () => undefined);
      const header = { right: rightToWire(right, this.#identity(target)), ino: BigInt(ino) };
      stream.write({ body: { $case: 'header', value: header } });
      const left = ranges[Symbol.iterator]();
      const fill = (): void => {
        while (!attempt.isOver) {
          const next = left.next();
          if (next.done === true) {
            stream.end();
            return;
          }
          attempt.progress();
          this.#bytesSent += next.value.data.length;
          if (stream.write(dataFrame(ino, next.value))) continue;
          stream.once('drain', fillOrFail);
          return;
        }
      };
      const fillOrFail = (): void => {
        try {
          fill();
        } catch (error) {
          attempt.fail(error);
        }
      };
      fillOrFail();
    });
  }

  /** The metaserver has made cut `right.cuts`, to `size`; so has the peer when it resolves. */
  async cut(
    target: PeerTarget,
    { right, ino, size }: FileCall & { readonly size: number },
    signal?: AbortSignal,
  ): Promise<void> {
    const file = { right: rightToWire(right, this.#identity(target)), ino: BigInt(ino) };
    await this.#unary<CutReply>(target, { signal }, (client, answer) =>
      client.cut({ ...file, size: BigInt(size) }, answer),
    );
  }

  /** Everything written before is on stable storage when it resolves. */
  async sync(target: PeerTarget, { right, ino }: FileCall, signal?: AbortSignal): Promise<void> {
    const file = { right: rightToWire(right, this.#identity(target)), ino: BigInt(ino) };
    // A disk may take its time; pings tell when the peer itself is gone.
    const patience = { signal, times: SYNC_TIMES };
    await this.#unary<SyncReply>(target, patience, (client, answer) => client.sync(file, answer));
  }

  /** Space for what the session of `right` is going to send. @returns what it is promised now */
  async reserve(
    target: PeerTarget,
    call: { readonly right: FileRight; readonly ask: SpaceAsk },
    signal?: AbortSignal,
  ): Promise<number> {
    const { neededBytes, wantedBytes } = call.ask;
    const request = {
      right: rightToWire(call.right, this.#identity(target)),
      bytesNeeded: BigInt(neededBytes),
      bytesWanted: BigInt(wantedBytes),
    };
    const reply = await this.#unary<ReserveReply>(target, { signal }, (client, answer) =>
      client.reserve(request, answer),
    );
    return promisedOf(reply, call.ask);
  }

  /** Who answers at the address. */
  async describe(
    address: string,
    signal?: AbortSignal,
  ): Promise<{ readonly clusterId: string; readonly nodeId: string }> {
    const reply = await this.#unary<PeerDescribeReply>(
      { name: 'the peer', address },
      { signal },
      (client, answer) => client.describe({}, answer),
    );
    return {
      clusterId: Buffer.from(reply.clusterId).toString('hex'),
      nodeId: Buffer.from(reply.nodeId).toString('hex'),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connections.closeAll();
  }

  #identity({ nodeId }: PeerTarget): { clusterId: ClusterId; nodeId: NodeId } {
    return { clusterId: this.#options.clusterId, nodeId };
  }

  #readRequest(
    target: PeerTarget,
    { right, ino, run, have, cachedDv }: ReadCall,
  ): ChunkReadRequest {
    return {
      right: rightToWire(right, this.#identity(target)),
      ino: BigInt(ino),
      chunk: BigInt(run.chunk),
      blockFirst: run.blockFirst,
      blockEnd: run.blockEnd,
      haveEpochs: have === undefined ? [] : Array.from(have.epochs),
      haveSeqs: have === undefined ? [] : Array.from(have.seqs, BigInt),
      cached: cachedDv !== undefined,
      dv: BigInt(cachedDv ?? 0),
    };
  }

  async #unary<Reply>(
    target: Pick<PeerTarget, 'name' | 'address'>,
    patience: AttemptPatience,
    call: (
      client: ChunkServiceClient,
      answer: (error: Error | null, reply: Reply) => void,
    ) => { cancel(): void },
  ): Promise<Reply> {
    const answered = deferred<Reply>();
    await this.#attempt(target, patience, (client, attempt) => {
      const running = call(client, (error, reply) => {
        if (error !== null) {
          attempt.fail(error);
          return;
        }
        answered.resolve(reply);
        attempt.done();
      });
      attempt.onGivenUp(() => running.cancel());
    });
    return answered.promise;
  }

  async #attempt(
    target: Pick<PeerTarget, 'name' | 'address'>,
    { signal, times = 1 }: AttemptPatience,
    start: (client: ChunkServiceClient, attempt: Attempt) => void,
  ): Promise<void> {
    const { client, release } = this.#connections.take(target.address);
    const idleMs = times * (this.#options.idleMs ?? IDLE_MS);
    const attempt = new Attempt({ target, idleMs, signal });
    try {
      if (!attempt.isOver) start(client, attempt);
      await attempt.outcome;
    } finally {
      attempt.done();
      release();
    }
  }
}

function dataFrame(ino: Ino, range: WrittenRange): ChunkWriteFrame {
  const { data } = range;
  const offset = BigInt(range.offset);
  const crc32c = rangeChecksum(BigInt(ino), offset, data);
  const bytesPromised = BigInt(range.promisedBytes ?? 0);
  return { body: { $case: 'data', value: { offset, data, crc32c, bytesPromised } } };
}
