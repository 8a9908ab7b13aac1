/**
 * Records of the cache in the peer's database:
 *
 *   'k' ino u64be chunk u64be -> CachedChunkRecord
 *
 * Records are written in the background and never synced. One is put only after the bytes it
 * describes were written, and its checksums are held against them after a restart, so whatever a
 * crash leaves does no harm.
 */
import { CachedChunkRecord } from '../../gen/store.ts';
import { asIno, type Ino } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { CachedBlocks } from './core/cached-blocks.ts';

const PREFIX = 0x6b;
const KEY_BYTES = 17;

export type CacheOperation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

/** What the cache may do with the peer's database. */
export interface CacheDatabase {
  getSync(key: Buffer): Buffer | undefined;
  batch(operations: CacheOperation[]): Promise<void>;
  keys(range: { readonly gte: Buffer; readonly lt: Buffer }): AsyncIterable<Buffer>;
}

export interface ChunkKey {
  readonly ino: Ino;
  readonly chunk: number;
}

interface Pending {
  readonly key: Buffer;
  /** Undefined: the record goes. */
  readonly blocks: CachedBlocks | undefined;
}

function keyOf({ ino, chunk }: ChunkKey): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key[0] = PREFIX;
  key.writeBigUInt64BE(BigInt(ino), 1);
  key.writeBigUInt64BE(BigInt(chunk), 9);
  return key;
}

function parseKey(key: Buffer): ChunkKey | undefined {
  if (key.length !== KEY_BYTES) return undefined;
  const ino = Number(key.readBigUInt64BE(1));
  const chunk = Number(key.readBigUInt64BE(9));
  if (!(Number.isSafeInteger(ino) && Number.isSafeInteger(chunk))) return undefined;
  return { ino: asIno(ino), chunk };
}

function encode(blocks: CachedBlocks): Buffer {
  const { crcs, epochs, seqs } = blocks.toTable();
  const record = { crc32c: [...crcs], rgEpochs: [...epochs], rgSeqs: seqs.map(BigInt) };
  return Buffer.from(CachedChunkRecord.encode(record).finish());
}

function decode(bytes: Buffer): CachedBlocks | undefined {
  const { crc32c, rgEpochs, rgSeqs } = CachedChunkRecord.decode(bytes);
  return CachedBlocks.fromTable({ crcs: crc32c, epochs: rgEpochs, seqs: rgSeqs.map(Number) });
}

export class CacheIndex {
  readonly #db: CacheDatabase;
  readonly #log: Logger;
  readonly #tasks = new TaskGroup((error) => this.#lost(error));
  /** What the database does not have yet; the object stays the one that is read and changed. */
  readonly #pending = new Map<string, Pending>();

  constructor(db: CacheDatabase, log: Logger) {
    this.#db = db;
    this.#log = log;
  }

  /** Undefined when there is none that makes sense. */
  get(place: ChunkKey): CachedBlocks | undefined {
    const pending = this.#pending.get(nameOf(place));
    if (pending !== undefined) return pending.blocks;
    try {
      const bytes = this.#db.getSync(keyOf(place));
      return bytes && decode(bytes);
    } catch (error) {
      this.#log.info('a record of the cache cannot be read', { ...place, error });
      return undefined;
    }
  }

  /** The record follows in the background, with what `blocks` says by then. */
  set(place: ChunkKey, blocks: CachedBlocks | undefined): void {
    const isIdle = this.#pending.size === 0;
    this.#pending.set(nameOf(place), { key: keyOf(place), blocks });
    if (isIdle) this.#tasks.run(() => this.#write());
  }

  /** Every chunk with a record, in the order of inos; keys that make no sense are left out. */
  async *chunks(): AsyncIterable<ChunkKey> {
    const range = { gte: Buffer.of(PREFIX), lt: Buffer.of(PREFIX + 1) };
    for await (const key of this.#db.keys(range)) {
      const place = parseKey(key);
      if (place !== undefined) yield place;
    }
  }

  /** Everything set so far was handed to the database, or is lost. */
  async settle(): Promise<void> {
    await this.#tasks.settle();
  }

  async #write(): Promise<void> {
    // What is set in this turn of the event loop goes along.
    await Promise.resolve();
    while (this.#pending.size > 0) {
      const taken = [...this.#pending];
      try {
        await this.#db.batch(taken.map(([, pending]) => operationOf(pending)));
      } catch (error) {
        this.#lost(error);
      }
      for (const [name, pending] of taken) {
        if (this.#pending.get(name) === pending) this.#pending.delete(name);
      }
    }
  }

  /** The bytes without their records are fetched again one day. */
  #lost(error: unknown): void {
    this.#log.warn('records of the cache were lost', { error });
  }
}

const nameOf = ({ ino, chunk }: ChunkKey): string => `${ino}/${chunk}`;

function operationOf({ key, blocks }: Pending): CacheOperation {
  if (blocks === undefined) return { type: 'del', key };
  return { type: 'put', key, value: encode(blocks) };
}
