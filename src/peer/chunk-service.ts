/**
 * The chunk service: other peers read, write, cut and sync files whose home this is, and read
 * blocks of others that are cached here. Bounded: a call holds at most 64 MiB, few run at a time.
 */
import { once } from 'node:events';
import {
  Metadata,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import * as wire from '../../gen/peer.ts';
import { FsError, toFsError } from '../common/errno.ts';
import type { Epoch, Ino } from '../common/ids.ts';
import { within } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ServedService } from '../common/rpc/server.ts';
import { WIRE_VERSION } from '../common/rpc/wire-version.ts';
import { cacheFrames, homeFrames } from './block-frames.ts';
import type { ChunkCache } from './chunk-cache.ts';
import type { BlockRun, BlockVersions, WrittenRange } from './chunk-store.ts';
import type { Home } from './home.ts';
import {
  askOf,
  dvOf,
  haveOf,
  inoOf,
  type PeerIdentity,
  rangeChecksum,
  rangeOf,
  rightOf,
  runOf,
  sizeOf,
} from './peer-wire.ts';

const CALLS_MAX = 64;
/** What one write call may hold until its end. */
const WRITE_CALL_BYTES_MAX = 64 * 1024 * 1024;

export interface ChunkServiceOptions extends PeerIdentity {
  readonly home: Home;
  readonly cache: ChunkCache;
  /** Versions of a chunk's blocks at a data version, where all of the run are known. */
  knownVersions(
    ino: Ino,
    of: { readonly dv: number; readonly rgEpoch: Epoch },
    run: BlockRun,
  ): BlockVersions | undefined;
  readonly log: Logger;
  /** A caller that neither takes nor gives anything this long is given up, milliseconds. */
  readonly stalledMs?: number;
}

const STALLED_MS = 30_000;

interface Written {
  readonly header: wire.ChunkWriteHeader;
  readonly ranges: readonly WrittenRange[];
}

type ReadCall = ServerWritableStream<wire.ChunkReadRequest, wire.ChunkReadFrame>;
type WriteCall = ServerReadableStream<wire.ChunkWriteFrame, wire.ChunkWriteReply>;

/** How an FsError travels: the errno name beside the sentence. */
function refusal(error: FsError): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  metadata.set('x-fs-errno', error.code);
  return { code: status.ABORTED, details: error.message, metadata };
}

export class ChunkService {
  readonly #options: ChunkServiceOptions;
  #calls = 0;
  #bytesServed = 0;

  constructor(options: ChunkServiceOptions) {
    this.#options = options;
  }

  /** File bytes sent to other peers since the start. */
  get bytesServed(): number {
    return this.#bytesServed;
  }

  get served(): ServedService {
    const handlers: wire.ChunkServiceServer = {
      describe: (_call, answer) => answer(null, this.#describe()),
      read: (call) => {
        this.#run(
          () => this.#read(call),
          (error) => call.emit('error', refusal(error)),
        );
      },
      write: (call, answer) => this.#unary(answer, () => this.#write(call)),
      cut: (call, answer) => this.#unary(answer, () => this.#cut(call)),
      sync: (call, answer) => this.#unary(answer, () => this.#sync(call)),
      reserve: (call, answer) => this.#unary(answer, () => this.#reserve(call)),
    };
    return { definition: wire.ChunkServiceService, handlers };
  }

