/**
 * Reads files of other peers: from the cache where the versions are known and the blocks are here,
 * else from the home, which sends only what this machine does not hold.
 */
import { FsError, toFsError } from '../../common/errno.ts';
import {
  BLOCK_BYTES,
  BLOCKS_PER_CHUNK,
  CHUNK_BYTES,
  type Ino,
  type NodeId,
} from '../../common/ids.ts';
import type { TaskGroup } from '../../common/lifecycle.ts';
import type { ChunkCache } from '../../peer/chunk-cache.ts';
import type { ChunkClient, ReceivedBlocks } from '../../peer/chunk-client.ts';
import type { BlockRun, BlockVersions } from '../../peer/chunk-store.ts';
import type { RequestContext, Result } from '../driver/driver.ts';
import type { Inode } from '../vfs/inode.ts';
import { type Arrived, BlockFetch, type Wanted } from './block-fetch.ts';
import type { HomeAttempt, HomeCalls } from './home-calls.ts';
import type { DataVersion, KnownVersions } from './known-versions.ts';
import { interruptible } from './patience.ts';
import type { Rights } from './rights.ts';

/** Blocks said to be unchanged vanish from the cache so seldom that two more tries are plenty. */
const TRIES = 3;
/** While a home is away, so many others are asked for what they have cached, so long each. */
const CACHES_ASKED = 8;
const CACHE_MS = 2_000;

/** Reads of files of other peers, a part of a chunk each, since the node was started. */
export interface ReadCounts {
  /** Answered from the cache. */
  hits: number;
  misses: number;
}

export interface RemoteReaderOptions {
  readonly cache: ChunkCache;
  readonly client: Pick<ChunkClient, 'read'>;
  readonly calls: HomeCalls;
  readonly rights: Rights;
  readonly versions: KnownVersions;
  readonly tasks: TaskGroup;
  readonly counts: ReadCounts;
  /** This node. */
  readonly self: NodeId;
}

export class RemoteReader {
  readonly #options: RemoteReaderOptions;
  readonly #fetches = new Map<Ino, BlockFetch[]>();
  readonly #lastEnd = new Map<Ino, number>();

  constructor(options: RemoteReaderOptions) {
    this.#options = options;
  }

