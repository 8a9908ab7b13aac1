/**
 * Free space of the disk under the store. A floor is kept for databases and folders, so that
 * deleting works on a disk that files have filled.
 */

import type { Clock } from '../common/clock.ts';
import { FsError, toFsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { SpaceLedger } from './core/grants.ts';
import type { DiskSpace, FileIo } from './file-io.ts';

const FLOOR_BYTES_MAX = 256 * 1024 ** 2;
const FLOOR_SHARE = 0.05;
const MEASURE_MS = 50;

export interface SpaceOptions {
  /** A folder on the disk. */
  readonly dir: string;
  readonly io: FileIo;
  readonly clock: Clock;
}

export class Space {
  readonly #options: SpaceOptions;
  readonly #ledger = new SpaceLedger();
  #measuredMs = Number.NEGATIVE_INFINITY;

  constructor(options: SpaceOptions) {
    this.#options = options;
  }

  /** @throws FsError ENOSPC; nothing is charged then */
  charge(ino: Ino, bytes: number): void {
    if (bytes === 0) return;
    const age = this.#options.clock.bootMs() - this.#measuredMs;
    if (age > MEASURE_MS) this.#measure();
    if (this.#ledger.charge(ino, bytes)) return;
    if (age <= MEASURE_MS) {
      this.#measure();
      if (this.#ledger.charge(ino, bytes)) return;
    }
    throw new FsError('ENOSPC', `no space for ${bytes} bytes of ino=${ino}`);
  }

  release(ino: Ino): void {
    this.#ledger.release(ino);
  }

  /** Measured now; `bytesFree` is what files may take. */
  usable(): DiskSpace {
    const { dir, io } = this.#options;
    try {
      const disk = io.statfs(dir);
      const floor = Math.min(FLOOR_BYTES_MAX, Math.floor(disk.bytesTotal * FLOOR_SHARE));
      return { bytesTotal: disk.bytesTotal, bytesFree: Math.max(0, disk.bytesFree - floor) };
    } catch (error) {
      throw toFsError(error, `measure the free space of ${dir}`);
    }
  }

  #measure(): void {
    this.#ledger.measured(this.usable().bytesFree);
    this.#measuredMs = this.#options.clock.bootMs();
  }
}
