/**
 * The peer part of a node: its index, its backing files and its cache of other peers' blocks,
 * opened and closed together. Three parts of the state folder are its own: index/ and data/, and
 * cache/, which may be missing.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../common/clock.ts';
import { FsError, toFsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { DisposeStack, TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ChunkCache } from './chunk-cache.ts';
import type { ChunkStore } from './chunk-store.ts';
import { DiskChunkCache } from './disk-chunk-cache.ts';
import { DiskChunkStore, type StoreStatus } from './disk-store.ts';
import { hostFileIo } from './file-io.ts';
import { LevelIndex } from './level-index.ts';
import { OwnedBytes } from './owned-bytes.ts';
import { DEFAULT_LIMITS } from './store-options.ts';
import { findStrays, type Strays } from './strays.ts';

export interface PeerOptions {
  /** The state folder: holds index/ and data/. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What blocks of other peers may take of the disk; 0: none are kept. Default: cache-space.ts. */
  readonly cacheBytes?: number | undefined;
}

/** Something a person should know of, and what to do about it. */
export interface PeerProblem {
  readonly code: string;
  readonly message: string;
  readonly action: string;
}

export interface PeerStatus extends StoreStatus {
  readonly bytesOwned: number;
  /** False while the files are still being counted after a crash. */
  readonly bytesOwnedExact: boolean;
  readonly problems: readonly PeerProblem[];
}

/** Less space for files than this is reported as a full disk. */
const FULL_BYTES = 1024 ** 2;

const indexDir = (stateDir: string): string => join(stateDir, 'index');
const dataDir = (stateDir: string): string => join(stateDir, 'data');
const cacheDir = (stateDir: string): string => join(stateDir, 'cache');

interface PeerParts {
  readonly dataDir: string;
  readonly index: LevelIndex;
  readonly cache: DiskChunkCache;
  readonly store: DiskChunkStore;
  readonly owned: OwnedBytes;
  readonly stack: DisposeStack;
}

export class Peer implements AsyncDisposable {
  readonly store: ChunkStore;
  /** Blocks of files whose home is another peer. */
  readonly cache: ChunkCache;
  readonly #parts: PeerParts;
  readonly #stop = new AbortController();
  readonly #tasks: TaskGroup;

  private constructor(parts: PeerParts, log: Logger) {
    this.#parts = parts;
    this.store = parts.store;
    this.cache = parts.cache;
    this.#tasks = new TaskGroup((error) => log.warn('the files were not counted', { error }));
  }

  /** Makes an empty index/ and data/, durably. @throws FsError EEXIST when one is there */
  static async create(stateDir: string): Promise<void> {
    for (const dir of [dataDir(stateDir), indexDir(stateDir)]) {
      if (existsSync(dir)) throw new FsError('EEXIST', `${dir} exists already`);
    }
    try {
      await mkdir(dataDir(stateDir), { mode: 0o700 });
      await LevelIndex.create(indexDir(stateDir));
      for (const dir of [dataDir(stateDir), indexDir(stateDir), stateDir]) {
        await hostFileIo.syncDirectory(dir);
      }
    } catch (error) {
      throw toFsError(error, `make a peer store in ${stateDir}`);
    }
  }

  /**
   * Opens what `create` made; makes nothing but an empty cache/.
   * @throws FsError ENOENT missing, EINVAL foreign, EPROTO newer, EBUSY in use, EIO damaged
   */
  static async open(options: PeerOptions): Promise<Peer> {
    const { cacheBytes: limitBytes, clock, log, stateDir } = options;
    const data = dataDir(stateDir);
    if (!existsSync(data)) throw new FsError('ENOENT', `there are no backing files at ${data}`);
    await using stack = new DisposeStack();
    const index = stack.use(await LevelIndex.open(indexDir(stateDir)));
    const clean = index.getMarker('clean') === '1';
    const owned = new OwnedBytes(Number(index.getMarker('owned') ?? 0));
    await index.setMarkers({ clean: '0' });
    const cache = stack.use(
      await DiskChunkCache.open({
        dir: cacheDir(stateDir),
        records: index.cacheRecords(),
        io: hostFileIo,
        clock,
        log: log.child('cache'),
        limitBytes,
      }),
    );
    const store = stack.use(
      DiskChunkStore.open({
        dataDir: data,
        index,
        io: hostFileIo,
        clock,
        log,
        owned,
        limits: DEFAULT_LIMITS,
        cachedBytes: () => cache.status().bytes,
      }),
    );
    const peer = new Peer({ dataDir: data, index, cache, store, owned, stack: stack.move() }, log);
    if (!clean) peer.#tasks.run(() => owned.count(data, peer.#stop.signal));
    return peer;
  }

  /** Backing files that belong to no file. @param unknown see findStrays */
  strays(unknown: (inos: readonly Ino[]) => Promise<readonly Ino[]>): Promise<Strays> {
    return findStrays(this.#parts.dataDir, unknown);
  }

  status(): PeerStatus {
    const { owned, store } = this.#parts;
    const status = store.status();
    return {
      ...status,
      bytesOwned: owned.bytes,
      bytesOwnedExact: owned.isExact,
      problems: [...this.#problems(status)],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    const { index, owned, stack, store } = this.#parts;
    try {
      await this.#tasks.settle();
      await store[Symbol.asyncDispose]();
      const clean = owned.isExact ? '1' : '0';
      await index.setMarkers({ clean, owned: String(owned.bytes) });
    } finally {
      await stack[Symbol.asyncDispose]();
    }
  }

  *#problems(status: StoreStatus): Iterable<PeerProblem> {
    if (status.checksumErrors > 0) {
      yield {
        code: 'checksum-mismatch',
        message: `${status.checksumErrors} blocks on this disk do not match their checksum, first ${status.firstChecksumError}`,
        action: 'check the disk; restore the files that give EIO from a copy',
      };
    }
    if (status.failedSyncs > 0) {
      yield {
        code: 'sync-failed',
        message: `${status.failedSyncs} files could not be made durable: writing them gives EIO`,
        action: 'check the disk, then restart dfs; what was written last to them may be lost',
      };
    }
    if (this.store.space().bytesFree < FULL_BYTES) {
      yield {
        code: 'disk-full',
        message: 'the disk under this store is full: writing new data gives ENOSPC',
        action: 'delete files, or make room on the disk',
      };
    }
  }
}