  get #stalledMs(): number {
    return this.#options.stalledMs ?? STALLED_MS;
  }

  #describe(): wire.PeerDescribeReply {
    const { clusterId, nodeId } = this.#options;
    return {
      clusterId: Buffer.from(clusterId, 'hex'),
      nodeId: Buffer.from(nodeId, 'hex'),
      wireVersion: WIRE_VERSION,
    };
  }

  #unary<Reply extends object>(answer: sendUnaryData<Reply>, work: () => Promise<Reply>): void {
    this.#run(
      async () => answer(null, await work()),
      (error) => answer(refusal(error), null),
    );
  }

  /** Every failure reaches the caller as an FsError; what is not one is a bug, and logged. */
  #run(work: () => Promise<void>, fail: (error: FsError) => void): void {
    if (this.#calls >= CALLS_MAX) {
      fail(new FsError('EAGAIN', `this peer serves ${CALLS_MAX} calls already`));
      return;
    }
    this.#calls += 1;
    work()
      .catch((error: unknown) => {
        if (!(error instanceof FsError)) this.#options.log.error('a call failed', { error });
        fail(toFsError(error, 'the peer failed on this call, its log says how'));
      })
      .finally(() => {
        this.#calls -= 1;
      });
  }

  async #read(call: ReadCall): Promise<void> {
    const { cache, home } = this.#options;
    const { request } = call;
    const run = runOf(request);
    const right = rightOf(request.right, this.#options);
    const wanted = { right, ino: inoOf(request.ino), run, have: haveOf(request, run) };
    if (!request.cached) {
      await this.#send(call, homeFrames(home, wanted));
      return;
    }
    const of = { dv: dvOf(request), rgEpoch: right.rgEpoch };
    const versions = this.#options.knownVersions(wanted.ino, of, run);
    if (versions === undefined) throw new FsError('ENODATA', 'these blocks are not known here');
    await this.#send(call, cacheFrames(cache, wanted, versions));
  }

  async #send(call: ReadCall, frames: AsyncIterable<wire.ChunkReadFrame>): Promise<void> {
    for await (const frame of frames) {
      if (call.cancelled) return;
      this.#bytesServed += frame.data.length;
      if (!call.write(frame)) await drained(call, this.#stalledMs);
    }
    call.end();
  }

  /** Nothing is applied before all of it has arrived undamaged. */
  async #write(call: WriteCall): Promise<wire.ChunkWriteReply> {
    const written = await this.#received(call);
    const right = rightOf(written.header.right, this.#options);
    const ino = inoOf(written.header.ino);
    for (const range of written.ranges) await this.#options.home.write(right, ino, range);
    return {};
  }

  async #received(call: WriteCall): Promise<Written> {
    const timer = setTimeout(() => call.destroy(), this.#stalledMs);
    try {
      return await collect(call, () => timer.refresh());
    } catch (error) {
      if (error instanceof FsError) throw error;
      throw new FsError('EINTR', 'the caller gave up', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  async #cut({ request }: ServerUnaryCall<wire.CutRequest, wire.CutReply>): Promise<wire.CutReply> {
    const right = rightOf(request.right, this.#options);
    await this.#options.home.cutFor(right, inoOf(request.ino), sizeOf(request.size));
    return {};
  }

  async #sync({
    request,
  }: ServerUnaryCall<wire.SyncRequest, wire.SyncReply>): Promise<wire.SyncReply> {
    await this.#options.home.sync(rightOf(request.right, this.#options), inoOf(request.ino));
    return {};
  }

  async #reserve({
    request,
  }: ServerUnaryCall<wire.ReserveRequest, wire.ReserveReply>): Promise<wire.ReserveReply> {
    const right = rightOf(request.right, this.#options);
    return { bytes: BigInt(this.#options.home.reserve(right, askOf(request))) };
  }
}

async function collect(
  frames: AsyncIterable<wire.ChunkWriteFrame>,
  onFrame: () => void,
): Promise<Written> {
  const ranges: WrittenRange[] = [];
  let header: wire.ChunkWriteHeader | undefined;
  let bytes = 0;
  for await (const { body } of frames) {
    onFrame();
    if (body?.$case === 'header' && header === undefined) {
      header = body.value;
      continue;
    }
    if (body?.$case !== 'data' || header === undefined) {
      throw new FsError('EINVAL', 'a write is one header, then data');
    }
    const range = rangeOf(body.value);
    bytes += range.data.length;
    if (bytes > WRITE_CALL_BYTES_MAX) throw new FsError('E2BIG', 'a write call is over 64 MiB');
    const { crc32c, data, offset } = body.value;
    if (rangeChecksum(header.ino, offset, data) !== crc32c) {
      throw new FsError('EIO', 'a range was damaged on the way');
    }
    ranges.push(range);
  }
  if (header === undefined) throw new FsError('EINVAL', 'a write without a header');
  return { header, ranges };
}

/** The caller takes more, or is gone. */
async function drained(call: ReadCall, stalledMs: number): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const events = ['drain', 'cancelled', 'close'].map((event) => once(call, event, { signal }));
  try {
    await within(Promise.race(events), stalledMs, 'a reader of chunks');
  } finally {
    stop.abort();
    await Promise.allSettled(events);
  }
}
