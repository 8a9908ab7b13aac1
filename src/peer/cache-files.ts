/**
 * The backing files of the cache, cache/ab/cd/<ino>, and what they take of the disk: measured
 * after every change, so that the sum is the disk's own and not an estimate. Errors are the host's.
 */
import { FsError, systemCode } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { BackingFiles } from './backing-files.ts';
import type { FileIo } from './file-io.ts';

const SECTOR_BYTES = 512;
const DESCRIPTORS_MAX = 128;

export interface CacheFilesOptions {
  readonly dir: string;
  readonly io: FileIo;
  readonly log: Logger;
}

export class CacheFiles {
  readonly #io: FileIo;
  readonly #log: Logger;
  readonly #backing: BackingFiles;
  /** Bytes each file takes. */
  readonly #allocated = new Map<Ino, number>();
  /** Their names are about to go; nothing may be made under them until then. */
  readonly #removing = new Set<Ino>();
  readonly #tasks: TaskGroup;
  #bytes = 0;

  constructor({ dir, io, log }: CacheFilesOptions) {
    this.#io = io;
    this.#log = log;
    this.#backing = new BackingFiles({ dataDir: dir, io, descriptorsMax: DESCRIPTORS_MAX });
    this.#tasks = new TaskGroup((error) => this.#log.info('a cached file stays', { error }));
  }

  /** What all files take of the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  has(ino: Ino): boolean {
    return this.#allocated.has(ino);
  }

  pathOf(ino: Ino): string {
    return this.#backing.pathOf(ino);
  }

  /** Takes over a file that an earlier process life left. @returns false when there is none */
  adopt(ino: Ino): boolean {
    if (this.#removing.has(ino)) return false;
    const stat = this.#io.stat(this.pathOf(ino));
    if (stat === undefined) return false;
    this.#count(ino, stat.blocks * SECTOR_BYTES);
    return true;
  }

  /** @returns false while an older file of this name is being removed */
  create(ino: Ino): boolean {
    if (this.#removing.has(ino)) return false;
    this.#backing.create(ino);
    this.#count(ino, 0);
    return true;
  }

  /**
   * Writes `data`; up to `end` the file reads as zeros behind it.
   * @throws FsError ENOSPC, or the host's error: the range holds anything then
   */
  write(ino: Ino, position: number, { data, end }: { data: Uint8Array; end: number }): void {
    const fd = this.#backing.descriptor(ino);
    try {
      if (data.length > 0 && this.#io.pwrite(fd, data, position) < data.length) {
        throw new FsError('ENOSPC', `the disk took a part of ${data.length} cached bytes`);
      }
      const stop = position + data.length;
      if (stop < end && this.#io.fstat(fd).size > stop) this.#io.punch(fd, stop, end - stop);
    } finally {
      this.#measure(ino, fd);
    }
  }

  /** What the file lacks reads as zeros. */
  read(ino: Ino, position: number, target: Uint8Array): void {
    const done = this.#io.pread(this.#backing.descriptor(ino), target, position);
    if (done < target.length) target.fill(0, done);
  }

  punch(ino: Ino, position: number, length: number): void {
    const fd = this.#backing.descriptor(ino);
    try {
      this.#io.punch(fd, position, length);
    } finally {
      this.#measure(ino, fd);
    }
  }

  /** In the background; what it took counts no more. Without a file nothing happens. */
  remove(ino: Ino): void {
    if (this.#removing.has(ino)) return;
    this.#removing.add(ino);
    this.#backing.close(ino);
    this.#count(ino, 0);
    this.#allocated.delete(ino);
    this.#tasks.run(async () => {
      try {
        await this.#io.unlink(this.pathOf(ino));
      } finally {
        this.#removing.delete(ino);
      }
    });
  }

  /** Waits for removals under way. */
  async settle(): Promise<void> {
    await this.#tasks.settle();
  }

  closeAll(): void {
    this.#backing.closeAll();
  }

  #measure(ino: Ino, fd: number): void {
    try {
      this.#count(ino, this.#io.fstat(fd).blocks * SECTOR_BYTES);
    } catch (error) {
      this.#log.info('a cached file cannot be measured', { ino, code: systemCode(error) });
    }
  }

  #count(ino: Ino, bytes: number): void {
    this.#bytes += bytes - (this.#allocated.get(ino) ?? 0);
    this.#allocated.set(ino, bytes);
  }
}
