/**
 * Which versions the blocks of a file have at its home, as far as this mount has asked. They hold
 * for one data version of the file in one epoch of its group (H7 in docs/PROTOCOL.md). Bounded:
 * the file used longest ago goes first; what was forgotten is asked for again.
 */
import { BLOCKS_PER_CHUNK, type Ino } from '../../common/ids.ts';
import type { BlockRun, BlockVersions } from '../../peer/chunk-store.ts';

const CHUNKS_MAX = 65_536;

export interface DataVersion {
  readonly dv: number;
  readonly rgEpoch: number;
}

/** One chunk: `known` is 1 for a block whose version is. */
export interface ChunkVersions extends BlockVersions {
  readonly known: Uint8Array;
}

interface FileVersions extends DataVersion {
  readonly chunks: Map<number, ChunkVersions>;
}

export class KnownVersions {
  readonly #files = new Map<Ino, FileVersions>();
  #chunkCount = 0;

  /** @returns undefined when not all blocks of the run are known at `version` */
  get(ino: Ino, version: DataVersion, run: BlockRun): BlockVersions | undefined {
    const file = this.#files.get(ino);
    if (file === undefined || file.dv !== version.dv || file.rgEpoch !== version.rgEpoch) {
      return undefined;
    }
    const chunk = file.chunks.get(run.chunk);
    if (chunk === undefined) return undefined;
    for (let block = run.blockFirst; block < run.blockEnd; block += 1) {
      if (chunk.known[block] === 0) return undefined;
    }
    return chunk;
  }

  /** `versions` has one entry a block of the run. */
  set(ino: Ino, version: DataVersion, run: BlockRun, versions: BlockVersions): void {
    const chunk = this.#chunk(this.#file(ino, version), run.chunk);
    chunk.known.fill(1, run.blockFirst, run.blockEnd);
    chunk.epochs.set(versions.epochs, run.blockFirst);
    chunk.seqs.set(versions.seqs, run.blockFirst);
  }

  /** The blocks may be others by now. */
  forget(ino: Ino, run: BlockRun): void {
    this.#files.get(ino)?.chunks.get(run.chunk)?.known.fill(0, run.blockFirst, run.blockEnd);
  }

  /** What is known stays right under the next data version. */
  carry(ino: Ino, from: DataVersion, to: DataVersion): void {
    const file = this.#files.get(ino);
    if (file === undefined || file.dv !== from.dv || file.rgEpoch !== from.rgEpoch) return;
    this.#files.set(ino, { ...to, chunks: file.chunks });
  }

  drop(ino: Ino): void {
    this.#chunkCount -= this.#files.get(ino)?.chunks.size ?? 0;
    this.#files.delete(ino);
  }

  #file(ino: Ino, version: DataVersion): FileVersions {
    const known = this.#files.get(ino);
    if (known?.dv === version.dv && known.rgEpoch === version.rgEpoch) {
      this.#files.delete(ino);
      this.#files.set(ino, known);
      return known;
    }
    this.drop(ino);
    const file = { dv: version.dv, rgEpoch: version.rgEpoch, chunks: new Map() };
    this.#files.set(ino, file);
    return file;
  }

  #chunk(file: FileVersions, chunk: number): ChunkVersions {
    const known = file.chunks.get(chunk);
    if (known !== undefined) return known;
    const fresh = {
      known: new Uint8Array(BLOCKS_PER_CHUNK),
      epochs: new Uint32Array(BLOCKS_PER_CHUNK),
      seqs: new Float64Array(BLOCKS_PER_CHUNK),
    };
    file.chunks.set(chunk, fresh);
    this.#chunkCount += 1;
    for (const ino of this.#files.keys()) {
      if (this.#chunkCount <= CHUNKS_MAX || this.#files.get(ino) === file) break;
      this.drop(ino);
    }
    return fresh;
  }
}
