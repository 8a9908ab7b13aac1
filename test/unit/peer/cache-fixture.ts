import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '../../../native/index.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { BLOCK_BYTES, BLOCKS_PER_CHUNK } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { CacheDatabase } from '../../../src/peer/cache-index.ts';
import type { FetchedBlocks } from '../../../src/peer/chunk-cache.ts';
import type { BlockVersions } from '../../../src/peer/chunk-store.ts';
import { DiskChunkCache } from '../../../src/peer/disk-chunk-cache.ts';
import { type FileIo, hostFileIo } from '../../../src/peer/file-io.ts';
import { LevelIndex } from '../../../src/peer/level-index.ts';

/** An evicted file may go between its listing and the look at it. */
const GONE = { throwIfNoEntry: false } as const;

export const BLOCK = BLOCK_BYTES;

export interface CacheFixtureOptions {
  readonly limitBytes?: number | undefined;
  readonly chunksMax?: number;
  readonly io?: FileIo;
}

/** What a block holds in a version; never the same in two. Seq 0 is zeros. */
export function content(seq: number): Buffer {
  const bytes = Buffer.alloc(BLOCK, seq === 0 ? 0 : 1 + (seq % 255));
  bytes.writeUInt32LE(seq, 100);
  return bytes;
}

/** Blocks of these versions in epoch 1, one after another. */
export function fetched(seqs: readonly number[]): FetchedBlocks {
  const data = Buffer.concat(seqs.map(content));
  const crcs = seqs.map((_, at) => native.crc32c(0, data, at * BLOCK, BLOCK));
  const epochs = Uint32Array.from(seqs, (seq) => (seq === 0 ? 0 : 1));
  return {
    versions: { epochs, seqs: Float64Array.from(seqs) },
    crcs: Uint32Array.from(crcs),
    data,
  };
}

/** Versions of a whole chunk that begins with these. */
export function chunkVersions(seqs: readonly number[]): BlockVersions {
  const versions = {
    epochs: new Uint32Array(BLOCKS_PER_CHUNK),
    seqs: new Float64Array(BLOCKS_PER_CHUNK),
  };
  versions.seqs.set(seqs);
  versions.epochs.set(seqs.map((seq) => (seq === 0 ? 0 : 1)));
  return versions;
}

/** A cache on a temporary folder that can be ended and started again; its clock stands still. */
export class CacheFixture {
  readonly dir: string;
  readonly clock = new ManualClock();
  readonly #options: CacheFixtureOptions;
  #cache: DiskChunkCache | undefined;
  #index: LevelIndex | undefined;

  private constructor(dir: string, options: CacheFixtureOptions) {
    this.dir = dir;
    this.#options = options;
  }

  static async open(options: CacheFixtureOptions = {}): Promise<CacheFixture> {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-cache-'));
    await LevelIndex.create(join(dir, 'index'));
    const fixture = new CacheFixture(dir, options);
    await fixture.start();
    return fixture;
  }

  get cache(): DiskChunkCache {
    assert.ok(this.#cache, 'the cache is open');
    return this.#cache;
  }

  get records(): CacheDatabase {
    assert.ok(this.#index, 'the index is open');
    return this.#index.cacheRecords();
  }

  pathOf(ino: number): string {
    const hex = (Math.floor(ino / 256) % 65_536).toString(16).padStart(4, '0');
    return join(this.dir, 'cache', hex.slice(0, 2), hex.slice(2), String(ino));
  }

  /** What the files of the cache take, as the disk counts. */
  allocated(): number {
    const entries = readdirSync(join(this.dir, 'cache'), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const blocks = files.map(
      (file) => statSync(join(file.parentPath, file.name), GONE)?.blocks ?? 0,
    );
    return blocks.reduce((sum, count) => sum + count * 512, 0);
  }

  async start(options: CacheFixtureOptions = this.#options): Promise<void> {
    this.#index = await LevelIndex.open(join(this.dir, 'index'));
    this.#cache = await DiskChunkCache.open({
      dir: join(this.dir, 'cache'),
      records: this.#index.cacheRecords(),
      io: hostFileIo,
      limitBytes: 2 ** 40,
      ...options,
      clock: this.clock,
      log: silentLogger,
    });
  }

  async stop(): Promise<void> {
    await this.#cache?.[Symbol.asyncDispose]();
    await this.#index?.[Symbol.asyncDispose]();
  }

  async reopen(options: CacheFixtureOptions = this.#options): Promise<DiskChunkCache> {
    await this.stop();
    await this.start(options);
    return this.cache;
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
