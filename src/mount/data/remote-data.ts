/**
 * Files whose home is another peer. What is written waits on this disk until close, fsync, five
 * seconds or 64 MiB send the written ranges to the home; until they are published they stay here
 * too, and lie over what is read (H4, H6 in docs/PROTOCOL.md). What makes a file longer is accepted
 * when the home has promised space for it (H13).
 */
import type { Attr, Timespec } from '../../common/attr.ts';
import { FsError } from '../../common/errno.ts';
import { BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES, type Ino } from '../../common/ids.ts';
import type { TaskGroup } from '../../common/lifecycle.ts';
import type { Logger } from '../../common/log.ts';
import type { ChunkClient } from '../../peer/chunk-client.ts';
import type { WrittenRange } from '../../peer/chunk-store.ts';
import type { Interval, IntervalSet } from '../core/intervals.ts';
import type { RequestContext, Result } from '../driver/driver.ts';
import type { DirtyAttr, Inode } from '../vfs/inode.ts';
import type { DataPath, HomeState, Publish } from './data-path.ts';
import type { HomeAttempt, HomeCalls } from './home-calls.ts';
import type { DataVersion, KnownVersions } from './known-versions.ts';
import type { RemoteReader } from './remote-reader.ts';
import type { Rights } from './rights.ts';
import type { SpaceGrants } from './space-grants.ts';
import type { WriteJournal } from './write-journal.ts';
import type { WritebackFiles } from './writeback-files.ts';
import { Written } from './written.ts';

const PIECE_BYTES = 512 * 1024;
const CALL_BYTES = 32 * 1024 * 1024;
/** This much waiting starts a transfer, twice as much makes writers wait for one. */
const WAITING_BYTES = 64 * 1024 * 1024;
const SECTOR_BYTES = 512;

export interface RemoteDataOptions {
  readonly files: WritebackFiles;
  readonly journal: Pick<WriteJournal, 'wrote' | 'left' | 'clean'>;
  readonly client: Pick<ChunkClient, 'write' | 'cut' | 'sync'>;
  readonly calls: HomeCalls;
  readonly space: SpaceGrants;
  readonly reader: RemoteReader;
  readonly rights: Rights;
  readonly versions: KnownVersions;
  readonly tasks: TaskGroup;
  readonly log: Logger;
}

export class RemoteData implements DataPath {
  readonly #options: RemoteDataOptions;
  readonly #written = new Map<Ino, Written>();
  #waitingBytes = 0;

  constructor(options: RemoteDataOptions) {
    this.#options = options;
  }

  created(): void {
    // Its home learns of it with the first call.
  }

