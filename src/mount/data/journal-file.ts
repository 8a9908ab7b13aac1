/**
 * The file a journal is written to: appended to with one pwrite a record, never synced, replaced
 * as a whole by rename. It outlives the process, not the machine.
 */
import { constants as O, openSync, readFileSync, renameSync } from 'node:fs';
import { FsError, systemCode, toFsError } from '../../common/errno.ts';
import { hostFileIo as io } from '../../peer/file-io.ts';

/** Where a journal is written. Every method throws FsError. */
export interface JournalSink {
  /** Its length. */
  readonly bytes: number;
  /** @throws FsError ENOSPC, with nothing appended or a part of it */
  append(record: Uint8Array): void;
  /** All of it, or what was there before. */
  replace(content: Uint8Array): void;
  /** Nothing is left of it. */
  empty(): void;
  close(): void;
}

/** @returns undefined when there is none */
export function readJournalFile(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw toFsError(error, `cannot read ${path}`);
  }
}

export class JournalFile implements JournalSink {
  readonly #path: string;
  #fd: number | undefined;
  #bytes = 0;

  /** Makes nothing: the first thing to do is replace(). */
  constructor(path: string) {
    this.#path = path;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(record: Uint8Array): void {
    if (this.#fd === undefined) throw new FsError('EIO', `${this.#path} is closed`);
    this.#bytes += this.#write(this.#fd, record, this.#bytes);
  }

  replace(content: Uint8Array): void {
    const fresh = `${this.#path}.new`;
    let fd: number | undefined;
    try {
      fd = openSync(fresh, O.O_RDWR | O.O_CREAT | O.O_TRUNC, 0o600);
      this.#write(fd, content, 0);
      renameSync(fresh, this.#path);
    } catch (error) {
      if (fd !== undefined) io.close(fd);
      throw toFsError(error, `cannot write ${fresh}`);
    }
    this.close();
    this.#fd = fd;
    this.#bytes = content.length;
  }

  empty(): void {
    if (this.#fd === undefined) return;
    io.truncate(this.#fd, 0);
    this.#bytes = 0;
  }

  close(): void {
    if (this.#fd !== undefined) io.close(this.#fd);
    this.#fd = undefined;
  }

  #write(fd: number, bytes: Uint8Array, position: number): number {
    let written: number;
    try {
      written = io.pwrite(fd, bytes, position);
    } catch (error) {
      throw toFsError(error, `cannot write ${this.#path}`);
    }
    if (written === bytes.length) return written;
    throw new FsError('ENOSPC', `the disk is full: ${this.#path} was not written`);
  }
}
