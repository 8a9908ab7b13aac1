/**
 * writeback/<ino>: bytes written to files of other peers, each at its own offset, until they are
 * published. Never synced: the home is where they become durable.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { FsError, toFsError } from '../../common/errno.ts';
import type { Ino } from '../../common/ids.ts';
import { hostFileIo as io } from '../../peer/file-io.ts';

export class WritebackFiles {
  readonly #dir: string;
  readonly #aside: string;
  readonly #fds = new Map<Ino, number>();

  /** @param aside where what cannot be published is kept */
  constructor(dir: string, aside: string) {
    this.#dir = dir;
    this.#aside = aside;
  }

  /** Kept for people: each byte at its place in the file, the rest a hole. @returns the path */
  async setAside(ino: Ino, lseq: number): Promise<string> {
    const fd = this.#fds.get(ino);
    if (fd !== undefined) io.close(fd);
    this.#fds.delete(ino);
    const kept = join(this.#aside, `${ino}.${lseq}`);
    await mkdir(this.#aside, { recursive: true, mode: 0o700 });
    await rename(join(this.#dir, String(ino)), kept);
    return kept;
  }

  /** Throws away what an earlier process left. @returns the inos concerned */
  async clear(): Promise<string[]> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const left = readdirSync(this.#dir);
    for (const name of left) await io.unlink(join(this.#dir, name));
    return left;
  }

  /** @throws FsError ENOSPC */
  write(ino: Ino, offset: number, data: Uint8Array): void {
    try {
      const written = io.pwrite(this.#descriptor(ino), data, offset);
      if (written < data.length) {
        throw new FsError('ENOSPC', `the disk took ${written} bytes of a write to ino=${ino}`);
      }
    } catch (error) {
      throw toFsError(error, `keep what is written to ino=${ino}`);
    }
  }

  read(ino: Ino, offset: number, target: Uint8Array): void {
    try {
      const done = io.pread(this.#descriptor(ino), target, offset);
      if (done < target.length) target.fill(0, done);
    } catch (error) {
      throw toFsError(error, `read what was written to ino=${ino}`);
    }
  }

  /** Everything of it is published, or never will be. */
  discard(ino: Ino): void {
    const fd = this.#fds.get(ino);
    if (fd === undefined) return;
    this.#fds.delete(ino);
    io.close(fd);
    io.unlink(join(this.#dir, String(ino))).catch(() => undefined);
  }

  closeAll(): void {
    for (const fd of this.#fds.values()) io.close(fd);
    this.#fds.clear();
  }

  #descriptor(ino: Ino): number {
    let fd = this.#fds.get(ino);
    if (fd === undefined) {
      fd = io.open(join(this.#dir, String(ino)), { create: true });
      this.#fds.set(ino, fd);
    }
    return fd;
  }
}
