/**
 * Gives chunks their checksums, in the background: once a file was left alone for a while it is
 * synced, and what is then on stable storage is described in the index. A change of the file at
 * any moment makes the work on it void; it is taken up again later.
 *
 * One file at a time, and one piece of it per turn of the event loop.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { native } from '../../native/index.ts';
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import { BLOCK_BYTES, BLOCKS_PER_CHUNK, CHUNK_BYTES } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { BlockReader } from './block-reader.ts';
import type { ChunkIndex } from './chunk-index.ts';
import type { GroupVersions, Version } from './core/versions.ts';
import type { Durability } from './durability.ts';
import type { FileState } from './file-state.ts';
import type { FileTable } from './file-table.ts';

const IDLE_MS = 5_000;
const PIECE_BLOCKS = 16;

export interface SealerOptions {
  readonly files: FileTable;
  readonly index: ChunkIndex;
  readonly reader: BlockReader;
  readonly durability: Durability;
  readonly groups: GroupVersions;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Sealer {
  readonly #options: SealerOptions;
  readonly #piece = new Uint8Array(PIECE_BLOCKS * BLOCK_BYTES);
  #sealedCount = 0;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /** Chunks sealed since the start. */
  get sealedCount(): number {
    return this.#sealedCount;
  }

  /** Seals the files nobody changed for 5 s. */
  async sealIdle(signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.bootMs();
    for (const file of this.#waiting()) {
      if (signal.aborted) return;
      if (nowMs - file.changedMs >= IDLE_MS) await this.#sealFile(file, () => signal.aborted);
    }
  }

  /** Seals what it can within `boundMs`; the rest stays open, which is safe. */
  async sealAll(boundMs: number): Promise<void> {
    const { clock } = this.#options;
    const endMs = clock.bootMs() + boundMs;
    const late = (): boolean => clock.bootMs() >= endMs;
    for (const file of this.#waiting()) {
      if (late()) return;
      await this.#sealFile(file, late);
    }
  }

  #waiting(): FileState[] {
    return [...this.#options.files.values()].filter((file) => file.unsealed.size > 0);
  }

  async #sealFile(file: FileState, stopped: () => boolean): Promise<void> {
    const { durability, files, groups, log } = this.#options;
    const { changes } = file;
    const valid = (): boolean =>
      !stopped() && file.changes === changes && files.find(file.ino) === file;
    try {
      await durability.fsync(file);
      for (const chunk of [...file.unsealed]) {
        const fresh = file.rg === undefined ? undefined : groups.next(file.rg);
        if (fresh === undefined) return;
        const crcs = await this.#checksums(file, chunk, valid);
        if (crcs === undefined) return;
        await file.queue.run(async () => {
          // Another round may have been faster.
          if (!valid() || !file.unsealed.has(chunk)) return;
          await this.#claim(file, chunk, { crcs, fresh });
        });
      }
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      if (file.failure === undefined) log.warn('a file could not be sealed', { error });
    }
  }

  /** Undefined when the file changed meanwhile. */
  async #checksums(
    file: FileState,
    chunk: number,
    valid: () => boolean,
  ): Promise<Uint32Array | undefined> {
    const crcs = new Uint32Array(BLOCKS_PER_CHUNK);
    for (let first = 0; first < BLOCKS_PER_CHUNK; first += PIECE_BLOCKS) {
      if (!valid()) return undefined;
      const position = chunk * CHUNK_BYTES + first * BLOCK_BYTES;
      this.#options.reader.readUnchecked(file, position, this.#piece);
      for (let block = 0; block < PIECE_BLOCKS; block += 1) {
        crcs[first + block] = native.crc32c(0, this.#piece, block * BLOCK_BYTES, BLOCK_BYTES);
      }
      await nextTurn();
    }
    return crcs;
  }

  /**
   * In the file's queue: a change that comes now waits until the index has taken the claim, and
   * withdraws it before it writes.
   */
  async #claim(
    file: FileState,
    chunk: number,
    found: { readonly crcs: Uint32Array; readonly fresh: Version },
  ): Promise<void> {
    const { files, index, reader } = this.#options;
    const { claim, newlyWrong } = files.chunk(file, chunk).seal(found.crcs, found.fresh);
    file.unsealed.delete(chunk);
    for (const block of newlyWrong) reader.noteWrong({ ino: file.ino, chunk, block });
    if (claim === undefined) return;
    await index.putSealed(file.ino, chunk, claim);
    this.#sealedCount += 1;
  }
}
