/**
 * The peer's database, index/ of the state folder. Keys (docs/FORMAT.md):
 *
 *   'c' ino u64be chunk u64be -> ChunkRecord, only for sealed chunks
 *   'k' ino u64be chunk u64be -> CachedChunkRecord: the cache's (cache-index.ts)
 *   'm' name                  -> text: the store's own markers
 *
 * This process is the only one that has it open: the engine's own lock refuses a second.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';
import { ChunkRecord } from '../../gen/store.ts';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { BLOCKS_PER_CHUNK, type Ino, safeInteger } from '../common/ids.ts';
import type { CacheDatabase } from './cache-index.ts';
import type { ChunkIndex, OpenedChunks } from './chunk-index.ts';
import { type BlockTable, emptyBlockTable } from './core/chunk-state.ts';

const CHUNK_PREFIX = 0x63;
const KEY_BYTES = 17;
const PAGE_KEYS = 1_000;
const MAGIC = 'dfs-peer-index';
const FORMAT = 1;

/** Names of the markers. */
export type Marker = 'magic' | 'format' | 'clean' | 'owned';

type Database = Level<Buffer, Buffer>;

function chunkKey(ino: number, chunk: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key[0] = CHUNK_PREFIX;
  key.writeBigUInt64BE(BigInt(ino), 1);
  key.writeBigUInt64BE(BigInt(chunk), 9);
  return key;
}

const markerKey = (marker: Marker): Buffer => Buffer.from(`m${marker}`, 'latin1');

/** Blocks without data at the end are left out. */
function encodeTable(table: BlockTable): Buffer {
  let count = BLOCKS_PER_CHUNK;
  while (count > 0 && table.seqs[count - 1] === 0) count -= 1;
  const record: ChunkRecord = {
    sealed: true,
    crc32c: [...table.crcs.subarray(0, count)],
    rgEpochs: [...table.epochs.subarray(0, count)],
    rgSeqs: Array.from(table.seqs.subarray(0, count), BigInt),
  };
  return Buffer.from(ChunkRecord.encode(record).finish());
}

function decodeTable(bytes: Buffer): BlockTable | undefined {
  const record = ChunkRecord.decode(bytes);
  if (!record.sealed) return undefined;
  const table = emptyBlockTable();
  table.crcs.set(record.crc32c);
  table.epochs.set(record.rgEpochs);
  table.seqs.set(record.rgSeqs.map(safeInteger));
  return table;
}

