/**
 * The ordered key-value store under the metaserver, as narrow as the commit path needs it. Keys
 * are latin1 strings, compared byte by byte. One writer at a time: the commit path.
 */
import { FsError } from '../common/errno.ts';
import type { Epoch } from '../common/ids.ts';
import type { KeyRange } from './core/keyspace.ts';
import type { Writes } from './core/txn.ts';

export interface KvRange extends KeyRange {
  /** At most so many entries. */
  readonly limit: number;
}

export type KvEntry = readonly [key: string, value: Uint8Array];

/** The store as it was at one moment, whatever is written since. To be disposed of soon. */
export interface KvSnapshot extends AsyncDisposable {
  /** Entries in key order. */
  range(range: KvRange): Promise<KvEntry[]>;
  /** A value a key, in their order. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>;
}

export interface Kv extends AsyncDisposable {
  /**
   * The caller does not change the bytes.
   * @throws FsError EIO when they cannot be read
   */
  get(key: string): Uint8Array | undefined;
  /** Entries in key order, as they were at the moment of the call. */
  range(range: KvRange): Promise<KvEntry[]>;
  /** What is stored at the moment of the call: each commit is in it as a whole or not at all. */
  snapshot(): KvSnapshot;
  /**
   * All of it or nothing; resolves when it is on stable storage. Reads may see it earlier. After
   * a failure the store must be opened anew.
   * @throws FsError ESTALE when a larger shard epoch has written before, EIO otherwise
   */
  commit(writes: Writes, shardEpoch: Epoch): Promise<void>;
}

/** Refuses writers of an older shard epoch. */
export class EpochGate {
  #newest = 0;

  check(shardEpoch: Epoch): void {
    if (shardEpoch < this.#newest) {
      throw new FsError('ESTALE', `shard epoch ${shardEpoch} is fenced at ${this.#newest}`);
    }
    this.#newest = shardEpoch;
  }
}

/** Of records in memory, in key order. */
export function rangeOf(
  data: ReadonlyMap<string, Uint8Array>,
  { gte, lt, limit }: KvRange,
): KvEntry[] {
  const keys = [...data.keys()].filter((key) => key >= gte && key < lt).sort();
  return keys.slice(0, limit).map((key) => [key, data.get(key) ?? new Uint8Array(0)]);
}

/** Of records in memory. */
export class MemorySnapshot implements KvSnapshot {
  readonly #data: ReadonlyMap<string, Uint8Array>;

  constructor(data: ReadonlyMap<string, Uint8Array>) {
    this.#data = new Map(data);
  }

  async range(range: KvRange): Promise<KvEntry[]> {
    return rangeOf(this.#data, range);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#data.get(key));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

/** For tests and simulation: what it holds lasts as long as the object. */
export class MemoryKv implements Kv {
  readonly #data = new Map<string, Uint8Array>();
  readonly #gate = new EpochGate();

  get(key: string): Uint8Array | undefined {
    return this.#data.get(key);
  }

  async range(range: KvRange): Promise<KvEntry[]> {
    return rangeOf(this.#data, range);
  }

  snapshot(): KvSnapshot {
    return new MemorySnapshot(this.#data);
  }

  async commit(writes: Writes, shardEpoch: Epoch): Promise<void> {
    this.#gate.check(shardEpoch);
    for (const [key, value] of writes) {
      if (value === undefined) this.#data.delete(key);
      else this.#data.set(key, value.slice());
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}
