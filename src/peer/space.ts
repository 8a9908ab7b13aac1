/**
 * Free space of the disk under the store. A floor is kept for databases and folders, so that
 * deleting works on a disk that files have filled.
 */

import type { Clock } from '../common/clock.ts';
import { FsError, toFsError } from '../common/errno.ts';
import type { Ino, SessionId } from '../common/ids.ts';
import { type SpaceAsk, type SpaceDraw, SpaceLedger } from './core/grants.ts';
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
  charge(ino: Ino, bytes: number, draw?: SpaceDraw): void {
    if (draw !== undefined) this.#ledger.use(draw.sid, this.#options.clock.bootMs());
    if (bytes === 0) return;
    if (this.#measuredly(() => this.#ledger.charge(ino, bytes, draw) || undefined)) return;
    throw new FsError('ENOSPC', `no space for ${bytes} bytes of ino=${ino}`);
  }

  /** @returns what the session is promised now. @throws FsError ENOSPC */
  reserve(sid: SessionId, ask: SpaceAsk): number {
    const nowMs = this.#options.clock.bootMs();
    const bytes = this.#measuredly(() => this.#ledger.reserve(sid, ask, nowMs));
    if (bytes !== undefined) return bytes;
    throw new FsError('ENOSPC', `no space for ${ask.neededBytes} bytes of session ${sid}`);
  }

  unreserve(sid: SessionId): void {
    this.#ledger.unreserve(sid);
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

  /** Refused only by what was measured just now. */
  #measuredly<T>(act: () => T | undefined): T | undefined {
    const nowMs = this.#options.clock.bootMs();
    const isFresh = nowMs - this.#measuredMs <= MEASURE_MS;
    this.#ledger.expire(nowMs);
    if (!isFresh) this.#measure();
    const done = act();
    if (done !== undefined || !isFresh) return done;
    this.#measure();
    return act();
  }

  #measure(): void {
    this.#ledger.measured(this.usable().bytesFree);
    this.#measuredMs = this.#options.clock.bootMs();
  }
}
