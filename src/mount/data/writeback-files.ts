/**
 * writeback/<ino>: bytes written to files of other peers, each at its own offset, until they are
 * published. Never synced: the home is where they become durable. A name stands for what counts at
 * every moment, since the next process of the node goes by it.
 */
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { FsError, toFsError } from '../../common/errno.ts';
import { asIno, type Ino } from '../../common/ids.ts';
import { hostFileIo as io } from '../../peer/file-io.ts';

const NOTHING_COUNTS = { counts: (): boolean => false, isDoubtful: false };

const isIno = (name: string): boolean => /^[0-9]+$/.test(name);
const inoOf = (name: string): Ino => asIno(Number(name));

export class WritebackFiles {
  readonly #dir: string;
  readonly #aside: string;
  readonly #fds = new Map<Ino, number>();
  #discarded = 0;

  /** @param aside where what cannot be published is kept */
  constructor(dir: string, aside: string) {
    this.#dir = dir;
    this.#aside = aside;
  }

  /** Kept for people: each byte at its place in the file, the rest a hole. @returns the path */
  setAside(ino: Ino, lseq: number): string {
    this.#close(ino);
    return this.#moveAside(String(ino), lseq);
  }

  /**
   * Throws away what an earlier process left.
   * @param left.counts what of it is to be published still
   * @param left.isDoubtful the rest may count as well: it is kept aside
   * @returns names of what was thrown away or kept aside
   */
  async clear(
    left: { counts(ino: Ino): boolean; readonly isDoubtful: boolean } = NOTHING_COUNTS,
  ): Promise<string[]> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const gone = readdirSync(this.#dir).filter((name) => !isIno(name) || !left.counts(inoOf(name)));
    for (const name of gone) {
      if (left.isDoubtful && isIno(name)) this.#moveAside(name, 0);
      else await io.unlink(join(this.#dir, name));
    }
    return gone.filter(isIno);
  }

  /** Takes over what an earlier process left. @returns its length; undefined: there is none */
  adopt(ino: Ino): number | undefined {
    const size = io.stat(join(this.#dir, String(ino)))?.size;
    if (size !== undefined) this.#descriptor(ino);
    return size;
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
    this.#close(ino);
    this.#discarded += 1;
    // Its name is free at once: the next bytes of the file must not be unlinked with these.
    const gone = join(this.#dir, `gone-${this.#discarded}`);
    try {
      renameSync(join(this.#dir, String(ino)), gone);
    } catch {
      // There is none; or the next start removes what no range is left of.
      return;
    }
    io.unlink(gone).catch(() => undefined);
  }

  closeAll(): void {
    for (const fd of this.#fds.values()) io.close(fd);
    this.#fds.clear();
  }

  #close(ino: Ino): void {
    const fd = this.#fds.get(ino);
    if (fd !== undefined) io.close(fd);
    this.#fds.delete(ino);
  }

  #moveAside(name: string, lseq: number): string {
    let kept = join(this.#aside, `${name}.${lseq}`);
    for (let nth = 1; io.stat(kept) !== undefined; nth += 1) {
      kept = join(this.#aside, `${name}.${lseq}.${nth}`);
    }
    mkdirSync(this.#aside, { recursive: true, mode: 0o700 });
    renameSync(join(this.#dir, name), kept);
    return kept;
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
