/**
 * What the peer knows of its chunks, apart from their bytes: a claim per sealed chunk.
 * A chunk without a claim is open, its bytes on disk count. Claims may be lost in a crash of the
 * machine, never the withdrawal of one: `openChunks` and `removeFiles` are durable when they
 * resolve, `putSealed` need not be.
 */
import type { Ino } from '../common/ids.ts';
import type { BlockTable } from './core/chunk-state.ts';
import type { ChunkRange } from './core/touched.ts';

export interface OpenedChunks {
  readonly chunks: readonly number[];
  readonly range: ChunkRange;
}

export interface ChunkIndex {
  /** Undefined for an open chunk. The caller owns the result. */
  getSealed(ino: Ino, chunk: number): BlockTable | undefined;
  putSealed(ino: Ino, chunk: number, blocks: BlockTable): Promise<void>;
  openChunks(ino: Ino, opened: OpenedChunks): Promise<void>;
  removeFiles(inos: readonly Ino[]): Promise<void>;
}
