import type { GroupView } from '../../src/common/cluster-map.ts';
import type { GroupId, Ino, SessionId } from '../../src/common/ids.ts';
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

/** A store in memory whose commits and syncs a test makes wait or fail; changes stay in order. */
export class ScriptedStore implements ChunkStore {
  readonly #inner = new MemoryChunkStore();
  readonly log: string[] = [];
  /** A commit for which it returns a promise is done after that. */
  beforeCommit: (record: DataRecord) => Promise<void> | undefined = () => undefined;
  beforeSync: (ino: Ino) => Promise<void> | void = () => undefined;
  readonly #turns = new Map<Ino, Promise<void>>();

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
    this.log.push(`unreserve ${sid}`);
    this.#inner.unreserve(sid);
  }

  commit(context: DataContext, ino: Ino, record: DataRecord): void | Promise<void> {
    const wait = this.beforeCommit(record);
    const turn = this.#turns.get(ino);
    if (wait === undefined && turn === undefined) {
      this.#inner.commit(context, ino, record);
      return;
    }
    const done = Promise.all([turn, wait]).then(() => this.#inner.commit(context, ino, record));
    const settled = done
      .catch(() => undefined)
      .then(() => {
        if (this.#turns.get(ino) === settled) this.#turns.delete(ino);
      });
    this.#turns.set(ino, settled);
    return done;
  }

  async reconcile(ino: Ino, size: number): Promise<void> {
    this.log.push(`reconcile ${size}`);
    await this.#turns.get(ino);
    await this.#inner.reconcile(ino, size);
  }

  async fsync(ino: Ino): Promise<void> {
    await this.beforeSync(ino);
    await this.#turns.get(ino);
    this.log.push(`fsync ${ino}`);
  }

  async syncAll(): Promise<void> {}

  release(ino: Ino): void {
    this.log.push(`release ${ino}`);
  }

  remove(inos: readonly Ino[]): Promise<void> {
    return this.#inner.remove(inos);
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
}
