/**
 * Reads bytes of backing files and holds them against the claims of the index: the first read of
 * a claimed block in the life of its state takes the whole block. Bytes that do not match are
 * never handed out: the read fails with EIO.
 */
import { native } from '../../native/index.ts';
import { FsError, toFsError } from '../common/errno.ts';
import { BLOCK_BYTES, CHUNK_BYTES, type Ino } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { BackingFiles } from './backing-files.ts';
import type { ChunkState } from './core/chunk-state.ts';
import type { FileIo } from './file-io.ts';
import type { FileState } from './file-state.ts';
import type { FileTable } from './file-table.ts';

export interface BlockReaderOptions {
  readonly files: FileTable;
  readonly backing: BackingFiles;
  readonly io: FileIo;
  readonly log: Logger;
}

/** Where a block lies. */
interface BlockPlace {
  readonly ino: Ino;
  readonly chunk: number;
  readonly block: number;
}

/** A range inside one chunk. */
interface Part {
  readonly chunk: number;
  readonly position: number;
  readonly target: Uint8Array;
}

export class BlockReader {
  readonly #options: BlockReaderOptions;
  readonly #scratch = new Uint8Array(BLOCK_BYTES);
  #wrongCount = 0;
  #firstWrong: BlockPlace | undefined;

  constructor(options: BlockReaderOptions) {
    this.#options = options;
  }

  /** Blocks found not to match their checksum since the start. */
  get wrongCount(): number {
    return this.#wrongCount;
  }

  get firstWrong(): BlockPlace | undefined {
    return this.#firstWrong;
  }

  /** @throws FsError EIO */
  read(file: FileState, offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    for (let position = offset; position < end; ) {
      const chunk = Math.floor(position / CHUNK_BYTES);
      const stop = Math.min(end, (chunk + 1) * CHUNK_BYTES);
      const part = target.subarray(position - offset, stop - offset);
      this.#readPart(file, { chunk, position, target: part });
      position = stop;
    }
  }

  /** The block is as its claim says, or has none. @throws FsError EIO */
  verify(file: FileState, chunk: number, block: number): void {
    const state = this.#options.files.chunk(file, chunk);
    if (state.mustCheck(block)) this.#verifyBlock(file, state, { ino: file.ino, chunk, block });
  }

  /** Bytes without any check; what the file lacks reads as zeros. */
  readUnchecked(file: FileState, position: number, target: Uint8Array): void {
    const { backing, io } = this.#options;
    if (!file.isPresent || position >= file.bytes) {
      target.fill(0);
      return;
    }
    try {
      const done = io.pread(backing.descriptor(file.ino), target, position);
      if (done < target.length) target.fill(0, done);
    } catch (error) {
      throw toFsError(error, `read ino=${file.ino} at ${position}`);
    }
  }

  noteWrong(place: BlockPlace): void {
    this.#wrongCount += 1;
    this.#firstWrong ??= place;
    this.#options.log.error('a block does not match its checksum', { ...place });
  }

  #readPart(file: FileState, part: Part): void {
    const state = this.#options.files.chunk(file, part.chunk);
    if (!state.hasUnchecked) {
      this.readUnchecked(file, part.position, part.target);
      return;
    }
    const base = part.chunk * CHUNK_BYTES;
    const end = part.position + part.target.length;
    const blockFirst = Math.floor((part.position - base) / BLOCK_BYTES);
    const blockEnd = Math.ceil((end - base) / BLOCK_BYTES);
    const whole: number[] = [];
    for (let block = blockFirst; block < blockEnd; block += 1) {
      if (!state.mustCheck(block)) continue;
      const start = base + block * BLOCK_BYTES;
      if (start >= part.position && start + BLOCK_BYTES <= end) whole.push(block);
      else this.#verifyBlock(file, state, { ino: file.ino, chunk: part.chunk, block });
    }
    this.readUnchecked(file, part.position, part.target);
    for (const block of whole) {
      const at = base + block * BLOCK_BYTES - part.position;
      const crc = native.crc32c(0, part.target, at, BLOCK_BYTES);
      this.#compare(state, { ino: file.ino, chunk: part.chunk, block }, crc);
    }
  }

  #verifyBlock(file: FileState, state: ChunkState, place: BlockPlace): void {
    const position = place.chunk * CHUNK_BYTES + place.block * BLOCK_BYTES;
    this.readUnchecked(file, position, this.#scratch);
    this.#compare(state, place, native.crc32c(0, this.#scratch, 0, BLOCK_BYTES));
  }

  #compare(state: ChunkState, place: BlockPlace, crc: number): void {
    const finding = state.check(place.block, crc);
    if (finding === 'right') return;
    if (finding === 'news') this.noteWrong(place);
    const where = `ino=${place.ino} chunk=${place.chunk} block=${place.block}`;
    throw new FsError('EIO', `${where} does not match its checksum`);
  }
}
