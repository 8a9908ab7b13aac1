/**
 * One transfer of blocks of a chunk from its home: whoever waits for a part of it is answered as
 * soon as that part is here, not when all of it is.
 */
import type { FsError } from '../../common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES } from '../../common/ids.ts';
import { type Deferred, deferred } from '../../common/lifecycle.ts';
import type { BlockRun } from '../../peer/chunk-store.ts';
import type { DataVersion } from './known-versions.ts';

/** Bytes of the file wanted in `target`. */
export interface Wanted {
  readonly offset: number;
  readonly target: Uint8Array;
}

/** 'again': a block was said to be unchanged, and is not here any more. */
type Outcome = 'filled' | 'again';

interface Waiting extends Wanted {
  readonly done: Deferred<Outcome>;
  leftBytes: number;
  broken: boolean;
}

/** Blocks that arrived: `fill` puts bytes of them into a target, false when it cannot. */
export interface Arrived {
  readonly blockFirst: number;
  readonly count: number;
  fill(offset: number, target: Uint8Array): boolean;
}

export class BlockFetch {
  readonly run: BlockRun;
  /** What the file was when the home was asked: the bytes are not older. */
  #version: DataVersion;
  #arrivedEnd: number;
  #waiting: Waiting[] = [];

  constructor(run: BlockRun, version: DataVersion) {
    this.run = run;
    this.#version = version;
    this.#arrivedEnd = run.blockFirst;
  }

  /** It brings blocks of this chunk as they are at this version, or later. */
  brings(chunk: number, { dv, rgEpoch }: DataVersion): boolean {
    const { dv: asked, rgEpoch: askedEpoch } = this.#version;
    return chunk === this.run.chunk && dv === asked && rgEpoch === askedEpoch;
  }

  /** Everything wanted is still to come. */
  offers(run: BlockRun, version: DataVersion): boolean {
    return (
      this.brings(run.chunk, version) &&
      run.blockFirst >= this.#arrivedEnd &&
      run.blockEnd <= this.run.blockEnd
    );
  }

  wait({ offset, target }: Wanted): Promise<Outcome> {
    const done = deferred<Outcome>();
    this.#waiting.push({ offset, target, leftBytes: target.length, broken: false, done });
    return done.promise;
  }

  arrived(blocks: Arrived): void {
    const base = this.run.chunk * CHUNK_BYTES;
    const start = base + blocks.blockFirst * BLOCK_BYTES;
    const end = start + blocks.count * BLOCK_BYTES;
    this.#arrivedEnd = blocks.blockFirst + blocks.count;
    for (const waiting of this.#waiting) {
      const from = Math.max(start, waiting.offset);
      const to = Math.min(end, waiting.offset + waiting.target.length);
      if (to <= from) continue;
      const part = waiting.target.subarray(from - waiting.offset, to - waiting.offset);
      if (!blocks.fill(from, part)) waiting.broken = true;
      waiting.leftBytes -= to - from;
      if (waiting.leftBytes === 0) waiting.done.resolve(waiting.broken ? 'again' : 'filled');
    }
    this.#waiting = this.#waiting.filter((waiting) => waiting.leftBytes > 0);
  }

  /** The transfer is tried again from its start. */
  restart(version: DataVersion): void {
    this.#version = version;
    this.#arrivedEnd = this.run.blockFirst;
    for (const waiting of this.#waiting) {
      waiting.leftBytes = waiting.target.length;
      waiting.broken = false;
    }
  }

  end(error: FsError | undefined): void {
    for (const { done } of this.#waiting) {
      if (error === undefined) done.resolve('again');
      else done.reject(error);
    }
    this.#waiting = [];
  }
}
