/**
 * The key-value store on LevelDB; the only importer of `level` here. A chained batch costs about
 * 1 us a key on this thread, an array batch ten times that.
 */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { Level } from 'level';
import { FsError, systemCode } from '../common/errno.ts';
import type { Epoch } from '../common/ids.ts';
import type { Writes } from './core/txn.ts';
import { EpochGate, type Kv, type KvEntry, type KvRange, type KvSnapshot } from './kv.ts';

type Database = Level<Buffer, Buffer>;
type Snapshot = ReturnType<Database['snapshot']>;

export interface LevelKvOptions {
  readonly directory: string;
  /** Makes the database; otherwise nothing at all is made when it is missing. */
  readonly create: boolean;
}

const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const CACHE_BYTES = 64 * 1024 * 1024;

const BYTES = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;

function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function openError(error: unknown, directory: string): FsError {
  const cause = causeOf(error);
  if (systemCode(cause) === 'LEVEL_LOCKED') {
    return new FsError('EBUSY', `${directory} is in use by another process`, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FsError('EIO', `cannot open the database ${directory}: ${reason}`, { cause });
}

/** LevelDB makes the folder and its log even when told not to create, so look first. */
async function requireDatabase(directory: string): Promise<void> {
  try {
    await stat(path.join(directory, 'CURRENT'));
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw openError(cause, directory);
    throw new FsError('ENOENT', `there is no database in ${directory}`, { cause });
  }
}

export class LevelKv implements Kv {
  readonly #database: Database;
  readonly #gate = new EpochGate();

  private constructor(database: Database) {
    this.#database = database;
  }

  /** @throws FsError ENOENT missing, EBUSY locked by another process, EIO damaged */
  static async open({ directory, create }: LevelKvOptions): Promise<LevelKv> {
    if (!create) await requireDatabase(directory);
    const database: Database = new Level(directory, {
      ...BYTES,
      createIfMissing: create,
      errorIfExists: create,
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
    });
    try {
      await database.open();
    } catch (error) {
      throw openError(error, directory);
    }
    return new LevelKv(database);
  }

  get(key: string): Uint8Array | undefined {
    try {
      return this.#database.getSync(keyBytes(key));
    } catch (cause) {
      throw new FsError('EIO', 'the database cannot read a record', { cause });
    }
  }

  range(range: KvRange): Promise<KvEntry[]> {
    return readRange(this.#database, range, undefined);
  }

  snapshot(): KvSnapshot {
    const database = this.#database;
    const snapshot = database.snapshot();
    return {
      range: (range) => readRange(database, range, snapshot),
      getMany: (keys) => readMany(database, keys, snapshot),
      [Symbol.asyncDispose]: () => snapshot.close(),
    };
  }

  async commit(writes: Writes, shardEpoch: Epoch): Promise<void> {
    this.#gate.check(shardEpoch);
    const batch = this.#database.batch();
    for (const [key, value] of writes) {
      if (value === undefined) batch.del(keyBytes(key));
      else batch.put(keyBytes(key), asBuffer(value));
    }
    try {
      await batch.write({ sync: true });
    } catch (cause) {
      throw new FsError('EIO', 'the database cannot write', { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close();
  }
}

async function readRange(
  database: Database,
  { gte, lt, limit }: KvRange,
  snapshot: Snapshot | undefined,
): Promise<KvEntry[]> {
  // Without one, the iterator takes its own when it is made, before the first await.
  const at = snapshot === undefined ? {} : { snapshot };
  const iterator = database.iterator({ gte: keyBytes(gte), lt: keyBytes(lt), limit, ...at });
  try {
    const entries = await iterator.all();
    return entries.map(([key, value]) => [key.toString('latin1'), value]);
  } catch (cause) {
    throw new FsError('EIO', 'the database cannot read a range', { cause });
  } finally {
    await iterator.close();
  }
}

async function readMany(
  database: Database,
  keys: readonly string[],
  snapshot: Snapshot,
): Promise<(Uint8Array | undefined)[]> {
  try {
    return await database.getMany(keys.map(keyBytes), { snapshot });
  } catch (cause) {
    throw new FsError('EIO', 'the database cannot read records', { cause });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
