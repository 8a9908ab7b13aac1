/**
 * The inodes in memory, bounded: files without anything pending are dropped first, chunk states
 * with their file or when there are too many of them. Far above the bound, files that only wait
 * to be sealed go too; their chunks then stay open.
 */
import { toFsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import type { BackingFiles } from './backing-files.ts';
import type { ChunkIndex } from './chunk-index.ts';
import { ChunkState } from './core/chunk-state.ts';
import type { ChunkRange } from './core/touched.ts';
import type { FileIo } from './file-io.ts';
import { FileState } from './file-state.ts';

const SECTOR_BYTES = 512;
/** How many files are looked at to make room for one. */
const EVICTION_STEPS = 8;
const EVERY_CHUNK: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY };

export interface FileTableOptions {
  readonly backing: BackingFiles;
  readonly index: ChunkIndex;
  readonly io: FileIo;
  readonly filesMax: number;
  readonly chunksMax: number;
  readonly sync: (file: FileState) => Promise<void>;
}

export class FileTable {
  readonly #options: FileTableOptions;
  readonly #files = new Map<Ino, FileState>();
  #chunkCount = 0;

  constructor(options: FileTableOptions) {
    this.#options = options;
  }

  find(ino: Ino): FileState | undefined {
    return this.#files.get(ino);
  }

  /** The inode's state, from the disk when it is not in memory. @throws FsError */
  get(ino: Ino): FileState {
    return this.#files.get(ino) ?? this.#load(ino);
  }

  values(): Iterable<FileState> {
    return this.#files.values();
  }

  drop(file: FileState): void {
    this.dropChunks(file, EVERY_CHUNK);
    if (this.#files.get(file.ino) === file) this.#files.delete(file.ino);
  }

  /** The file is going to be deleted: whoever still holds the state finds no file behind it. */
  discard(file: FileState): void {
    file.isPresent = false;
    this.drop(file);
  }

  /** Without keeping what had to be looked up. */
  isSealed(file: FileState, chunk: number): boolean {
    const known = file.chunks.get(chunk);
    if (known !== undefined) return known.isSealed;
    return this.#options.index.getSealed(file.ino, chunk) !== undefined;
  }

  chunk(file: FileState, chunk: number): ChunkState {
    return file.chunks.get(chunk) ?? this.#loadChunk(file, chunk);
  }

  dropChunks(file: FileState, range: ChunkRange): void {
    for (const chunk of file.chunks.keys()) {
      if (chunk < range.first || chunk >= range.end) continue;
      file.chunks.delete(chunk);
      this.#chunkCount -= 1;
    }
  }

  #load(ino: Ino): FileState {
    const { backing, io, sync } = this.#options;
    try {
      const stat = io.stat(backing.pathOf(ino));
      const file = new FileState({
        ino,
        isPresent: stat !== undefined,
        bytes: stat?.size ?? 0,
        allocatedBytes: (stat?.blocks ?? 0) * SECTOR_BYTES,
        sync,
      });
      if (this.#files.size >= this.#options.filesMax) this.#evictFiles();
      this.#files.set(ino, file);
      return file;
    } catch (error) {
      throw toFsError(error, `look at the backing file of ino=${ino}`);
    }
  }

  #loadChunk(file: FileState, chunk: number): ChunkState {
    const table = this.#options.index.getSealed(file.ino, chunk);
    const state = table === undefined ? ChunkState.open() : ChunkState.sealed(table);
    if (this.#chunkCount >= this.#options.chunksMax) this.#evictChunks(file);
    file.chunks.set(chunk, state);
    this.#chunkCount += 1;
    return state;
  }

  /** Files that must stay go to the back of the line, so that the front does not fill with them. */
  #evictFiles(): void {
    const crowded = this.#files.size >= 2 * this.#options.filesMax;
    for (const file of this.#oldest()) {
      const settled = crowded ? file.isSynced : file.isSynced && file.unsealed.size === 0;
      if (settled) this.drop(file);
    }
  }

  /**
   * Chunk states of an old file go first, then the older half of the wanting file's own. A busy file
   * keeps them: a claim on its way to the index is known from memory only.
   */
  #evictChunks(wanting: FileState): void {
    for (const file of this.#oldest()) {
      if (file === wanting || file.chunks.size === 0 || file.queue.isBusy) continue;
      this.dropChunks(file, EVERY_CHUNK);
      return;
    }
    if (wanting.queue.isBusy) return;
    let left = Math.ceil(wanting.chunks.size / 2);
    for (const chunk of wanting.chunks.keys()) {
      if (left === 0) return;
      left -= 1;
      wanting.chunks.delete(chunk);
      this.#chunkCount -= 1;
    }
  }

  /** A few files from the front of the line; each goes to the back. */
  *#oldest(): Iterable<FileState> {
    let steps = EVICTION_STEPS;
    for (const [ino, file] of this.#files) {
      if (steps === 0) return;
      steps -= 1;
      this.#files.delete(ino);
      this.#files.set(ino, file);
      yield file;
    }
  }
}
