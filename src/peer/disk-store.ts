/**
 * The bytes of this machine on its disk (docs/FORMAT.md). Owns the rules that keep a crash
 * harmless:
 *
 * - a claim of the index is withdrawn durably before the first byte it covers changes;
 * - a claim is made only for bytes that are on stable storage;
 * - a removed file loses its claims first, then its name.
 *
 * Changes of one inode are made at once while nothing must be awaited, else they queue.
 */
import { native } from '../../native/index.ts';
import { FILE_BYTES_MAX } from '../common/attr.ts';
import type { GroupView } from '../common/cluster-map.ts';
import { FsError, toFsError } from '../common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type GroupId, type Ino, type SessionId } from '../common/ids.ts';
import { delay, TaskGroup } from '../common/lifecycle.ts';
import { BackingFiles } from './backing-files.ts';
import { BlockReader } from './block-reader.ts';
import type {
  BlockRun,
  BlockVersions,
  ChunkStore,
  DataContext,
  DataRecord,
  StoreSpace,
} from './chunk-store.ts';
import { ZERO_BLOCK_CRC } from './core/chunk-state.ts';
import type { SpaceAsk } from './core/grants.ts';
import { type Touched, touchedBy } from './core/touched.ts';
import { GroupVersions, type Version } from './core/versions.ts';
import { Durability } from './durability.ts';
import type { FileState } from './file-state.ts';
import { FileTable } from './file-table.ts';
import { RecordWriter } from './record-writer.ts';
import { Sealer } from './sealer.ts';
import { Space } from './space.ts';
import type { StoreOptions } from './store-options.ts';

const SECTOR_BYTES = 512;
const SEAL_EVERY_MS = 1_000;
const SEAL_AT_CLOSE_MS = 5_000;
/** Up to this many chunks are looked up one by one to see whether any is sealed. */
const CHUNK_LOOKUPS_MAX = 64;

export interface StoreStatus {
  readonly openFiles: number;
  /** Blocks found not to match their checksum since the start. */
  readonly checksumErrors: number;
  readonly firstChecksumError: string | undefined;
  /** Inodes whose sync failed since the start. */
  readonly failedSyncs: number;
  /** Chunks sealed since the start, and files that wait for it. */
  readonly sealedChunks: number;
  readonly unsealedFiles: number;
}

export class DiskChunkStore implements ChunkStore, AsyncDisposable {
  readonly #options: StoreOptions;
  readonly #backing: BackingFiles;
  readonly #files: FileTable;
  readonly #groups = new GroupVersions();
  readonly #durability: Durability;
  readonly #reader: BlockReader;
  readonly #space: Space;
  readonly #writer: RecordWriter;
  readonly #sealer: Sealer;
  readonly #stop = new AbortController();
  readonly #tasks: TaskGroup;

