/**
 * Makes what was committed durable. A sync that failed is final for its inode: the kernel has
 * dropped the pages it could not write and would report success the next time, so nothing is
 * promised for that inode until the process starts again.
 */
import { FsError, toFsError } from '../common/errno.ts';
import type { Logger } from '../common/log.ts';
import type { BackingFiles } from './backing-files.ts';
import type { FileIo } from './file-io.ts';
import type { FileState } from './file-state.ts';

const PARALLEL_SYNCS = 4;

export interface DurabilityOptions {
  readonly backing: BackingFiles;
  readonly io: FileIo;
  readonly log: Logger;
}

export class Durability {
  readonly #options: DurabilityOptions;
  #failedCount = 0;

  constructor(options: DurabilityOptions) {
    this.#options = options;
  }

  get failedCount(): number {
    return this.#failedCount;
  }

  /** @throws FsError EIO, from the first failure on */
  async fsync(file: FileState): Promise<void> {
    await file.queue.drain();
    if (file.failure !== undefined) throw file.failure;
    if (!file.isPresent || file.syncedChanges === file.changes) return;
    await file.sync.run();
  }

  /** Syncs all of them, also when some fail. @throws FsError the first failure */
  async fsyncAll(files: readonly FileState[]): Promise<void> {
    const failures: FsError[] = [];
    const waiting = files.values();
    const work = async (): Promise<void> => {
      for (const file of waiting) {
        try {
          await this.fsync(file);
        } catch (error) {
          failures.push(toFsError(error, `sync ino=${file.ino}`));
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_SYNCS }, work));
    if (failures[0] !== undefined) throw failures[0];
  }

  /** What a shared sync runs. */
  async sync(file: FileState): Promise<void> {
    const { backing, io } = this.#options;
    if (file.failure !== undefined) throw file.failure;
    if (!file.isPresent) return;
    const { changes } = file;
    try {
      await backing.withDescriptor(file.ino, (fd) => io.fdatasync(fd));
      await backing.makeNameDurable(file.ino);
    } catch (error) {
      throw this.fail(file, error);
    }
    file.syncedChanges = changes;
  }

  fail(file: FileState, error: unknown): FsError {
    const { message } = toFsError(error, 'sync');
    const failure = new FsError('EIO', `ino=${file.ino} could not be made durable: ${message}`, {
      cause: error,
    });
    if (file.failure === undefined) {
      file.failure = failure;
      this.#failedCount += 1;
      this.#options.log.error('a file could not be made durable', { ino: file.ino, error });
    }
    return file.failure ?? failure;
  }
}
