/** Cuts blocks into frames of at most 512 KiB; what the caller holds already goes without bytes. */
import type * as wire from '../../gen/peer.ts';
import { native } from '../../native/index.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../common/ids.ts';
import type { ChunkCache } from './chunk-cache.ts';
import type { BlockRun, BlockVersions, FileRight } from './chunk-store.ts';
import type { Home } from './home.ts';

const FRAME_BLOCKS = 8;
/** View by which zeros are looked for. */
const WORD_BYTES = 8;

export interface BlocksWanted {
  readonly right: FileRight;
  readonly ino: Ino;
  readonly run: BlockRun;
  /** What the caller holds, one entry a block. */
  readonly have: BlockVersions | undefined;
}

/** Some blocks and their versions, one entry each. */
interface Blocks {
  readonly blockFirst: number;
  readonly data: Uint8Array;
  readonly versions: BlockVersions;
}

type Kind = 'unchanged' | 'zeros' | 'data';

/** From the home: everything that was asked for. */
export async function* homeFrames(
  home: Home,
  wanted: BlocksWanted,
): AsyncIterable<wire.ChunkReadFrame> {
  const { right, ino, run } = wanted;
  for (let first = run.blockFirst; first < run.blockEnd; first += FRAME_BLOCKS) {
    const part = {
      ...run,
      blockFirst: first,
      blockEnd: Math.min(run.blockEnd, first + FRAME_BLOCKS),
    };
    const data = new Uint8Array((part.blockEnd - first) * BLOCK_BYTES);
    const versions = await home.read(right, ino, part, data);
    yield* framesOf({ blockFirst: first, data, versions }, wanted);
  }
}

/**
 * From a cache: the blocks it holds, up to the first that it does not.
 * @param versions of the whole chunk: what the blocks must be
 */
export async function* cacheFrames(
  cache: ChunkCache,
  { ino, run }: Pick<BlocksWanted, 'ino' | 'run'>,
  versions: BlockVersions,
): AsyncIterable<wire.ChunkReadFrame> {
  for (let block = run.blockFirst; block < run.blockEnd; block += 1) {
    const data = new Uint8Array(BLOCK_BYTES);
    const offset = run.chunk * CHUNK_BYTES + block * BLOCK_BYTES;
    if (!cache.read(ino, offset, data, versions)) return;
    const own = {
      epochs: versions.epochs.slice(block, block + 1),
      seqs: versions.seqs.slice(block, block + 1),
    };
    yield* framesOf({ blockFirst: block, data, versions: own }, { run, have: undefined });
  }
}

function* framesOf(
  blocks: Blocks,
  { run, have }: Pick<BlocksWanted, 'run' | 'have'>,
): Iterable<wire.ChunkReadFrame> {
  const { blockFirst, versions } = blocks;
  const count = versions.seqs.length;
  const kindOf = (at: number): Kind => {
    const seq = versions.seqs[at];
    if (seq === 0) return 'zeros';
    const index = blockFirst - run.blockFirst + at;
    const same = have?.seqs[index] === seq && have?.epochs[index] === versions.epochs[at];
    return same ? 'unchanged' : 'data';
  };
  for (let from = 0; from < count; ) {
    const kind = kindOf(from);
    let to = from + 1;
    while (to < count && kindOf(to) === kind) to += 1;
    yield frameOf(blocks, { from, to, kind });
    from = to;
  }
}

function frameOf(
  { blockFirst, data, versions }: Blocks,
  { from, to, kind }: { readonly from: number; readonly to: number; readonly kind: Kind },
): wire.ChunkReadFrame {
  const unchanged = kind === 'unchanged';
  const crcs: number[] = [];
  for (let at = from; at < to && !unchanged; at += 1) {
    crcs.push(native.crc32c(0, data, at * BLOCK_BYTES, BLOCK_BYTES));
  }
  return {
    blockFirst: blockFirst + from,
    epochs: Array.from(versions.epochs.subarray(from, to)),
    seqs: Array.from(versions.seqs.subarray(from, to), BigInt),
    crc32c: crcs,
    data:
      kind === 'data'
        ? withoutZerosAtEnd(data.subarray(from * BLOCK_BYTES, to * BLOCK_BYTES))
        : new Uint8Array(0),
    unchanged,
  };
}

/** Small files would travel as whole blocks otherwise. */
function withoutZerosAtEnd(data: Uint8Array): Uint8Array {
  const words = new BigUint64Array(data.buffer, data.byteOffset, data.length / WORD_BYTES);
  let end = words.length;
  while (end > 0 && words[end - 1] === 0n) end -= 1;
  return data.subarray(0, end * WORD_BYTES);
}
