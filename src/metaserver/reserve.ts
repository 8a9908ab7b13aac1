/**
 * A file that only takes up space, so that there is some to give when the disk is full. Given up
 * synchronously, since the next delete needs it; filled in the background.
 */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { FsError, systemCode, toFsError } from '../common/errno.ts';

/** Allocates blocks for the first `length` bytes. Throws an error with `code` like Node's. */
export type Allocate = (fd: number, length: number) => void;

export interface ReserveOptions {
  readonly file: string;
  /** What it should hold when it is whole. */
  readonly bytesWanted: number;
  readonly allocate: Allocate;
}

const ZEROS = new Uint8Array(1024 * 1024);

export class Reserve {
  readonly #file: string;
  readonly #allocate: Allocate;
  readonly #bytesWanted: number;
  #bytes: number;

  private constructor(options: ReserveOptions, bytes: number) {
    this.#file = options.file;
    this.#allocate = options.allocate;
    this.#bytesWanted = options.bytesWanted;
    this.#bytes = bytes;
  }

  /** Makes and fills the file. @throws FsError ENOSPC, EEXIST */
  static async create(options: ReserveOptions): Promise<Reserve> {
    const reserve = new Reserve(options, 0);
    await reserve.#fill('wx');
    return reserve;
  }

  /** Takes the file as an earlier life left it; a missing one counts as given up. */
  static async open(options: ReserveOptions): Promise<Reserve> {
    const bytes = await sizeOf(options.file);
    const bytesWanted = bytes > 0 ? bytes : options.bytesWanted;
    return new Reserve({ ...options, bytesWanted }, bytes);
  }

  get state(): { readonly reserveBytes: number; readonly reserveBytesWanted: number } {
    return { reserveBytes: this.#bytes, reserveBytesWanted: this.#bytesWanted };
  }

  release(): void {
    this.#bytes = 0;
    const fd = openSync(this.#file, 'r+');
    try {
      ftruncateSync(fd, 0);
    } finally {
      closeSync(fd);
    }
  }

  /** @throws FsError ENOSPC, EIO; the file is then empty */
  async refill(): Promise<void> {
    await this.#fill('w');
  }

  async #fill(flags: 'w' | 'wx'): Promise<void> {
    try {
      await using file = await open(this.#file, flags, 0o600);
      try {
        await this.#allocateBytes(file);
        await file.sync();
      } catch (error) {
        await file.truncate(0);
        throw error;
      }
      this.#bytes = this.#bytesWanted;
    } catch (error) {
      throw toFsError(error, `cannot reserve ${this.#bytesWanted} bytes in ${this.#file}`);
    }
  }

  async #allocateBytes(file: FileHandle): Promise<void> {
    if (this.#bytesWanted === 0) return;
    try {
      this.#allocate(file.fd, this.#bytesWanted);
    } catch (error) {
      if (systemCode(error) !== 'EOPNOTSUPP') throw error;
      for (let at = 0; at < this.#bytesWanted; at += ZEROS.length) {
        const length = Math.min(ZEROS.length, this.#bytesWanted - at);
        const { bytesWritten } = await file.write(ZEROS, 0, length, at);
        if (bytesWritten < length) throw new FsError('ENOSPC', 'the disk is full');
      }
    }
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    await using handle = await open(file, 'r');
    return (await handle.stat()).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw toFsError(error, `cannot open ${file}`);
  }
}
