/**
 * Which chunks the cache has: found by inode and number, ordered by their last use, with the
 * versions of those in use in memory and of all others in the index. Knows nothing of bytes.
 */
import { LRUCache } from 'lru-cache';
import { assert } from '../common/assert.ts';
import type { Ino } from '../common/ids.ts';
import type { CacheIndex, ChunkKey } from './cache-index.ts';
import { CachedBlocks } from './core/cached-blocks.ts';

/** About 300 bytes of memory each. */
export const CHUNKS_MAX = 262_144;
/** Chunks whose versions are in memory, about 1.3 KiB each. */
const TABLES_MAX = 4_096;

export interface CachedChunk extends ChunkKey {
  /** Undefined: in the index only. */
  blocks: CachedBlocks | undefined;
}

export class CachedChunks {
  readonly #index: CacheIndex;
  readonly #files = new Map<Ino, Map<number, CachedChunk>>();
  /** All of them, by their last use. */
  readonly #recent: LRUCache<CachedChunk, CachedChunk>;
  /** Those whose versions are in memory. */
  readonly #tables: LRUCache<CachedChunk, CachedChunk>;

  constructor(index: CacheIndex) {
    this.#index = index;
    // Bounded by its owner, and not by `max`, for which it would take the memory of all of them now.
    this.#recent = new LRUCache({ maxSize: 2 * CHUNKS_MAX, sizeCalculation: () => 1 });
    this.#tables = new LRUCache({
      max: TABLES_MAX,
      dispose: (entry) => {
        entry.blocks = undefined;
      },
    });
  }

  get size(): number {
    return this.#recent.size;
  }

  hasFile(ino: Ino): boolean {
    return this.#files.has(ino);
  }

  find(ino: Ino, chunk: number): CachedChunk | undefined {
    return this.#files.get(ino)?.get(chunk);
  }

  /** Takes over what the index has. */
  adopt({ ino, chunk }: ChunkKey): CachedChunk {
    const entry: CachedChunk = { ino, chunk, blocks: undefined };
    const file = this.#files.get(ino) ?? new Map<number, CachedChunk>();
    this.#files.set(ino, file);
    file.set(chunk, entry);
    this.#recent.set(entry, entry);
    return entry;
  }

  /** One without any block. */
  make(place: ChunkKey): CachedChunk {
    const entry = this.adopt(place);
    entry.blocks = new CachedBlocks();
    this.#tables.set(entry, entry);
    return entry;
  }

  /** It was used now. */
  touch(entry: CachedChunk): void {
    this.#recent.get(entry);
  }

  /** The one used longest ago. */
  oldest(): CachedChunk | undefined {
    const next = this.#recent.rkeys().next();
    return next.done === true ? undefined : next.value;
  }

  /** Undefined when the record was lost. */
  blocksOf(entry: CachedChunk): CachedBlocks | undefined {
    if (this.#tables.get(entry) === undefined) {
      entry.blocks = this.#index.get(entry);
      if (entry.blocks !== undefined) this.#tables.set(entry, entry);
    }
    return entry.blocks;
  }

  /** Its record goes too. @returns whether it was the last chunk of its file */
  delete(entry: CachedChunk): boolean {
    const file = this.#files.get(entry.ino);
    assert(
      file?.get(entry.chunk) === entry,
      `chunk ${entry.chunk} of ino=${entry.ino} is not here`,
    );
    this.#recent.delete(entry);
    this.#tables.delete(entry);
    this.#index.set(entry, undefined);
    file.delete(entry.chunk);
    if (file.size > 0) return false;
    this.#files.delete(entry.ino);
    return true;
  }

  /** @returns whether it was here */
  deleteFile(ino: Ino): boolean {
    const entries = [...(this.#files.get(ino)?.values() ?? [])];
    for (const entry of entries) this.delete(entry);
    return entries.length > 0;
  }
}