  read(context: RequestContext, inode: Inode, offset: number, target: Uint8Array): Result<void> {
    const end = offset + target.length;
    const written = this.#written.get(inode.ino);
    if (written?.covers(offset, end) === true) {
      this.#options.files.read(inode.ino, offset, target);
      return undefined;
    }
    // Copies: what is published while the rest is fetched is not here any more then.
    const patches = this.#overlay(inode.ino, offset, end).map(({ start, end: stop }) => {
      const bytes = new Uint8Array(stop - start);
      this.#options.files.read(inode.ino, start, bytes);
      return { start, bytes };
    });
    const lay = (): void => {
      for (const { start, bytes } of patches) target.set(bytes, start - offset);
      for (const { start, end: stop } of this.#overlay(inode.ino, offset, end)) {
        this.#options.files.read(inode.ino, start, target.subarray(start - offset, stop - offset));
      }
    };
    const published = Math.max(0, Math.min(target.length, inode.publishedSize - offset));
    target.fill(0, published);
    const base = target.subarray(0, published);
    const done =
      published > 0 ? this.#options.reader.read(context, inode, offset, base) : undefined;
    if (done instanceof Promise) return done.then(lay);
    lay();
    return undefined;
  }

  mustPrepare(): boolean {
    return false;
  }

  async prepare(): Promise<void> {
    // Cuts are the business of the home.
  }

  mustReserve(inode: Inode, offset: number, length: number): boolean {
    const written = this.#written.get(inode.ino);
    if (written?.queue.isBusy === true && this.#waitingBytes >= 2 * WAITING_BYTES) return true;
    return !this.#options.space.covers(inode, this.#growth(inode, offset, length));
  }

  async reserve(
    inode: Inode,
    offset: number,
    length: number,
    waiter: RequestContext,
  ): Promise<void> {
    if (this.#waitingBytes >= 2 * WAITING_BYTES) {
      await this.#written.get(inode.ino)?.queue.drain();
    }
    const ask = (): Promise<void> =>
      this.#options.space.ask(inode, this.#growth(inode, offset, length), waiter);
    try {
      await ask().catch(async (error: unknown) => {
        if (!isError(error, 'ENOSPC') || !(await this.#countedOnce(inode, waiter))) throw error;
        await ask();
      });
    } catch (error) {
      if (!isError(error, 'ENOLCK')) throw error;
      throw new FsError('EIO', 'this machine was evicted meanwhile', { cause: error });
    }
  }

  write(inode: Inode, offset: number, data: Uint8Array, now: Timespec): Result<void> {
    const written = this.#of(inode);
    const end = offset + data.length;
    this.#options.files.write(inode.ino, offset, data);
    this.#account(written, () => written.add(offset, end, growsFrom(inode)));
    inode.wrote(end, now);
    this.#options.journal.wrote(inode, { start: offset, end });
    if (this.#waitingBytes >= WAITING_BYTES && !written.queue.isBusy) {
      this.#options.tasks.run(async () => {
        await written.queue.run(() => this.#send(inode, written, undefined));
      });
    }
    return undefined;
  }

  async publish(inode: Inode, waiter: RequestContext | undefined, publish: Publish): Promise<void> {
    const written = this.#of(inode);
    await written.queue.run(async () => {
      const { dirty, ...state } = await this.#send(inode, written, waiter);
      if (dirty === undefined) return;
      const ranges = written.startPublication();
      const before = { dv: inode.dv, rgEpoch: state.rgEpoch };
      try {
        const attr = await publish(state, dirty);
        this.#carry(inode.ino, attr, before, ranges);
        inode.published(attr, dirty, state);
        written.published();
        this.#options.journal.left(inode, written.ranges());
      } catch (error) {
        written.failed();
        throw error;
      } finally {
        this.#settle(inode.ino, written);
      }
    });
  }

  async again(inode: Inode): Promise<void> {
    const written = this.#written.get(inode.ino);
    if (written === undefined) return;
    this.#account(written, () => written.resend(growsFrom(inode)));
  }

  async sync(inode: Inode, waiter: RequestContext | undefined): Promise<HomeState> {
    const { calls, client } = this.#options;
    const written = this.#of(inode);
    try {
      // One right for both: a home that restarts in between is given everything again.
      return await written.queue.run(() =>
        calls.run(inode, waiter, async (attempt) => {
          const { right, signal, target } = attempt;
          await this.#sendUnder(inode, written, attempt);
          await client.sync(target, { right, ino: inode.ino }, signal);
          return { cuts: right.cuts, rgEpoch: right.rgEpoch };
        }),
      );
    } finally {
      this.#settle(inode.ino, written);
    }
  }

  /** The home must have made earlier cuts before bytes behind them count again. */
  async grow(inode: Inode, _size: number, waiter: RequestContext | undefined): Promise<void> {
    await this.#options.calls.run(inode, waiter, ({ target, right, signal }) =>
      this.#options.client.sync(target, { right, ino: inode.ino }, signal),
    );
  }

  resized(inode: Inode): void {
    this.#options.journal.left(inode, this.#written.get(inode.ino)?.ranges() ?? []);
  }

  /** The home hears of it with the next call at the latest, so nobody waits for this one. */
  async cut(inode: Inode, size: number): Promise<void> {
    const { client, log, rights, tasks, versions } = this.#options;
    const written = this.#written.get(inode.ino);
    if (written !== undefined) {
      this.#account(written, () => written.clip(size));
      this.#options.journal.left(inode, written.ranges());
    }
    versions.drop(inode.ino);
    tasks.run(async () => {
      const peer = rights.home(inode.rg);
      if (peer?.address === undefined) return;
      const target = { nodeId: peer.nodeId, name: peer.name, address: peer.address };
      try {
        await client.cut(target, { right: rights.to(inode), ino: inode.ino, size });
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
        log.debug('the home will hear of a cut later', { ino: inode.ino, error });
      }
    });
  }

  adopt(inode: Inode, ranges: IntervalSet): boolean {
    const last = ranges.ranges().at(-1);
    if (last === undefined) return true;
    const size = this.#options.files.adopt(inode.ino);
    if (size === undefined || size < last.end) return false;
    const written = this.#of(inode);
    this.#account(written, () => {
      for (const { start, end } of ranges.ranges()) written.add(start, end, growsFrom(inode));
    });
    return true;
  }

  release(inode: Inode): void {
    this.#options.reader.forget(inode.ino);
  }

  async setAside(inode: Inode): Promise<string | undefined> {
    const { files, journal, reader } = this.#options;
    const written = this.#written.get(inode.ino);
    if (written === undefined) {
      journal.clean(inode.ino);
      return undefined;
    }
    await written.queue.drain();
    reader.drop(inode.ino);
    this.#written.delete(inode.ino);
    this.#account(written, () => written.clip(0));
    const kept = files.setAside(inode.ino, inode.lseq);
    journal.clean(inode.ino);
    return kept;
  }

  forget({ ino }: { readonly ino: Ino }): void {
    const { files, journal, reader, tasks } = this.#options;
    const written = this.#written.get(ino);
    reader.drop(ino);
    const wasLeft = journal.clean(ino);
    if (written === undefined) {
      if (wasLeft) files.discard(ino);
      return;
    }
    this.#written.delete(ino);
    if (written.queue.isBusy) tasks.run(() => this.#dropSent(ino, written));
    else this.#drop(ino, written);
  }

  /** Whoever sends it still reads the bytes, and gives back what does not arrive. */
  async #dropSent(ino: Ino, written: Written): Promise<void> {
    await written.queue.drain();
    this.#drop(ino, written);
  }

  #drop(ino: Ino, written: Written): void {
    this.#account(written, () => written.clip(0));
    if (!this.#written.has(ino)) this.#options.files.discard(ino);
  }

  blocks(attr: Attr): number {
    return Math.ceil(attr.size / SECTOR_BYTES);
  }

  #of({ ino, rg }: Inode): Written {
    let written = this.#written.get(ino);
    if (written === undefined) {
      written = new Written(rg);
      this.#written.set(ino, written);
    }
    return written;
  }

  /** What waits to be sent, and what of it takes new space at the home, is counted over all files. */
  #account<T>(written: Written, change: () => T): T {
    const { grownBytes, unsentBytes } = written;
    const result = change();
    this.#waitingBytes += written.unsentBytes - unsentBytes;
    this.#options.space.charge(written.rg, written.grownBytes - grownBytes);
    return result;
  }

  #growth(inode: Inode, offset: number, length: number): number {
    const end = offset + length;
    const from = growsFrom(inode);
    const written = this.#written.get(inode.ino);
    return written?.growth(offset, end, from) ?? Math.max(0, end - Math.max(offset, from));
  }

  /**
   * What is sent is counted twice while this mount does not know that the home has it.
   * @returns whether anything was, and is not any more
   */
  async #countedOnce(inode: Inode, waiter: RequestContext): Promise<boolean> {
    const written = this.#written.get(inode.ino);
    const mustSend = written !== undefined && written.grownBytes > 0 && !inode.fenced;
    if (mustSend) await written.queue.run(() => this.#send(inode, written, waiter));
    return (await this.#options.space.sent(inode.rg, waiter)) || mustSend;
  }

  #overlay(ino: Ino, start: number, end: number): Interval[] {
    return this.#written.get(ino)?.within(start, end) ?? [];
  }

  /**
   * In the file's queue.
   * @returns under what the bytes lie at the home now, and the size and mtime that cover them
   */
  #send(
    inode: Inode,
    written: Written,
    waiter: RequestContext | undefined,
  ): Promise<HomeState & { readonly dirty: DirtyAttr | undefined }> {
    return this.#options.calls.run(inode, waiter, async (attempt) => {
      const { right } = attempt;
      const dirty = await this.#sendUnder(inode, written, attempt);
      return { cuts: right.cuts, rgEpoch: right.rgEpoch, dirty };
    });
  }

  #sendUnder(inode: Inode, written: Written, attempt: HomeAttempt): Promise<DirtyAttr | undefined> {
    const taken = this.#account(written, () => written.take(attempt.right, growsFrom(inode)));
    return this.#options.space.during(inode.rg, this.#sendTaken(inode, written, taken, attempt));
  }

  async #sendTaken(
    inode: Inode,
    written: Written,
    taken: IntervalSet,
    { right, signal, target }: HomeAttempt,
  ): Promise<DirtyAttr | undefined> {
    const { dirty } = inode;
    try {
      for (const ranges of batches(taken)) {
        const pieces = this.#pieces(inode.ino, written, ranges);
        await this.#options.client.write(target, { right, ino: inode.ino }, pieces, signal);
      }
      this.#options.space.arrived(inode.rg, written.arrived());
      return dirty;
    } catch (error) {
      this.#account(written, () => written.giveBack(taken));
      throw error;
    } finally {
      for (const range of taken.ranges()) this.#forgetBlocks(inode.ino, range);
    }
  }

  *#pieces(ino: Ino, written: Written, ranges: readonly Interval[]): Iterable<WrittenRange> {
    for (const range of ranges) {
      const data = new Uint8Array(range.end - range.start);
      this.#options.files.read(ino, range.start, data);
      yield { offset: range.start, data, promisedBytes: written.grownIn(range) };
    }
  }

  #forgetBlocks(ino: Ino, { start, end }: Interval): void {
    for (let chunk = Math.floor(start / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk += 1) {
      const base = chunk * CHUNK_BYTES;
      const blockFirst = Math.max(0, Math.floor((start - base) / BLOCK_BYTES));
      const blockEnd = Math.min(BLOCKS_PER_CHUNK, Math.ceil((end - base) / BLOCK_BYTES));
      this.#options.versions.forget(ino, { chunk, blockFirst, blockEnd });
    }
  }

  /**
   * Nobody else has published in between: the blocks not written are what they were `before`. The
   * inode may have learned of the publication already.
   */
  #carry(ino: Ino, attr: Attr, before: DataVersion, ranges: readonly Interval[]): void {
    if (attr.dv !== before.dv + 1) return;
    // Once more: a read that was under way may have brought versions from before the write.
    for (const range of ranges) this.#forgetBlocks(ino, range);
    this.#options.versions.carry(ino, before, { ...before, dv: attr.dv });
  }

  #settle(ino: Ino, written: Written): void {
    if (!written.isEmpty || this.#written.get(ino) !== written) return;
    this.#written.delete(ino);
    this.#options.files.discard(ino);
  }
}

/** From here on a write takes new space at the home; what is gone is not sent any more. */
function growsFrom(inode: Inode): number {
  return inode.gone ? Number.POSITIVE_INFINITY : inode.publishedSize;
}

function isError(error: unknown, code: FsError['code']): boolean {
  return error instanceof FsError && error.code === code;
}

/** Ranges of at most one piece each, so many that a call stays small. */
function* batches(set: IntervalSet): Iterable<readonly Interval[]> {
  let batch: Interval[] = [];
  let bytes = 0;
  for (const range of set.ranges()) {
    for (let start = range.start; start < range.end; start += PIECE_BYTES) {
      const end = Math.min(range.end, start + PIECE_BYTES);
      batch.push({ start, end });
      bytes += end - start;
      if (bytes < CALL_BYTES) continue;
      yield batch;
      batch = [];
      bytes = 0;
    }
  }
  if (batch.length > 0) yield batch;
}
