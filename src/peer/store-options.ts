import type { Clock } from '../common/clock.ts';
import type { Logger } from '../common/log.ts';
import type { ChunkIndex } from './chunk-index.ts';
import type { FileIo } from './file-io.ts';
import type { OwnedBytes } from './owned-bytes.ts';

/** Bounds of what the store keeps in memory; reaching one costs time, never an error. */
export interface StoreLimits {
  readonly descriptorsMax: number;
  readonly filesMax: number;
  /** About 1.5 KiB each. */
  readonly chunksMax: number;
}

export const DEFAULT_LIMITS: StoreLimits = {
  descriptorsMax: 512,
  filesMax: 16_384,
  chunksMax: 16_384,
};

export interface StoreOptions {
  readonly dataDir: string;
  readonly index: ChunkIndex;
  readonly io: FileIo;
  readonly clock: Clock;
  readonly log: Logger;
  readonly owned: OwnedBytes;
  readonly limits: StoreLimits;
  /** What the cache takes of the same disk; none without. */
  readonly cachedBytes?: () => number;
}