function openError(error: unknown, dir: string): FsError {
  const cause = error instanceof Error ? error.cause : undefined;
  if (systemCode(cause) === 'LEVEL_LOCKED') {
    return new FsError('EBUSY', `the peer's index ${dir} is in use by another process`, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(error);
  return new FsError('EIO', `the peer's index ${dir} cannot be opened: ${reason}`, { cause });
}

export class LevelIndex implements ChunkIndex, AsyncDisposable {
  readonly #db: Database;
  #closed = false;

  private constructor(db: Database) {
    this.#db = db;
  }

  /** Makes an empty index. @throws FsError EEXIST when there is something at `dir` */
  static async create(dir: string): Promise<void> {
    if (existsSync(dir)) throw new FsError('EEXIST', `${dir} exists already`);
    await using index = new LevelIndex(await LevelIndex.#openDatabase(dir, true));
    await index.setMarkers({ magic: MAGIC, format: String(FORMAT), clean: '1', owned: '0' });
  }

  /** @throws FsError ENOENT missing, EINVAL foreign, EPROTO newer, EBUSY in use, EIO damaged */
  static async open(dir: string): Promise<LevelIndex> {
    if (!existsSync(join(dir, 'CURRENT'))) {
      throw new FsError('ENOENT', `there is no peer index at ${dir}`);
    }
    const index = new LevelIndex(await LevelIndex.#openDatabase(dir, false));
    try {
      index.#checkFormat(dir);
      return index;
    } catch (error) {
      await index[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #openDatabase(dir: string, create: boolean): Promise<Database> {
    const encodings = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;
    const db: Database = new Level<Buffer, Buffer>(dir, encodings);
    try {
      await db.open({ createIfMissing: create, errorIfExists: create });
      return db;
    } catch (error) {
      throw openError(error, dir);
    }
  }

  #checkFormat(dir: string): void {
    if (this.getMarker('magic') !== MAGIC) {
      throw new FsError('EINVAL', `${dir} is a database, but not the index of a dfs peer`);
    }
    const format = Number(this.getMarker('format'));
    if (format > FORMAT) {
      const message = `${dir} has format ${format}; this dfs knows ${FORMAT}, a newer one made it`;
      throw new FsError('EPROTO', message);
    }
    if (format !== FORMAT) throw new FsError('EINVAL', `${dir} has no valid format number`);
  }

  getMarker(marker: Marker): string | undefined {
    return this.#db.getSync(markerKey(marker))?.toString('latin1');
  }

  /** Durable when it resolves. */
  async setMarkers(markers: Partial<Record<Marker, string>>): Promise<void> {
    const puts = Object.entries(markers).map(([name, value]) => ({
      type: 'put' as const,
      key: Buffer.from(`m${name}`, 'latin1'),
      value: Buffer.from(value, 'latin1'),
    }));
    await this.#guard('set markers', () => this.#db.batch(puts, { sync: true }));
  }

  getSealed(ino: Ino, chunk: number): BlockTable | undefined {
    try {
      const bytes = this.#db.getSync(chunkKey(ino, chunk));
      return bytes === undefined ? undefined : decodeTable(bytes);
    } catch (error) {
      throw this.#failed(`read ino=${ino} chunk=${chunk}`, error);
    }
  }

  async putSealed(ino: Ino, chunk: number, blocks: BlockTable): Promise<void> {
    const value = encodeTable(blocks);
    await this.#guard(`seal ino=${ino} chunk=${chunk}`, () =>
      this.#db.put(chunkKey(ino, chunk), value),
    );
  }

  async openChunks(ino: Ino, opened: OpenedChunks): Promise<void> {
    const { first, end } = opened.range;
    const keys = opened.chunks.map((chunk) => chunkKey(ino, chunk));
    await this.#guard(`open chunks of ino=${ino}`, async () => {
      await this.#remove(keys);
      if (end > first) await this.#removeRange(chunkKey(ino, first), chunkKey(ino, end));
    });
  }

  async removeFiles(inos: readonly Ino[]): Promise<void> {
    await this.#guard(`remove ${inos.length} files`, async () => {
      let keys: Buffer[] = [];
      for (const ino of inos) {
        for await (const key of this.#db.keys({
          gte: chunkKey(ino, 0),
          lt: chunkKey(ino + 1, 0),
        })) {
          keys.push(key);
          if (keys.length < PAGE_KEYS) continue;
          await this.#remove(keys);
          keys = [];
        }
      }
      await this.#remove(keys);
    });
  }

  /** The same database, for the records of the cache; usable until this is closed. */
  cacheRecords(): CacheDatabase {
    return {
      getSync: (key) => this.#db.getSync(key),
      batch: (operations) => this.#db.batch(operations),
      keys: (range) => this.#db.keys(range),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#db.close();
  }

  async #removeRange(gte: Buffer, lt: Buffer): Promise<void> {
    for (;;) {
      const keys = await this.#db.keys({ gte, lt, limit: PAGE_KEYS }).all();
      await this.#remove(keys);
      if (keys.length < PAGE_KEYS) return;
    }
  }

  async #remove(keys: readonly Buffer[]): Promise<void> {
    if (keys.length === 0) return;
    const operations = keys.map((key) => ({ type: 'del' as const, key }));
    await this.#db.batch(operations, { sync: true });
  }

  async #guard(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw this.#failed(what, error);
    }
  }

  #failed(what: string, error: unknown): FsError {
    if (String(error).includes('No space left')) {
      return new FsError('ENOSPC', `the peer's index: ${what}`, { cause: error });
    }
    return toFsError(error, `the peer's index: ${what}`);
  }
}
