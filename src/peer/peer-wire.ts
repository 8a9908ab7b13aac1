/**
 * Checked translation of chunk service messages: what another peer sends is doubted field by
 * field, and every doubt is an FsError.
 */
import type * as wire from '../../gen/peer.ts';
import { native } from '../../native/index.ts';
import { FILE_BYTES_MAX } from '../common/attr.ts';
import { FsError } from '../common/errno.ts';
import {
  asEpoch,
  asGroupId,
  asIno,
  asSessionId,
  BLOCKS_PER_CHUNK,
  CHUNK_BYTES,
  type ClusterId,
  type Ino,
  type NodeId,
} from '../common/ids.ts';
import type { BlockRun, BlockVersions, FileRight, WrittenRange } from './chunk-store.ts';
import type { SpaceAsk } from './core/grants.ts';

/** Who is meant by a call. */
export interface PeerIdentity {
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
}

const EPOCH_MAX = 2 ** 32 - 1;
export const WRITE_BYTES_MAX = 1024 * 1024;

function integer(value: bigint, what: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FsError('EINVAL', `${what} is out of range: ${value}`);
  }
  return Number(value);
}

function positive(value: bigint, what: string): number {
  const number = integer(value, what);
  if (number === 0) throw new FsError('EINVAL', `${what} is missing`);
  return number;
}

export function inoOf(value: bigint): Ino {
  return asIno(positive(value, 'an ino'));
}

export function sizeOf(value: bigint): number {
  const size = integer(value, 'a size');
  if (size > FILE_BYTES_MAX) throw new FsError('EINVAL', `a size is out of range: ${size}`);
  return size;
}

/** @throws FsError ESTALE another peer was meant, EINVAL */
export function rightOf(right: wire.DataRight | undefined, self: PeerIdentity): FileRight {
  if (right === undefined) throw new FsError('EINVAL', 'the right is missing');
  const clusterId = Buffer.from(right.clusterId).toString('hex');
  const nodeId = Buffer.from(right.nodeId).toString('hex');
  if (clusterId !== self.clusterId || nodeId !== self.nodeId) {
    throw new FsError('ESTALE', `this is peer ${self.nodeId} of cluster ${self.clusterId}`);
  }
  const rgEpoch = positive(right.rgEpoch, 'a group epoch');
  if (rgEpoch > EPOCH_MAX) throw new FsError('EINVAL', 'a group epoch is out of range');
  return {
    sid: asSessionId(integer(right.sid, 'a session id')),
    sepoch: asEpoch(integer(right.sepoch, 'a session epoch')),
    lseq: integer(right.lseq, 'a lease sequence'),
    rg: asGroupId(positive(right.rg, 'a group')),
    rgEpoch: asEpoch(rgEpoch),
    cuts: integer(right.cuts, 'a number of cuts'),
  };
}

export function rightToWire(right: FileRight, target: PeerIdentity): wire.DataRight {
  return {
    clusterId: Buffer.from(target.clusterId, 'hex'),
    nodeId: Buffer.from(target.nodeId, 'hex'),
    sid: BigInt(right.sid),
    sepoch: BigInt(right.sepoch),
    lseq: BigInt(right.lseq),
    rg: BigInt(right.rg),
    rgEpoch: BigInt(right.rgEpoch),
    cuts: BigInt(right.cuts),
  };
}

/** @throws FsError EINVAL */
export function runOf(request: wire.ChunkReadRequest): BlockRun {
  const { blockEnd, blockFirst } = request;
  const chunk = integer(request.chunk, 'a chunk number');
  if (blockFirst >= blockEnd || blockEnd > BLOCKS_PER_CHUNK) {
    throw new FsError('EINVAL', `blocks ${blockFirst} to ${blockEnd} are not in a chunk`);
  }
  if (chunk * CHUNK_BYTES > FILE_BYTES_MAX) {
    throw new FsError('EINVAL', `a chunk number is out of range: ${chunk}`);
  }
  return { chunk, blockFirst, blockEnd };
}

export function dvOf(request: wire.ChunkReadRequest): number {
  return integer(request.dv, 'a data version');
}

/** The versions the caller holds, one a block of the run; undefined when it names none. */
export function haveOf(request: wire.ChunkReadRequest, run: BlockRun): BlockVersions | undefined {
  const { haveEpochs, haveSeqs } = request;
  if (haveEpochs.length === 0 && haveSeqs.length === 0) return undefined;
  const count = run.blockEnd - run.blockFirst;
  if (haveEpochs.length !== count || haveSeqs.length !== count) {
    throw new FsError('EINVAL', 'as many versions as blocks are named, or none');
  }
  return {
    epochs: Uint32Array.from(haveEpochs),
    seqs: Float64Array.from(haveSeqs, (seq) => integer(seq, 'a version')),
  };
}

/** Of a written range: it belongs to this place, and nowhere else. */
export function rangeChecksum(ino: bigint, offset: bigint, data: Uint8Array): number {
  const place = Buffer.alloc(16);
  place.writeBigUInt64BE(ino, 0);
  place.writeBigUInt64BE(offset, 8);
  return native.crc32c(native.crc32c(0, place, 0, place.length), data, 0, data.length);
}

/** @throws FsError EINVAL */
export function askOf({ bytesNeeded, bytesWanted }: wire.ReserveRequest): SpaceAsk {
  const neededBytes = integer(bytesNeeded, 'an amount of space');
  const wantedBytes = integer(bytesWanted, 'an amount of space');
  if (wantedBytes < neededBytes) throw new FsError('EINVAL', 'less space is wanted than is needed');
  return { neededBytes, wantedBytes };
}

/** What a home answers to `ask`. @throws FsError EPROTO */
export function promisedOf({ bytes }: wire.ReserveReply, ask: SpaceAsk): number {
  if (bytes >= BigInt(ask.neededBytes) && bytes <= BigInt(ask.wantedBytes)) return Number(bytes);
  throw new FsError('EPROTO', `${bytes} bytes were promised, ${ask.neededBytes} are needed`);
}

/** @throws FsError EINVAL */
export function rangeOf(data: wire.ChunkWriteData): WrittenRange {
  const offset = integer(data.offset, 'an offset');
  if (data.data.length > WRITE_BYTES_MAX) throw new FsError('EINVAL', 'a range is over 1 MiB');
  if (offset + data.data.length > FILE_BYTES_MAX) {
    throw new FsError('EINVAL', `a range ends too far out: ${offset}`);
  }
  const promisedBytes = integer(data.bytesPromised, 'an amount of space');
  if (promisedBytes > data.data.length) throw new FsError('EINVAL', 'more is promised than sent');
  return { offset, data: data.data, promisedBytes };
}
