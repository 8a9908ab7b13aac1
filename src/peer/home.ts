/**
 * What this peer does for files whose home it is, for its own mount and for others: rules H3 and
 * H9 of docs/PROTOCOL.md. Before anything of a file is read or changed for somebody else, the cuts
 * the caller knows of have been made here.
 */
import { FsError } from '../common/errno.ts';
import { asSessionId, type Ino } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type {
  BlockRun,
  BlockVersions,
  ChunkStore,
  FileRight,
  WrittenRange,
} from './chunk-store.ts';
import { Fences } from './core/fences.ts';
import type { SpaceAsk } from './core/grants.ts';

/** Later calls about an older one are answered by asking the metaserver. */
const REMOVED_MAX = 100_000;
/** A file that is cut again and again meanwhile. */
const TRIES = 5;

export interface HomeOptions {
  readonly store: ChunkStore;
  readonly log: Logger;
  /** What the metaserver says now. @throws FsError ENOENT the file is gone */
  fetchAttr(ino: Ino): Promise<{ readonly size: number; readonly cuts: number }>;
}

export class Home {
  /** A cut that the mount of this node did not ask for. */
  onCut: (ino: Ino, size: number) => void = () => undefined;
  onRemoved: (ino: Ino) => void = () => undefined;
  readonly #options: HomeOptions;
  /**
   * Cuts made in this process life. Nothing is forgotten: a second fetch would take bytes that
   * are here and not published yet for what a cut left.
   */
  readonly #known = new Map<Ino, number>();
  readonly #settling = new Map<Ino, Promise<void>>();
  readonly #removed = new Set<Ino>();
  /**
   * The last cut by the mount of this node, which syncs it before it publishes more; others do not
   * know of it.
   */
  readonly #unsynced = new Map<Ino, number>();
  readonly #fences = new Fences();
  /** Changes for other peers that are under way, by session. */
  readonly #changing = new Map<number, Set<Promise<unknown>>>();

  constructor(options: HomeOptions) {
    this.#options = options;
  }

  /** Exactly these cuts have been made here. */
  isSettled(ino: Ino, cuts: number): boolean {
    return this.#known.get(ino) === cuts;
  }

  isRemoved(ino: Ino): boolean {
    return this.#removed.has(ino);
  }

  /** A file made just now by the mount of this node; another may have cut it already. */
  created(ino: Ino): void {
    this.#advance(ino, 0);
  }

  /** The cuts up to `cuts` are made here. @throws FsError ESTALE cut again since, or gone */
  async settle(ino: Ino, cuts: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      if (this.#removed.has(ino)) throw new FsError('ESTALE', `ino ${ino} was removed`);
      const known = this.#known.get(ino);
      if (known === cuts) return;
      if (known !== undefined && known > cuts) {
        throw new FsError('ESTALE', `ino ${ino} was cut ${known} times, not ${cuts}`);
      }
      if (tries === TRIES)
        throw new FsError('EIO', `the metaserver knows of no cut ${cuts} of ${ino}`);
      await this.#learn(ino);
    }
  }

  /** The mount of this node has had the file cut at the metaserver, as cut `right.cuts`. */
  async cut(right: FileRight, ino: Ino, size: number): Promise<void> {
    if (this.#known.get(ino) !== right.cuts - 1 || this.#settling.has(ino)) {
      await this.#atLeast(ino, right.cuts);
      return;
    }
    this.#unsynced.set(ino, right.cuts);
    await this.#options.store.commit(right, ino, { kind: 'truncate', size });
    this.#advance(ino, right.cuts);
  }

  /**
   * Nothing of this session is let in below this epoch from now on. Resolves when what was let in
   * before is done.
   */
  async fence(sid: number, sepoch: number): Promise<void> {
    this.#fences.fence(sid, sepoch);
    await Promise.allSettled([...(this.#changing.get(sid) ?? [])]);
    this.#options.store.unreserve(asSessionId(sid));
  }

  /**
   * Space for what another peer's session has accepted and not sent (H13).
   * @returns what it is promised now. @throws FsError ENOSPC, ESTALE, ENOLCK
   */
  reserve(right: FileRight, ask: SpaceAsk): number {
    this.#checkSession(right);
    return this.#options.store.reserve(right, ask);
  }

  /** The mount of this node works on the file under this lease. */
  follow(ino: Ino, lseq: number): void {
    this.#fences.follow(ino, lseq);
  }

  /** As cut, for another peer: durable when it resolves. */
  cutFor(right: FileRight, ino: Ino, size: number): Promise<void> {
    return this.#change(right, ino, () => this.#cutFor(right, ino, size));
  }

  async #cutFor(right: FileRight, ino: Ino, size: number): Promise<void> {
    const { store } = this.#options;
    store.check(right);
    if (this.#known.get(ino) !== right.cuts - 1 || this.#settling.has(ino)) {
      await this.#atLeast(ino, right.cuts);
      return;
    }
    await store.commit(right, ino, { kind: 'truncate', size });
    this.#advance(ino, right.cuts);
    this.onCut(ino, size);
    await store.fsync(ino);
  }

  /** @param target as long as the run */
  read(right: FileRight, ino: Ino, run: BlockRun, target: Uint8Array): Promise<BlockVersions> {
    const { store } = this.#options;
    this.#fences.meet(right);
    return this.#admitted(right, ino, () => {
      this.#fences.follow(ino, right.lseq);
      return store.readBlocks(right.rg, ino, run, target);
    });
  }

