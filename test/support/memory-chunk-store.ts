import { FILE_BYTES_MAX } from '../../src/common/attr.ts';
import type { GroupView } from '../../src/common/cluster-map.ts';
import { FsError } from '../../src/common/errno.ts';
import {
  BLOCK_BYTES,
  BLOCKS_PER_CHUNK,
  type Epoch,
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
import { type SpaceAsk, type SpaceDraw, SpaceLedger } from '../../src/peer/core/grants.ts';

const SECTOR_BYTES = 512;

interface MemoryFile {
  readonly pages: Map<number, Uint8Array>;
  /** Versions of pages. */
  readonly seqs: Map<number, number>;
  bytes: number;
}

/** A chunk store without a disk, for tests of what stands on one; it keeps whole pages. */
export class MemoryChunkStore implements ChunkStore {
  readonly #files = new Map<Ino, MemoryFile>();
  readonly #capacityBytes: number;
  readonly #ledger = new SpaceLedger();
  #groups = new Map<GroupId, Epoch>();
  #pageCount = 0;
  #lastSeq = 0;

  constructor(options: { readonly capacityBytes?: number } = {}) {
    this.#capacityBytes = options.capacityBytes ?? 2 ** 40;
  }

  read(ino: Ino, offset: number, target: Uint8Array): void {
    const file = this.#files.get(ino);
    target.fill(0);
    for (const { page, at, length, from } of pieces(offset, target.length)) {
      const source = file?.pages.get(page);
      if (source !== undefined) target.set(source.subarray(at, at + length), from);
    }
  }

  readBlocks(rg: GroupId, ino: Ino, run: BlockRun, target: Uint8Array): BlockVersions {
    const epoch = this.#groups.get(rg);
    if (epoch === undefined) throw new FsError('ESTALE', `replica group ${rg}`);
    const first = run.chunk * BLOCKS_PER_CHUNK + run.blockFirst;
    this.read(ino, first * BLOCK_BYTES, target);
    const file = this.#files.get(ino);
    const count = run.blockEnd - run.blockFirst;
    const seqs = Float64Array.from({ length: count }, (_, at) => file?.seqs.get(first + at) ?? 0);
    return { epochs: Uint32Array.from(seqs, (seq) => (seq === 0 ? 0 : epoch)), seqs };
  }

  check(context: DataContext): void {
    if (this.#groups.get(context.rg) === context.rgEpoch) return;
    throw new FsError('ESTALE', `replica group ${context.rg} epoch ${context.rgEpoch}`);
  }

  /** Time stands still here: promises do not end by themselves. */
  reserve(context: DataContext, ask: SpaceAsk): number {
    this.check(context);
    this.#ledger.measured(this.space().bytesFree);
    const bytes = this.#ledger.reserve(context.sid, ask, 0);
    if (bytes === undefined) throw new FsError('ENOSPC', `no space for ${ask.neededBytes} bytes`);
    return bytes;
  }

  unreserve(sid: SessionId): void {
    this.#ledger.unreserve(sid);
  }

  commit(context: DataContext, ino: Ino, record: DataRecord): void {
    this.check(context);
    switch (record.kind) {
      case 'write':
        this.#write(context, ino, record);
        return;
      case 'truncate':
        this.#truncate(ino, record.size);
        return;
      case 'extend':
        this.#truncate(ino, Math.max(record.size, this.#file(ino).bytes));
        return;
      case 'zero':
        this.#zero(ino, record.offset, record.length);
    }
  }

  async reconcile(ino: Ino, size: number): Promise<void> {
    const file = this.#files.get(ino);
    if (file !== undefined && file.bytes > size) this.#truncate(ino, size);
  }

  async fsync(): Promise<void> {}

  async syncAll(): Promise<void> {}

  release(): void {}

  async remove(inos: readonly Ino[]): Promise<void> {
    for (const ino of inos) {
      this.#pageCount -= this.#files.get(ino)?.pages.size ?? 0;
      this.#files.delete(ino);
    }
  }

  blocks(ino: Ino): number {
    return ((this.#files.get(ino)?.pages.size ?? 0) * BLOCK_BYTES) / SECTOR_BYTES;
  }

  space(): StoreSpace {
    const bytesOwned = this.#pageCount * BLOCK_BYTES;
    const bytesTotal = this.#capacityBytes;
    return { bytesTotal, bytesFree: bytesTotal - bytesOwned, bytesOwned, bytesCached: 0 };
  }

  setGroups(groups: readonly GroupView[]): void {
    this.#groups = new Map(groups.map((group) => [group.rg, group.epoch]));
  }

  #takeSeq(): number {
    this.#lastSeq += 1;
    return this.#lastSeq;
  }

  #file(ino: Ino): MemoryFile {
    let file = this.#files.get(ino);
    if (file === undefined) {
      file = { pages: new Map(), seqs: new Map(), bytes: 0 };
      this.#files.set(ino, file);
    }
    return file;
  }

  #write(
    { sid }: DataContext,
    ino: Ino,
    { data, offset, promisedBytes = 0 }: Extract<DataRecord, { kind: 'write' }>,
  ): void {
    if (offset + data.length > FILE_BYTES_MAX) throw new FsError('EFBIG', `write at ${offset}`);
    if (data.length === 0) return;
    const file = this.#file(ino);
    const all = [...pieces(offset, data.length)];
    const missing = all.filter(({ page }) => !file.pages.has(page)).length;
    const draw: SpaceDraw = { sid, promisedBytes };
    this.#ledger.measured(this.space().bytesFree);
    if (!this.#ledger.charge(ino, missing * BLOCK_BYTES, draw)) {
      throw new FsError('ENOSPC', `no space for ${data.length} bytes`);
    }
    for (const { page, at, length, from } of all) {
      let target = file.pages.get(page);
      if (target === undefined) {
        target = new Uint8Array(BLOCK_BYTES);
        file.pages.set(page, target);
      }
      target.set(data.subarray(from, from + length), at);
      file.seqs.set(page, this.#takeSeq());
    }
    this.#pageCount += missing;
    file.bytes = Math.max(file.bytes, offset + data.length);
  }

  #truncate(ino: Ino, size: number): void {
    const file = this.#file(ino);
    if (size < file.bytes) this.#zero(ino, size, file.bytes - size);
    file.bytes = size;
  }

  #zero(ino: Ino, offset: number, length: number): void {
    const file = this.#file(ino);
    const end = Math.min(offset + length, file.bytes);
    for (const [page, bytes] of file.pages) {
      const base = page * BLOCK_BYTES;
      const from = Math.max(offset, base);
      const to = Math.min(end, base + BLOCK_BYTES);
      if (from >= to) continue;
      bytes.fill(0, from - base, to - base);
      file.seqs.set(page, this.#takeSeq());
      if (to - from < BLOCK_BYTES) continue;
      file.pages.delete(page);
      file.seqs.delete(page);
      this.#pageCount -= 1;
    }
  }
}

interface Piece {
  readonly page: number;
  readonly at: number;
  readonly length: number;
  /** Offset from the start of the range. */
  readonly from: number;
}

function* pieces(offset: number, length: number): Iterable<Piece> {
  for (let from = 0; from < length; ) {
    const page = Math.floor((offset + from) / BLOCK_BYTES);
    const at = offset + from - page * BLOCK_BYTES;
    const part = Math.min(BLOCK_BYTES - at, length - from);
    yield { page, at, length: part, from };
    from += part;
  }
}
