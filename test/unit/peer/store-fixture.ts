import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../../src/common/clock.ts';
import { FsError } from '../../../src/common/errno.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { ChunkIndex } from '../../../src/peer/chunk-index.ts';
import { DiskChunkStore } from '../../../src/peer/disk-store.ts';
import { type FileIo, hostFileIo } from '../../../src/peer/file-io.ts';
import { LevelIndex } from '../../../src/peer/level-index.ts';
import { OwnedBytes } from '../../../src/peer/owned-bytes.ts';
import { DEFAULT_LIMITS, type StoreLimits } from '../../../src/peer/store-options.ts';
import { groupView } from '../../support/store-helpers.ts';

export interface FixtureOptions {
  readonly io?: FileIo;
  readonly limits?: Partial<StoreLimits>;
  /** Stands in for the database. */
  readonly index?: ChunkIndex;
}

interface Life {
  isOver: boolean;
}

/** The same object, until the life of the process that uses it is over: then it only closes. */
function mortal<T extends object>(target: T, life: Life): T {
  return new Proxy(target, {
    get: (_, key): unknown => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (life.isOver && key !== 'close') throw new FsError('EIO', 'the power is off');
        return Reflect.apply(value, target, args);
      };
    },
  });
}

/** A store on a temporary folder that can be ended and started again; its clock stands still. */
export class StoreFixture {
  readonly dir: string;
  readonly clock = new ManualClock();
  readonly #options: FixtureOptions;
  #store: DiskChunkStore | undefined;
  #level: LevelIndex | undefined;
  readonly #abandoned: DiskChunkStore[] = [];
  #life: Life = { isOver: false };
  #epoch = 0;

  private constructor(dir: string, options: FixtureOptions) {
    this.dir = dir;
    this.#options = options;
  }

  static async open(options: FixtureOptions = {}): Promise<StoreFixture> {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-store-'));
    await LevelIndex.create(join(dir, 'index'));
    await mkdir(join(dir, 'data'));
    const fixture = new StoreFixture(dir, options);
    await fixture.start();
    return fixture;
  }

  get store(): DiskChunkStore {
    if (this.#store === undefined) throw new Error('the store is not open');
    return this.#store;
  }

  get epoch(): number {
    return this.#epoch;
  }

  pathOf(ino: number): string {
    const hex = (Math.floor(ino / 256) % 65_536).toString(16).padStart(4, '0');
    return join(this.dir, 'data', hex.slice(0, 2), hex.slice(2), String(ino));
  }

  async start(): Promise<void> {
    const { index, io, limits } = this.#options;
    if (index === undefined) this.#level = await LevelIndex.open(join(this.dir, 'index'));
    const used = index ?? this.#level;
    const life: Life = { isOver: false };
    this.#life = life;
    if (used === undefined) throw new Error('no index');
    this.#store = DiskChunkStore.open({
      dataDir: join(this.dir, 'data'),
      index: mortal(used, life),
      io: mortal(io ?? hostFileIo, life),
      clock: this.clock,
      log: silentLogger,
      owned: new OwnedBytes(0),
      limits: { ...DEFAULT_LIMITS, ...limits },
    });
    this.#epoch += 1;
    this.#store.setGroups([groupView(this.#epoch)]);
  }

  async stop(): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]();
    await this.#level?.[Symbol.asyncDispose]();
    this.#store = undefined;
    this.#level = undefined;
  }

  async reopen(): Promise<DiskChunkStore> {
    await this.stop();
    await this.start();
    return this.store;
  }

  /** The old store is left lying, as a process that died leaves it, and a new one starts. */
  async restartAfterCrash(): Promise<void> {
    this.#life.isOver = true;
    await this.#level?.[Symbol.asyncDispose]();
    this.#abandoned.push(this.store);
    await this.start();
  }

  /** Seals everything that may be sealed. */
  async settle(): Promise<void> {
    this.clock.advance(6_000);
    await this.store.sealIdle();
  }

  async close(): Promise<void> {
    await this.stop();
    for (const store of this.#abandoned) await store[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}