  write(right: FileRight, ino: Ino, range: WrittenRange): Promise<void> {
    const { store } = this.#options;
    return this.#change(right, ino, () =>
      this.#admitted(right, ino, () => {
        this.#checkLease(right, ino);
        return store.commit(right, ino, { kind: 'write', ...range });
      }),
    );
  }

  sync(right: FileRight, ino: Ino): Promise<void> {
    return this.#admitted(right, ino, () => this.#options.store.fsync(ino));
  }

  /** The files are gone at the metaserver. Idempotent. */
  async remove(inos: readonly Ino[]): Promise<void> {
    for (const ino of inos) {
      this.#noteRemoved(ino);
      this.onRemoved(ino);
    }
    await this.#options.store.remove(inos);
  }

  /** @throws FsError ENOLCK the session was evicted or goes on in another process */
  #checkSession(right: FileRight): void {
    if (this.#fences.isEvicted(right)) {
      throw new FsError('ENOLCK', `epoch ${right.sepoch} of session ${right.sid} is over`);
    }
    this.#fences.meet(right);
  }

  /** @throws FsError ENOLCK as above, or somebody else has the file by now */
  #checkLease(right: FileRight, ino: Ino): void {
    this.#checkSession(right);
    if (this.#fences.isLate({ ino, lseq: right.lseq })) {
      throw new FsError('ENOLCK', `inode ${ino} is written under a younger lease`);
    }
    this.#fences.follow(ino, right.lseq);
  }

  /** A change by another peer's session, which a fence waits for. */
  async #change(right: FileRight, ino: Ino, change: () => Promise<void>): Promise<void> {
    this.#checkLease(right, ino);
    const changing = this.#changing.get(right.sid) ?? new Set();
    this.#changing.set(right.sid, changing);
    const done = change();
    changing.add(done);
    try {
      await done;
    } finally {
      changing.delete(done);
      if (changing.size === 0) this.#changing.delete(right.sid);
    }
  }

  /** Acts for another peer once the cuts it knows of are made, on disk too, with no wait between. */
  async #admitted<T>(right: FileRight, ino: Ino, act: () => T | Promise<T>): Promise<T> {
    const { store } = this.#options;
    store.check(right);
    while (!this.isSettled(ino, right.cuts) || this.#unsynced.has(ino)) {
      await this.settle(ino, right.cuts);
      const cut = this.#unsynced.get(ino);
      if (cut === undefined) continue;
      await store.fsync(ino);
      if (this.#unsynced.get(ino) === cut) this.#unsynced.delete(ino);
    }
    store.check(right);
    return act();
  }

  /** The cut was made already, or is made now with all before it. */
  async #atLeast(ino: Ino, cuts: number): Promise<void> {
    const known = this.#known.get(ino);
    if (known === undefined || known < cuts) await this.settle(ino, cuts);
  }

  async #learn(ino: Ino): Promise<void> {
    let run = this.#settling.get(ino);
    if (run === undefined) {
      run = this.#reconcile(ino).finally(() => this.#settling.delete(ino));
      this.#settling.set(ino, run);
    }
    await run;
  }

  async #reconcile(ino: Ino): Promise<void> {
    const { size, cuts } = await this.#fetch(ino);
    const known = this.#known.get(ino);
    if (known !== undefined && known >= cuts) return;
    await this.#options.store.reconcile(ino, size);
    this.#advance(ino, cuts);
    if (known !== undefined) this.onCut(ino, size);
  }

  async #fetch(ino: Ino): Promise<{ readonly size: number; readonly cuts: number }> {
    try {
      return await this.#options.fetchAttr(ino);
    } catch (error) {
      if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
      this.#options.log.debug('asked about a file that is gone', { ino });
      this.#noteRemoved(ino);
      throw new FsError('ESTALE', `ino ${ino} was removed`, { cause: error });
    }
  }

  #advance(ino: Ino, cuts: number): void {
    if (this.#removed.has(ino)) return;
    this.#known.set(ino, Math.max(this.#known.get(ino) ?? 0, cuts));
  }

  #noteRemoved(ino: Ino): void {
    this.#known.delete(ino);
    this.#unsynced.delete(ino);
    this.#removed.add(ino);
    if (this.#removed.size <= REMOVED_MAX) return;
    const oldest = this.#removed.values().next();
    if (oldest.done !== true) this.#removed.delete(oldest.value);
  }
}