  /** The range lies below the published size. */
  read(context: RequestContext, inode: Inode, offset: number, target: Uint8Array): Result<void> {
    const { counts } = this.#options;
    const waits: Promise<void>[] = [];
    const sequential = offset === 0 || this.#lastEnd.get(inode.ino) === offset;
    this.#lastEnd.set(inode.ino, offset + target.length);
    for (const wanted of parts(offset, target)) {
      if (this.#fromCache(inode, wanted)) counts.hits += 1;
      else {
        counts.misses += 1;
        waits.push(this.#fetched(inode, wanted, sequential));
      }
    }
    if (sequential) this.#readAhead(inode, offset + target.length);
    if (waits.length === 0) return undefined;
    const from: `peer ${string}` = `peer ${this.#options.rights.home(inode.rg)?.name ?? 'unknown'}`;
    return interruptible(context, from, Promise.all(waits)).then(() => undefined);
  }

  forget(ino: Ino): void {
    this.#lastEnd.delete(ino);
  }

  /** The file is gone: nobody will want what is cached of it. */
  drop(ino: Ino): void {
    this.forget(ino);
    this.#options.versions.drop(ino);
    this.#options.cache.drop([ino]);
  }

  #version(inode: Inode): DataVersion {
    return { dv: inode.dv, rgEpoch: this.#options.rights.view.group(inode.rg)?.epoch ?? 0 };
  }

  #fromCache(inode: Inode, { offset, target }: Wanted): boolean {
    const { cache, versions } = this.#options;
    const known = versions.get(inode.ino, this.#version(inode), blocksOf(offset, target.length));
    return known !== undefined && cache.read(inode.ino, offset, target, known);
  }

  async #fetched(inode: Inode, wanted: Wanted, sequential: boolean): Promise<void> {
    const needed = blocksOf(wanted.offset, wanted.target.length);
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const running = this.#fetches
        .get(inode.ino)
        ?.find((fetch) => fetch.offers(needed, this.#version(inode)));
      const run = sequential ? { ...needed, blockEnd: lastBlock(inode, needed.chunk) } : needed;
      const fetch = running ?? this.#start(inode, run, tries === 1);
      if ((await fetch.wait(wanted)) === 'filled') return;
      if (this.#fromCache(inode, wanted)) return;
    }
    throw new FsError('EIO', `blocks of ino ${inode.ino} vanish as soon as they are fetched`);
  }

  #readAhead(inode: Inode, position: number): void {
    const chunk = Math.floor(position / CHUNK_BYTES) + (position % CHUNK_BYTES === 0 ? 0 : 1);
    if (chunk * CHUNK_BYTES >= inode.publishedSize) return;
    const run = { chunk, blockFirst: 0, blockEnd: lastBlock(inode, chunk) };
    if (this.#options.versions.get(inode.ino, this.#version(inode), run) !== undefined) return;
    const running = this.#fetches.get(inode.ino) ?? [];
    if (running.some((fetch) => fetch.brings(chunk, this.#version(inode)))) return;
    this.#start(inode, run, true);
  }

  #start(inode: Inode, run: BlockRun, conditional: boolean): BlockFetch {
    const fetch = new BlockFetch(run, this.#version(inode));
    const running = this.#fetches.get(inode.ino) ?? [];
    this.#fetches.set(inode.ino, [...running, fetch]);
    this.#options.tasks.run(async () => {
      try {
        await this.#transfer(inode, fetch, conditional);
        fetch.end(undefined);
      } catch (error) {
        fetch.end(toFsError(error, 'fetch blocks'));
      } finally {
        const left = (this.#fetches.get(inode.ino) ?? []).filter((other) => other !== fetch);
        if (left.length > 0) this.#fetches.set(inode.ino, left);
        else this.#fetches.delete(inode.ino);
      }
    });
    return fetch;
  }

  async #transfer(inode: Inode, fetch: BlockFetch, conditional: boolean): Promise<void> {
    const { calls } = this.#options;
    await calls.run(inode, undefined, async (attempt) => {
      const isDown = this.#options.rights.home(inode.rg)?.up === false;
      if (isDown && (await this.#fromCaches(inode, fetch, attempt))) return;
      try {
        await this.#fromHome(inode, fetch, attempt, conditional);
      } catch (error) {
        const isAway = error instanceof FsError && error.code === 'EHOSTUNREACH';
        if (isDown || !isAway || !(await this.#fromCaches(inode, fetch, attempt))) throw error;
      }
    });
  }

  async #fromHome(
    inode: Inode,
    fetch: BlockFetch,
    { target, right, signal }: HomeAttempt,
    conditional: boolean,
  ): Promise<void> {
    const { cache, client } = this.#options;
    const { ino } = inode;
    const version = { dv: inode.dv, rgEpoch: right.rgEpoch };
    fetch.restart(version);
    const held = conditional ? cache.held(ino, fetch.run.chunk) : undefined;
    const have = held && heldOf(held, fetch.run);
    const request = { right, ino, run: fetch.run, ...(have !== undefined && { have }) };
    await client.read(
      target,
      request,
      (blocks) => this.#arrived(inode, fetch, version, blocks),
      signal,
    );
  }

  /** The home is away: another peer may have what is wanted. @returns whether one had all of it */
  async #fromCaches(
    inode: Inode,
    fetch: BlockFetch,
    { target, right, signal }: HomeAttempt,
  ): Promise<boolean> {
    const { client, rights, self } = this.#options;
    const version = { dv: inode.dv, rgEpoch: right.rgEpoch };
    const request = { right, ino: inode.ino, run: fetch.run, cachedDv: version.dv };
    const asked = [...rights.view.map.peers.values()].filter(
      ({ nodeId, up }) => up && nodeId !== target.nodeId && nodeId !== self,
    );
    for (const { address, name, nodeId } of asked.slice(0, CACHES_ASKED)) {
      if (address === undefined || signal.aborted) continue;
      fetch.restart(version);
      const bound = AbortSignal.any([signal, AbortSignal.timeout(CACHE_MS)]);
      const arrived = (blocks: ReceivedBlocks): void =>
        this.#arrived(inode, fetch, version, blocks);
      try {
        await client.read({ nodeId, name, address }, request, arrived, bound);
        return true;
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
      }
    }
    return false;
  }

  #arrived(inode: Inode, fetch: BlockFetch, version: DataVersion, blocks: ReceivedBlocks): void {
    fetch.arrived(this.#take(inode.ino, fetch.run.chunk, version, blocks));
  }

  /** Keeps what arrived. */
  #take(ino: Ino, chunk: number, version: DataVersion, blocks: ReceivedBlocks): Arrived {
    const { cache, versions } = this.#options;
    const { blockFirst, count, crcs, data, unchanged } = blocks;
    const run = { chunk, blockFirst, blockEnd: blockFirst + count };
    if (!unchanged) cache.put(ino, run, { versions: blocks.versions, crcs, data });
    versions.set(ino, version, run, blocks.versions);
    const start = chunk * CHUNK_BYTES + blockFirst * BLOCK_BYTES;
    const fill = (offset: number, target: Uint8Array): boolean => {
      if (unchanged) {
        const known = versions.get(ino, version, run);
        return known !== undefined && cache.read(ino, offset, target, known);
      }
      const bytes = data.subarray(offset - start, offset - start + target.length);
      target.set(bytes);
      target.fill(0, bytes.length);
      return true;
    };
    return { blockFirst, count, fill };
  }
}

/** The parts of a range, one a chunk. */
function* parts(offset: number, target: Uint8Array): Iterable<Wanted> {
  const end = offset + target.length;
  for (let position = offset; position < end; ) {
    const stop = Math.min(end, (Math.floor(position / CHUNK_BYTES) + 1) * CHUNK_BYTES);
    yield { offset: position, target: target.subarray(position - offset, stop - offset) };
    position = stop;
  }
}

/** The blocks a range inside one chunk lies in. */
function blocksOf(offset: number, length: number): BlockRun {
  const chunk = Math.floor(offset / CHUNK_BYTES);
  const base = chunk * CHUNK_BYTES;
  return {
    chunk,
    blockFirst: Math.floor((offset - base) / BLOCK_BYTES),
    blockEnd: Math.ceil((offset + length - base) / BLOCK_BYTES),
  };
}

/** Where the published bytes of a chunk end, in blocks. */
function lastBlock(inode: Inode, chunk: number): number {
  const bytes = inode.publishedSize - chunk * CHUNK_BYTES;
  return Math.max(1, Math.min(BLOCKS_PER_CHUNK, Math.ceil(bytes / BLOCK_BYTES)));
}

/** What is held of the run, one entry a block; seq 0 where nothing is. */
function heldOf(held: BlockVersions & { readonly held: Uint8Array }, run: BlockRun): BlockVersions {
  const epochs = held.epochs.slice(run.blockFirst, run.blockEnd);
  const seqs = held.seqs.slice(run.blockFirst, run.blockEnd);
  for (let at = 0; at < seqs.length; at += 1) {
    if (held.held[run.blockFirst + at] === 1) continue;
    epochs[at] = 0;
    seqs[at] = 0;
  }
  return { epochs, seqs };
}
