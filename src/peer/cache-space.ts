/** How much of the disk the cache may take: its limit, and never the last tenth of what is free. */
import type { Clock } from '../common/clock.ts';
import type { FileIo } from './file-io.ts';

const LIMIT_BYTES_MAX = 20 * 1024 ** 3;
const LIMIT_SHARE = 0.1;
/** This much of the disk is left free by the cache. */
const FREE_SHARE = 0.1;
const MEASURE_MS = 1_000;

export interface CacheSpaceOptions {
  /** A folder on the disk. */
  readonly dir: string;
  readonly io: FileIo;
  readonly clock: Clock;
  /** Default: 20 GiB, or a tenth of a smaller disk. */
  readonly limitBytes?: number | undefined;
}

export class CacheSpace {
  readonly limitBytes: number;
  readonly #options: CacheSpaceOptions;
  #measuredMs = Number.NEGATIVE_INFINITY;
  #allowance = 0;

  /** @throws the host's error when the disk cannot be measured */
  constructor(options: CacheSpaceOptions) {
    const { bytesTotal } = options.io.statfs(options.dir);
    this.#options = options;
    this.limitBytes =
      options.limitBytes ?? Math.min(LIMIT_BYTES_MAX, Math.floor(bytesTotal * LIMIT_SHARE));
  }

  /** @param held what the cache takes now. @throws the host's error */
  allowance(held: number): number {
    const now = this.#options.clock.bootMs();
    if (now - this.#measuredMs >= MEASURE_MS) {
      const { bytesTotal, bytesFree } = this.#options.io.statfs(this.#options.dir);
      const spare = bytesFree - Math.ceil(bytesTotal * FREE_SHARE);
      this.#allowance = Math.min(this.limitBytes, Math.max(0, held + spare));
      this.#measuredMs = now;
    }
    return this.#allowance;
  }
}
