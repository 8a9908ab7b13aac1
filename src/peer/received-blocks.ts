/** Frames of blocks as another peer sent them, looked at before they are used (H8 in PROTOCOL.md). */
import type { ChunkReadFrame } from '../../gen/peer.ts';
import { native } from '../../native/index.ts';
import { FsError } from '../common/errno.ts';
import { BLOCK_BYTES } from '../common/ids.ts';
import type { BlockRun, BlockVersions } from './chunk-store.ts';
import { ZERO_BLOCK_CRC } from './core/chunk-state.ts';

export interface ReceivedBlocks {
  readonly blockFirst: number;
  readonly count: number;
  /** One entry a block, as the checksums. */
  readonly versions: BlockVersions;
  /** CRC32C over each whole block; empty when unchanged. */
  readonly crcs: Uint32Array;
  /** What it lacks at its end counts as zeros. */
  readonly data: Uint8Array;
  /** The caller's versions are still right: no data. */
  readonly unchanged: boolean;
}

/** What was asked for, and how much of it has come. */
export interface AskedBlocks {
  readonly run: BlockRun;
  /** What the caller holds, one entry a block of the run. */
  readonly have: BlockVersions | undefined;
  /** The first block that is still to come. */
  readonly next: number;
}

/** @throws FsError EPROTO not what was asked for, EIO damaged on the way */
export function checkFrame(frame: ChunkReadFrame, asked: AskedBlocks): ReceivedBlocks {
  const { blockFirst, crc32c, data, epochs, seqs, unchanged } = frame;
  const count = seqs.length;
  const fits = count > 0 && blockFirst === asked.next && blockFirst + count <= asked.run.blockEnd;
  const whole = epochs.length === count && data.length <= count * BLOCK_BYTES;
  const summed = unchanged ? data.length === 0 : crc32c.length === count;
  const versions = { epochs: Uint32Array.from(epochs), seqs: Float64Array.from(seqs, Number) };
  const named = versions.seqs.every(Number.isSafeInteger);
  const right = unchanged ? isHeld(versions, asked) : areZeros(versions, crc32c);
  if (!(fits && whole && summed && named && right)) {
    throw new FsError('EPROTO', `blocks from ${blockFirst} on are not what was asked for`);
  }
  const crcs = Uint32Array.from(crc32c);
  if (!unchanged && crcs.some((crc, at) => crc !== crcOf(data, at))) {
    throw new FsError('EIO', `blocks from ${blockFirst} on were damaged on the way`);
  }
  return { blockFirst, count, versions, crcs, data, unchanged };
}

/** The caller holds these blocks in these versions. */
function isHeld({ epochs, seqs }: BlockVersions, { have, next, run }: AskedBlocks): boolean {
  const from = next - run.blockFirst;
  return seqs.every(
    (seq, at) =>
      seq !== 0 && have?.seqs[from + at] === seq && have.epochs[from + at] === epochs[at],
  );
}

/** What has no version reads as zeros. */
function areZeros({ seqs }: BlockVersions, crcs: readonly number[]): boolean {
  return seqs.every((seq, at) => seq !== 0 || crcs[at] === ZERO_BLOCK_CRC);
}

function crcOf(data: Uint8Array, block: number): number {
  const start = block * BLOCK_BYTES;
  if (start >= data.length) return ZERO_BLOCK_CRC;
  if (start + BLOCK_BYTES <= data.length) return native.crc32c(0, data, start, BLOCK_BYTES);
  const padded = new Uint8Array(BLOCK_BYTES);
  padded.set(data.subarray(start));
  return native.crc32c(0, padded, 0, BLOCK_BYTES);
}
