import type { GroupView } from '../../src/common/cluster-map.ts';
import {
  asEpoch,
  asGroupId,
  asSessionId,
  type GroupId,
  type Ino,
  type SessionId,
} from '../../src/common/ids.ts';
import type {
  BlockRun,
  BlockVersions,
  ChunkStore,
  DataContext,
  DataRecord,
  StoreSpace,
} from '../../src/peer/chunk-store.ts';
import type { SpaceAsk } from '../../src/peer/core/grants.ts';
import { MemoryChunkStore } from './memory-chunk-store.ts';

interface Journal {
  readonly synced: DataRecord[];
  pending: DataRecord[];
}

const REPLAY: DataContext = {
  sid: asSessionId(0),
  sepoch: asEpoch(0),
  lseq: 0,
  rg: asGroupId(1),
  rgEpoch: asEpoch(1),
};

/** A store in memory that remembers which changes were synced, so that a crash can take others. */
export class CrashStore implements ChunkStore {
  readonly #inner: MemoryChunkStore;
  readonly #journals: Map<Ino, Journal>;
  readonly #capacityBytes: number;

  constructor(capacityBytes = 2 ** 40, journals: Map<Ino, Journal> = new Map()) {
    this.#capacityBytes = capacityBytes;
    this.#inner = new MemoryChunkStore({ capacityBytes });
    this.#journals = journals;
    this.#inner.setGroups([
      { rg: REPLAY.rg, epoch: REPLAY.rgEpoch, primary: undefined, members: [] },
    ]);
    for (const [ino, { synced, pending }] of journals) {
      for (const record of [...synced, ...pending]) this.#inner.commit(REPLAY, ino, record);
    }
    this.#inner.setGroups([]);
  }

  /** What the next life finds: all that was synced, and of the rest what `survives`. */
  crashed(survives: (record: DataRecord) => boolean): CrashStore {
    const left = [...this.#journals].map(([ino, { synced, pending }]): [Ino, Journal] => [
      ino,
      { synced: [...synced], pending: pending.filter(survives) },
    ]);
    return new CrashStore(this.#capacityBytes, new Map(left));
  }

  read(ino: Ino, offset: number, target: Uint8Array): void {
    this.#inner.read(ino, offset, target);
  }

  readBlocks(rg: GroupId, ino: Ino, run: BlockRun, target: Uint8Array): BlockVersions {
    return this.#inner.readBlocks(rg, ino, run, target);
  }

  check(context: DataContext): void {
    this.#inner.check(context);
  }

  reserve(context: DataContext, ask: SpaceAsk): number {
    return this.#inner.reserve(context, ask);
  }

  unreserve(sid: SessionId): void {
    this.#inner.unreserve(sid);
  }

  commit(context: DataContext, ino: Ino, record: DataRecord): void {
    this.#inner.commit(context, ino, record);
    const kept = record.kind === 'write' ? { ...record, data: record.data.slice() } : record;
    this.#journal(ino).pending.push(kept);
  }

  async reconcile(ino: Ino, size: number): Promise<void> {
    await this.#inner.reconcile(ino, size);
    this.#journal(ino).pending.push({ kind: 'truncate', size });
    await this.fsync(ino);
  }

  async fsync(ino: Ino): Promise<void> {
    const journal = this.#journal(ino);
    journal.synced.push(...journal.pending);
    journal.pending = [];
  }

  async syncAll(): Promise<void> {
    for (const ino of this.#journals.keys()) await this.fsync(ino);
  }

  release(): void {}

  async remove(inos: readonly Ino[]): Promise<void> {
    await this.#inner.remove(inos);
    for (const ino of inos) this.#journals.delete(ino);
  }

  blocks(ino: Ino): number {
    return this.#inner.blocks(ino);
  }

  space(): StoreSpace {
    return this.#inner.space();
  }

  setGroups(groups: readonly GroupView[]): void {
    this.#inner.setGroups(groups);
  }

  #journal(ino: Ino): Journal {
    let journal = this.#journals.get(ino);
    if (journal === undefined) {
      journal = { synced: [], pending: [] };
      this.#journals.set(ino, journal);
    }
    return journal;
  }
}