  private constructor(options: StoreOptions) {
    this.#options = options;
    const { clock, dataDir, index, io, limits, log, owned } = options;
    const backing = new BackingFiles({ dataDir, io, descriptorsMax: limits.descriptorsMax });
    this.#backing = backing;
    this.#durability = new Durability({ backing, io, log });
    this.#files = new FileTable({
      backing,
      index,
      io,
      filesMax: limits.filesMax,
      chunksMax: limits.chunksMax,
      sync: (file) => this.#durability.sync(file),
    });
    const files = this.#files;
    this.#reader = new BlockReader({ files, backing, io, log });
    this.#space = new Space({ dir: dataDir, io, clock });
    this.#writer = new RecordWriter({ backing, io, space: this.#space, owned });
    this.#sealer = new Sealer({
      files,
      index,
      reader: this.#reader,
      durability: this.#durability,
      groups: this.#groups,
      clock,
      log,
    });
    this.#tasks = new TaskGroup((error) => log.error('background sealing ended', { error }));
  }

  /** Starts the background sealing too. `data/` must exist. */
  static open(options: StoreOptions): DiskChunkStore {
    const store = new DiskChunkStore(options);
    store.#tasks.run(() => store.#sealLoop());
    return store;
  }

  read(ino: Ino, offset: number, target: Uint8Array): void {
    this.#reader.read(this.#files.get(ino), offset, target);
  }

  readBlocks(rg: GroupId, ino: Ino, run: BlockRun, target: Uint8Array): BlockVersions {
    const { chunk, blockFirst } = run;
    const file = this.#files.get(ino);
    this.#reader.read(file, chunk * CHUNK_BYTES + blockFirst * BLOCK_BYTES, target);
    const hasData = (at: number): boolean =>
      native.crc32c(0, target, at * BLOCK_BYTES, BLOCK_BYTES) !== ZERO_BLOCK_CRC;
    return this.#files.chunk(file, chunk).versions(run, hasData, () => this.#groups.take(rg));
  }

  check(context: DataContext): void {
    this.#groups.check(context);
  }

  reserve(context: DataContext, ask: SpaceAsk): number {
    this.#groups.check(context);
    return this.#space.reserve(context.sid, ask);
  }

  unreserve(sid: SessionId): void {
    this.#space.unreserve(sid);
  }

  commit(context: DataContext, ino: Ino, record: DataRecord): void | Promise<void> {
    const file = this.#files.get(ino);
    if (file.queue.isBusy) return file.queue.run(() => this.#commitQueued(context, file, record));
    this.#checkRight(context, file);
    const touched = touchedIn(file, record);
    if (this.#hasClaims(file, touched)) {
      return file.queue.run(() => this.#commitQueued(context, file, record));
    }
    this.#apply(context, file, record, touched);
  }

  async reconcile(ino: Ino, size: number): Promise<void> {
    const file = this.#files.get(ino);
    await file.queue.run(async () => {
      if (!file.isPresent) return;
      if (file.failure !== undefined) throw file.failure;
      if (file.bytes <= size) {
        // A cut that an earlier life made but did not sync is still owed to the disk.
        if (file.syncedChanges < file.changes) await this.#syncAll(file);
        return;
      }
      const record = { kind: 'truncate', size } as const;
      const touched = touchedBy(record, file.bytes);
      await this.#withdraw(file, touched);
      this.#note(file, touched, undefined);
      this.#writer.write(file, record);
      await this.#syncAll(file);
    });
  }

  async fsync(ino: Ino): Promise<void> {
    await this.#durability.fsync(this.#files.get(ino));
  }

  async syncAll(): Promise<void> {
    const files = [...this.#files.values()];
    const pending = files.filter(
      (file) => file.isUnsynced || file.queue.isBusy || file.failure !== undefined,
    );
    await this.#durability.fsyncAll(pending);
  }

  release(ino: Ino): void {
    this.#space.release(ino);
  }

  async remove(inos: readonly Ino[]): Promise<void> {
    for (const ino of inos) {
      const file = this.#files.find(ino);
      if (file === undefined) continue;
      await file.queue.drain();
      this.#files.discard(file);
    }
    await this.#options.index.removeFiles(inos);
    try {
      const freed = inos.map((ino) => this.blocks(ino) * SECTOR_BYTES);
      await this.#backing.remove(inos);
      for (const [at, ino] of inos.entries()) {
        const late = this.#files.find(ino);
        if (late !== undefined) this.#files.discard(late);
        this.#options.owned.add(ino, -(freed[at] ?? 0));
        this.#space.release(ino);
      }
    } catch (error) {
      throw toFsError(error, 'remove backing files');
    }
  }

  blocks(ino: Ino): number {
    const file = this.#files.find(ino);
    if (file !== undefined) return file.allocatedBytes / SECTOR_BYTES;
    try {
      return this.#options.io.stat(this.#backing.pathOf(ino))?.blocks ?? 0;
    } catch (error) {
      throw toFsError(error, `look at the backing file of ino=${ino}`);
    }
  }

  space(): StoreSpace {
    const { cachedBytes, owned } = this.#options;
    const bytesCached = cachedBytes?.() ?? 0;
    return { ...this.#space.usable(), bytesOwned: owned.bytes, bytesCached };
  }

  setGroups(groups: readonly GroupView[]): void {
    this.#groups.set(groups);
  }

  /** Seals files that were idle for 5 s, as the background does once a second. */
  async sealIdle(): Promise<void> {
    await this.#sealer.sealIdle(this.#stop.signal);
  }

  status(): StoreStatus {
    const { firstWrong } = this.#reader;
    let unsealedFiles = 0;
    for (const file of this.#files.values()) if (file.unsealed.size > 0) unsealedFiles += 1;
    return {
      openFiles: this.#backing.openCount,
      checksumErrors: this.#reader.wrongCount,
      firstChecksumError:
        firstWrong && `ino=${firstWrong.ino} chunk=${firstWrong.chunk} block=${firstWrong.block}`,
      failedSyncs: this.#durability.failedCount,
      sealedChunks: this.#sealer.sealedCount,
      unsealedFiles,
    };
  }

  /** Waits for pending changes, seals what 5 s allow, closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    await this.#tasks.settle();
    for (const file of [...this.#files.values()]) await file.queue.drain();
    await this.#sealer.sealAll(SEAL_AT_CLOSE_MS);
    this.#backing.closeAll();
  }

  async #sealLoop(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await delay(SEAL_EVERY_MS, signal);
      await this.#sealer.sealIdle(signal);
    }
  }

  async #commitQueued(context: DataContext, file: FileState, record: DataRecord): Promise<void> {
    this.#checkRight(context, file);
    const touched = touchedIn(file, record);
    if (this.#hasClaims(file, touched)) {
      this.#verifyEdges(file, touched);
      await this.#withdraw(file, touched);
      this.#checkRight(context, file);
    }
    this.#apply(context, file, record, touched);
  }

  #checkRight(context: DataContext, file: FileState): void {
    this.#groups.check(context);
    if (file.failure !== undefined) throw file.failure;
  }

  /** The index may claim something about bytes that are going to change. */
  #hasClaims(file: FileState, touched: Touched): boolean {
    const { first, end } = touched.dropped;
    if (end - first > CHUNK_LOOKUPS_MAX) return true;
    if (touched.chunks.some(({ chunk }) => this.#files.chunk(file, chunk).isSealed)) return true;
    for (let chunk = first; chunk < end; chunk += 1) {
      if (this.#files.isSealed(file, chunk)) return true;
    }
    return false;
  }

  async #withdraw(file: FileState, touched: Touched): Promise<void> {
    const chunks = touched.chunks.map(({ chunk }) => chunk);
    await this.#options.index.openChunks(file.ino, { chunks, range: touched.dropped });
    for (const chunk of chunks) this.#files.chunk(file, chunk).open();
    this.#files.dropChunks(file, touched.dropped);
  }

  /** Bytes that stay in a block that changes must be right: its new checksum will cover them. */
  #verifyEdges(file: FileState, touched: Touched): void {
    for (const { chunk, edges } of touched.chunks) {
      for (const block of edges) this.#reader.verify(file, chunk, block);
    }
  }

  #apply(context: DataContext, file: FileState, record: DataRecord, touched: Touched): void {
    this.#verifyEdges(file, touched);
    this.#writer.reserve(context, file, record);
    file.rg = context.rg;
    this.#note(file, touched, this.#groups.next(context.rg));
    this.#writer.write(file, record);
  }

  /** Before the bytes change, so that a failure halfway leaves nothing claimed. */
  #note(file: FileState, touched: Touched, version: Version | undefined): void {
    file.changes += 1;
    file.changedMs = this.#options.clock.bootMs();
    for (const { chunk, blockFirst, blockEnd, holeFirst, holeEnd } of touched.chunks) {
      const state = this.#files.chunk(file, chunk);
      if (version === undefined) state.clear(blockFirst, blockEnd);
      else state.stamp(blockFirst, blockEnd, version);
      state.clear(holeFirst, holeEnd);
      file.unsealed.add(chunk);
    }
    const { first, end } = touched.dropped;
    if (end === first) return;
    this.#files.dropChunks(file, touched.dropped);
    for (const chunk of file.unsealed) {
      if (chunk >= first && chunk < end) file.unsealed.delete(chunk);
    }
  }

  async #syncAll(file: FileState): Promise<void> {
    try {
      await this.#backing.withDescriptor(file.ino, (fd) => this.#options.io.fsync(fd));
      await this.#backing.makeNameDurable(file.ino);
    } catch (error) {
      throw this.#durability.fail(file, error);
    }
    file.syncedChanges = file.changes;
  }
}

function touchedIn(file: FileState, record: DataRecord): Touched {
  if (record.kind === 'write' && record.offset + record.data.length > FILE_BYTES_MAX) {
    throw new FsError('EFBIG', `ino=${file.ino}: a write at ${record.offset} ends too far out`);
  }
  return touchedBy(record, file.bytes);
}
