/**
 * A store whose disk the test owns: a commit waits until `sync`, and a crash keeps only what was
 * synced (or, as a real disk may, the batch that was under way as well).
 */
import { assert } from '../../src/common/assert.ts';
import type { Writes } from '../../src/metaserver/core/txn.ts';
import {
  type Kv,
  type KvEntry,
  type KvRange,
  type KvSnapshot,
  MemorySnapshot,
  rangeOf,
} from '../../src/metaserver/kv.ts';

export type Records = Map<string, Uint8Array>;

interface Commit {
  readonly writes: Writes;
  resolve(): void;
  reject(error: Error): void;
}

export function applyWrites(records: Records, writes: Writes): void {
  for (const [key, value] of writes) {
    if (value === undefined) records.delete(key);
    else records.set(key, value.slice());
  }
}

export class HeldKv implements Kv {
  readonly #records: Records;
  readonly #commits: Commit[] = [];
  /** Called when a commit arrives, before it is synced. */
  onCommit: (writes: Writes) => void = () => undefined;
  onSync: () => void = () => undefined;

  constructor(records: Records = new Map()) {
    this.#records = records;
  }

  get unsyncedCount(): number {
    return this.#commits.length;
  }

  get(key: string): Uint8Array | undefined {
    return this.#records.get(key);
  }

  async range(range: KvRange): Promise<KvEntry[]> {
    return rangeOf(this.#records, range);
  }

  snapshot(): KvSnapshot {
    return new MemorySnapshot(this.#records);
  }

  commit(writes: Writes): Promise<void> {
    this.onCommit(writes);
    return new Promise((resolve, reject) => {
      this.#commits.push({ writes, resolve, reject });
    });
  }

  /** Makes the oldest commit durable and says so. @returns false when there was none */
  sync(): boolean {
    const commit = this.#commits.shift();
    if (commit === undefined) return false;
    applyWrites(this.#records, commit.writes);
    this.onSync();
    commit.resolve();
    return true;
  }

  fail(error: Error): void {
    const commit = this.#commits.shift();
    assert(commit !== undefined, 'nothing to fail');
    commit.reject(error);
  }

  /** What lies on the disk now. */
  synced(): Records {
    return new Map(this.#records);
  }

  /** Synced records and every commit under way. */
  newest(): Records {
    const records = this.synced();
    for (const { writes } of this.#commits) applyWrites(records, writes);
    return records;
  }

  /** The disk as the next life finds it. `keep`: the oldest commit got there, unacknowledged. */
  crash(keep: boolean): HeldKv {
    const commit = this.#commits[0];
    if (keep && commit !== undefined) {
      applyWrites(this.#records, commit.writes);
      this.onSync();
    }
    this.#commits.length = 0;
    return new HeldKv(this.synced());
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Runs what the event loop has ready. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Syncs whatever is committed until the work is done. */
export async function pump<T>(kv: HeldKv, work: Promise<T>): Promise<T> {
  let done = false;
  const settled = work.finally(() => {
    done = true;
  });
  while (!done) {
    kv.sync();
    await tick();
  }
  return settled;
}
