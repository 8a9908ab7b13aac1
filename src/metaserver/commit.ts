/**
 * The one way into the database. Writes gather in a pending batch while the batch before is made
 * durable; reads see pending, then committing, then stored values. A reply leaves only after the
 * batch of its own writes and every batch it has read from are durable: a View remembers the
 * newest. Batches become durable in order, so the newest stands for all before it.
 *
 * A failed commit is final: nobody can know what the log holds. onFatal is told once, everything
 * waiting fails, and the process must stop.
 */
import { FsError } from '../common/errno.ts';
import type { Epoch } from '../common/ids.ts';
import { deferred, TaskGroup } from '../common/lifecycle.ts';
import type { KeyRange } from './core/keyspace.ts';
import type { Reader, Writes } from './core/txn.ts';
import type { Kv, KvEntry } from './kv.ts';

/** Called once: without an argument when durable, else with the reason it never will be. */
type Waiter = (error?: FsError) => void;

class Batch {
  readonly writes = new Map<string, Uint8Array | undefined>();
  readonly waiters: Waiter[] = [];
  durable = false;
}

export interface CommitOptions {
  readonly kv: Kv;
  readonly shardEpoch: Epoch;
  /** Above it `congested` asks callers to stop reading requests. */
  readonly writesPendingMax?: number;
  /** Runs a task a little later, so that what arrived together commits together. */
  readonly schedule?: (task: () => void) => void;
  onFatal(error: Error): void;
}

const WRITES_PENDING_MAX = 4096;

/** Reads of one request; what they saw uncommitted delays its reply. */
export class View implements Reader {
  readonly #path: CommitPath;
  newest: Batch | undefined;

  constructor(path: CommitPath) {
    this.#path = path;
  }

  get(key: string): Uint8Array | undefined {
    return this.#path.read(key, this);
  }
}

export class CommitPath {
  readonly #kv: Kv;
  readonly #shardEpoch: Epoch;
  readonly #writesPendingMax: number;
  readonly #schedule: (task: () => void) => void;
  readonly #onFatal: (error: Error) => void;
  readonly #tasks = new TaskGroup((error) => this.#fail(error));
  #pending = new Batch();
  #committing: Batch | undefined;
  #scheduled = false;
  #failure: FsError | undefined;
  #relief: (() => void)[] = [];
  #commitCount = 0;
  #batchCount = 0;

  constructor(options: CommitOptions) {
    this.#kv = options.kv;
    this.#shardEpoch = options.shardEpoch;
    this.#writesPendingMax = options.writesPendingMax ?? WRITES_PENDING_MAX;
    this.#schedule = options.schedule ?? ((task) => setImmediate(task));
    this.#onFatal = (error) => options.onFatal(error);
  }

  /** Transactions submitted and batches synced. */
  get counts(): { readonly commits: number; readonly batches: number } {
    return { commits: this.#commitCount, batches: this.#batchCount };
  }

  get congested(): boolean {
    return this.#pending.writes.size >= this.#writesPendingMax;
  }

  view(): View {
    return new View(this);
  }

  /** The value a view sees; called by View. */
  read(key: string, view: View): Uint8Array | undefined {
    if (this.#pending.writes.has(key)) {
      this.#observe(view, this.#pending);
      return this.#pending.writes.get(key);
    }
    if (this.#committing?.writes.has(key)) {
      this.#observe(view, this.#committing);
      return this.#committing.writes.get(key);
    }
    return this.#kv.get(key);
  }

  /** Puts the writes into the pending batch, all in one. @throws FsError EIO after a failure */
  submit(view: View, writes: Writes): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (writes.size === 0) return;
    for (const [key, value] of writes) this.#pending.writes.set(key, value);
    view.newest = this.#pending;
    this.#commitCount += 1;
    this.#kick();
  }

  /** Runs `done` when all that the view saw and wrote is durable: at once if it is. */
  whenDurable(view: View, done: Waiter): void {
    if (this.#failure !== undefined) done(this.#failure);
    else if (view.newest === undefined || view.newest.durable) done();
    else view.newest.waiters.push(done);
  }

  /** @throws FsError EIO after a failed commit */
  durable(view: View): Promise<void> {
    const { promise, resolve, reject } = deferred<void>();
    this.whenDurable(view, (error) => (error === undefined ? resolve() : reject(error)));
    return promise;
  }

  /** Runs `task` once when the pending batch has room again. */
  onRelief(task: () => void): void {
    this.#relief.push(task);
  }

  /**
   * Stored entries of a range with the uncommitted ones merged in, all as of the moment of the
   * call. Fewer than `limit` entries come back only at the end of the range.
   */
  async scan(view: View, range: KeyRange & { readonly limit: number }): Promise<KvEntry[]> {
    const { gte, lt, limit } = range;
    const overlay = new Map<string, Uint8Array | undefined>();
    for (const batch of [this.#committing, this.#pending]) {
      if (batch === undefined) continue;
      for (const [key, value] of batch.writes) {
        if (key < gte || key >= lt) continue;
        overlay.set(key, value);
        this.#observe(view, batch);
      }
    }
    // One more stored entry for each that the overlay may hide.
    const wanted = limit + overlay.size;
    const stored = await this.#kv.range({ gte, lt, limit: wanted });
    if (overlay.size === 0) return stored;
    return merge(stored, overlay, stored.length < wanted).slice(0, limit);
  }

  /** Resolves when everything submitted so far is durable, or nothing can be any more. */
  async drain(): Promise<void> {
    if (this.#failure !== undefined) return this.#tasks.settle();
    const view = this.view();
    const newest = this.#pending.writes.size > 0 ? this.#pending : this.#committing;
    if (newest !== undefined) this.#observe(view, newest);
    await this.durable(view);
    await this.#tasks.settle();
  }

  /** Keeps the newer of two batches; the pending one is the newest there is. */
  #observe(view: View, batch: Batch): void {
    const known = view.newest;
    if (batch === this.#pending || known === undefined || known.durable) view.newest = batch;
  }

  #kick(): void {
    if (this.#scheduled || this.#committing !== undefined) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      if (this.#committing === undefined) this.#start();
    });
  }

  #start(): void {
    const batch = this.#pending;
    if (batch.writes.size === 0 || this.#failure !== undefined) return;
    this.#pending = new Batch();
    this.#committing = batch;
    this.#tasks.run(async () => {
      await this.#kv.commit(batch.writes, this.#shardEpoch);
      this.#finish(batch);
    });
    for (const task of this.#relief.splice(0)) task();
  }

  #finish(batch: Batch): void {
    batch.durable = true;
    this.#batchCount += 1;
    this.#committing = undefined;
    // The next batch syncs while the replies of this one are written.
    this.#start();
    for (const waiter of batch.waiters) waiter();
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const failure = new FsError('EIO', 'the metaserver cannot commit any more', { cause: error });
    this.#failure = failure;
    const waiters = [...(this.#committing?.waiters ?? []), ...this.#pending.waiters];
    this.#onFatal(failure);
    for (const waiter of waiters) waiter(failure);
    for (const task of this.#relief.splice(0)) task();
  }
}

function merge(
  stored: readonly KvEntry[],
  overlay: ReadonlyMap<string, Uint8Array | undefined>,
  complete: boolean,
): KvEntry[] {
  const last = stored.at(-1)?.[0] ?? '';
  const merged = new Map<string, Uint8Array>(stored);
  for (const [key, value] of overlay) {
    if (value === undefined) merged.delete(key);
    // Beyond the last stored entry there may be others in between.
    else if (complete || key <= last) merged.set(key, value);
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1));
}
