/**
 * Blocks of other peers' files on this disk (docs/FORMAT.md, "The cache"): sparse files in a
 * folder of their own, so that evicting can never touch the bytes this peer answers for, and a
 * record a chunk. A record is put after its bytes and checked against them at the first read of
 * a block in a process life: no crash, and no rot, makes the cache hand out other bytes.
 *
 * What goes first is the chunk used longest ago. Bytes on disk are counted as the disk counts.
 */
import { mkdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../common/clock.ts';
import { systemCode } from '../common/errno.ts';
import { CHUNK_BYTES, type Ino } from '../common/ids.ts';
import { deferred, delay, TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { CacheFiles } from './cache-files.ts';
import { type CacheDatabase, CacheIndex } from './cache-index.ts';
import { CacheReader, coveredBy } from './cache-reader.ts';
import { CacheSpace } from './cache-space.ts';
import { removeStrays } from './cache-strays.ts';
import { CacheWriter, planPut } from './cache-writer.ts';
import { type CachedChunk, CachedChunks, CHUNKS_MAX } from './cached-chunks.ts';
import type { CacheStatus, ChunkCache, FetchedBlocks, HeldBlocks } from './chunk-cache.ts';
import type { BlockRun, BlockVersions } from './chunk-store.ts';
import type { CachedBlocks } from './core/cached-blocks.ts';
import type { FileIo } from './file-io.ts';

/** One call evicts at most so many; the next goes on. */
const EVICTED_AT_ONCE = 256;
const EVICTED_WHEN_FULL = 16;
const TRIM_MS = 1_000;
/** An opening waits so long for the records; it goes on without, and they follow. */
const LOAD_MS = 2_000;
const CLOSE_MS = 2_000;

export interface DiskChunkCacheOptions {
  /** The folder of the backing files; made when it is missing. */
  readonly dir: string;
  readonly records: CacheDatabase;
  readonly io: FileIo;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: 20 GiB, or a tenth of a smaller disk. 0: nothing is kept. */
  readonly limitBytes?: number | undefined;
  readonly chunksMax?: number;
}

export class DiskChunkCache implements ChunkCache, AsyncDisposable {
  readonly #options: DiskChunkCacheOptions;
  readonly #log: Logger;
  /** Undefined: there is no disk to keep anything on. */
  readonly #space: CacheSpace | undefined;
  readonly #files: CacheFiles;
  readonly #index: CacheIndex;
  readonly #reader: CacheReader;
  readonly #writer: CacheWriter;
  readonly #chunks: CachedChunks;
  /** Dropped while the records were still being listed; undefined at all other times. */
  #dropped: Set<Ino> | undefined;
  readonly #stop = new AbortController();
  readonly #tasks: TaskGroup;
  #isReady = false;

  private constructor(options: DiskChunkCacheOptions, space: CacheSpace | undefined) {
    const { dir, io, log, records } = options;
    this.#options = options;
    this.#log = log;
    this.#space = space;
    this.#files = new CacheFiles({ dir, io, log });
    this.#index = new CacheIndex(records, log);
    this.#reader = new CacheReader(this.#files);
    this.#writer = new CacheWriter(this.#files);
    this.#chunks = new CachedChunks(this.#index);
    this.#tasks = new TaskGroup((error) => log.warn('work of the cache ended', { error }));
  }

  /** Lists what earlier lives kept, for up to 2 s; the rest of it follows. Never fails. */
  static async open(options: DiskChunkCacheOptions): Promise<DiskChunkCache> {
    const { dir, log } = options;
    const cache = new DiskChunkCache(options, measure(options));
    if (cache.#space === undefined) return cache;
    const loaded = deferred<void>();
    cache.#tasks.run(async () => {
      try {
        await cache.#load(cache.#space?.limitBytes ?? 0);
      } finally {
        loaded.resolve();
      }
      await removeStrays(dir, cache.#files, cache.#stop.signal);
    });
    cache.#tasks.run(() => cache.#trimLoop());
    if (!(await atMost(loaded.promise, LOAD_MS))) log.info('the cache is still being listed');
    return cache;
  }

  held(ino: Ino, chunk: number): HeldBlocks | undefined {
    const entry = this.#find(ino, chunk);
    return entry && this.#blocksOf(entry)?.held();
  }

  read(ino: Ino, offset: number, target: Uint8Array, versions: BlockVersions): boolean {
    const { chunk, blockFirst, blockEnd } = coveredBy(offset, target.length);
    const entry = this.#find(ino, chunk);
    const blocks = entry && this.#blocksOf(entry);
    if (entry === undefined || blocks === undefined) return false;
    for (let block = blockFirst; block < blockEnd; block += 1) {
      if (!(blocks.isHeld(block) && blocks.matches(block, versions, block))) return false;
    }
    try {
      const wrong = this.#reader.read({ ino, blocks, offset, target });
      if (wrong !== undefined) {
        this.#log.info('a cached block does not match its checksum', { ino, chunk, block: wrong });
        blocks.forget(wrong);
        this.#record(entry, blocks);
        return false;
      }
    } catch (error) {
      this.#log.info('a cached chunk cannot be read', { ino, chunk, error });
      this.#evict(entry);
      return false;
    }
    this.#chunks.touch(entry);
    return true;
  }

  put(ino: Ino, run: BlockRun, fetched: FetchedBlocks): void {
    if (!this.#isReady) return;
    try {
      this.#put(ino, run, fetched);
    } catch (error) {
      this.#log.info('a chunk was not cached', { ino, chunk: run.chunk, error });
      if (systemCode(error) !== 'ENOSPC') return;
      for (let count = 0; count < EVICTED_WHEN_FULL; count += 1) this.#evictOldest();
    }
  }

  drop(inos: readonly Ino[]): void {
    for (const ino of inos) {
      this.#dropped?.add(ino);
      if (this.#chunks.deleteFile(ino)) this.#files.remove(ino);
    }
  }

  status(): CacheStatus {
    return { bytes: this.#files.bytes, limitBytes: this.#space?.limitBytes ?? 0 };
  }

  /** Nothing is kept or found afterwards. Waits for what is under way, for up to 2 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#isReady = false;
    this.#dropped = undefined;
    await atMost(this.#settle(), CLOSE_MS);
    this.#files.closeAll();
  }

  async #settle(): Promise<void> {
    await this.#tasks.settle();
    await this.#files.settle();
    await this.#index.settle();
  }

  async #load(limitBytes: number): Promise<void> {
    const chunksMax = limitBytes === 0 ? 0 : this.#chunksMax;
    const dropped = new Set<Ino>();
    this.#dropped = dropped;
    let missing: Ino | undefined;
    for await (const place of this.#index.chunks()) {
      if (this.#stop.signal.aborted) return;
      const isWanted = this.#chunks.size < chunksMax && place.ino !== missing;
      if (isWanted && this.#adopt(place.ino)) {
        this.#chunks.adopt(place);
        continue;
      }
      if (isWanted) missing = place.ino;
      this.#index.set(place, undefined);
    }
    this.#isReady = limitBytes > 0;
    this.#dropped = undefined;
    this.drop([...dropped]);
  }

  /** @returns false when the file is gone */
  #adopt(ino: Ino): boolean {
    try {
      return this.#chunks.hasFile(ino) || this.#files.adopt(ino);
    } catch (error) {
      this.#log.info('a cached file cannot be read', { ino, error });
      return false;
    }
  }

  #put(ino: Ino, run: BlockRun, fetched: FetchedBlocks): void {
    const { chunk } = run;
    const known = this.#find(ino, chunk);
    if (known !== undefined) this.#chunks.touch(known);
    const plan = planPut(known && this.#blocksOf(known), run, fetched);
    if (plan.stretches.length === 0 && plan.zeros.length === 0) return;
    if (!this.#makeRoom(plan.bytes)) return;
    const entry = this.#find(ino, chunk) ?? this.#make(ino, chunk);
    const blocks = entry && this.#blocksOf(entry);
    if (entry === undefined || blocks === undefined) return;
    try {
      this.#writer.write({ ino, blocks }, { run, fetched, plan });
    } finally {
      this.#record(entry, blocks);
    }
    // A filesystem may take more than the bytes it was given.
    this.#makeRoom(0);
  }

  /** @returns undefined while an older file of this inode is being removed */
  #make(ino: Ino, chunk: number): CachedChunk | undefined {
    while (this.#chunks.size >= this.#chunksMax) this.#evictOldest();
    if (!(this.#chunks.hasFile(ino) || this.#files.create(ino))) return undefined;
    return this.#chunks.make({ ino, chunk });
  }

  get #chunksMax(): number {
    return this.#options.chunksMax ?? CHUNKS_MAX;
  }

  #find(ino: Ino, chunk: number): CachedChunk | undefined {
    return this.#isReady ? this.#chunks.find(ino, chunk) : undefined;
  }

  /** @returns undefined when the record was lost; then the chunk is gone too */
  #blocksOf(entry: CachedChunk): CachedBlocks | undefined {
    const blocks = this.#chunks.blocksOf(entry);
    if (blocks === undefined) this.#evict(entry);
    return blocks;
  }

  #record(entry: CachedChunk, blocks: CachedBlocks): void {
    if (blocks.isEmpty) this.#evict(entry);
    else this.#index.set(entry, blocks);
  }

  /** @returns whether `bytes` more may be taken now */
  #makeRoom(bytes: number): boolean {
    for (let count = 0; count < EVICTED_AT_ONCE; count += 1) {
      if (this.#files.bytes + bytes <= this.#allowance()) return true;
      if (!this.#evictOldest()) return false;
    }
    return this.#files.bytes + bytes <= this.#allowance();
  }

  /** What cannot be measured does not grow. */
  #allowance(): number {
    const { bytes } = this.#files;
    try {
      return this.#space?.allowance(bytes) ?? 0;
    } catch (error) {
      this.#log.info('the disk of the cache cannot be measured', { error });
      return bytes;
    }
  }

  #evictOldest(): boolean {
    const oldest = this.#chunks.oldest();
    if (oldest === undefined) return false;
    this.#evict(oldest);
    return true;
  }

  /** What is gone already stays so: its place may be another's by now. */
  #evict(entry: CachedChunk): void {
    const { chunk, ino } = entry;
    if (this.#chunks.find(ino, chunk) !== entry) return;
    const isLast = this.#chunks.delete(entry);
    try {
      this.#files.punch(ino, chunk * CHUNK_BYTES, CHUNK_BYTES);
    } catch (error) {
      this.#log.info('a cached chunk still takes space', { ino, chunk, error });
    }
    if (isLast) this.#files.remove(ino);
  }

  /** Gives room back to whoever fills the disk, though nothing is put. */
  async #trimLoop(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await delay(TRIM_MS, signal);
      while (this.#isReady && this.#chunks.size > 0 && !this.#makeRoom(0)) await setImmediate();
    }
  }
}

/** Makes the folder, and looks at its disk; undefined when either cannot be done. */
function measure(options: DiskChunkCacheOptions): CacheSpace | undefined {
  const { dir, io, clock, limitBytes, log } = options;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return new CacheSpace({ dir, io, clock, limitBytes });
  } catch (error) {
    log.warn('nothing is cached: there is no place for it', { dir, error });
    return undefined;
  }
}

/** @returns false when `ms` milliseconds passed before */
async function atMost(work: Promise<void>, ms: number): Promise<boolean> {
  const wait = new AbortController();
  try {
    const late = delay(ms, wait.signal).then(() => false);
    return await Promise.race([work.then(() => true), late]);
  } finally {
    wait.abort();
  }
}
