/**
 * Watches the disk of the database: stops growth in time, and gives up the reserve file or fills
 * it again as core/space.ts decides.
 */
import { statfsSync } from 'node:fs';
import type { Problem } from '../../gen/meta.ts';
import type { Clock } from '../common/clock.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { decideSpace, type SpaceState } from './core/space.ts';
import type { Reserve } from './reserve.ts';

export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export function diskSpace(directory: string): DiskSpace {
  const { bsize, blocks, bavail } = statfsSync(directory);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

export interface SpaceGuardOptions {
  readonly reserve: Reserve;
  readonly clock: Clock;
  readonly log: Logger;
  readonly measure: () => DiskSpace;
}

const CHECK_MS = 50;

export class SpaceGuard implements AsyncDisposable {
  readonly #options: SpaceGuardOptions;
  readonly #tasks: TaskGroup;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #mayGrow = true;
  #freeBytes = 0;

  constructor(options: SpaceGuardOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup((error) => {
      options.log.error('the metadata reserve could not be changed', { error });
    });
  }

  /** Whether something may be added; measures at most every 50 ms. */
  mayGrow(): boolean {
    const nowMs = this.#options.clock.bootMs();
    if (nowMs - this.#checkedMs >= CHECK_MS) {
      this.#checkedMs = nowMs;
      try {
        this.#check();
      } catch (error) {
        // Deletes go on; without a measurement nothing is added.
        if (this.#mayGrow) this.#options.log.error('the disk cannot be measured', { error });
        this.#mayGrow = false;
      }
    }
    return this.#mayGrow;
  }

  problem(): Problem | undefined {
    if (this.mayGrow()) return undefined;
    const mebibytes = Math.floor(this.#freeBytes / 1024 / 1024);
    return {
      code: 'metadata-space-low',
      message: `The disk of the metaserver has ${mebibytes} MiB left: nothing new can be created.`,
      action: 'Delete files on the mount, or free space on the disk that holds the state folder.',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks.settle();
  }

  #check(): void {
    const { reserve, measure, log } = this.#options;
    const disk = measure();
    const state: SpaceState = { ...disk, ...reserve.state };
    const decision = decideSpace(state);
    if (decision.mayGrow !== this.#mayGrow) {
      const { freeBytes } = disk;
      if (decision.mayGrow) log.info('there is space for metadata again', { freeBytes });
      else log.warn('space for metadata is low', { freeBytes });
    }
    this.#freeBytes = disk.freeBytes;
    this.#mayGrow = decision.mayGrow;
    if (decision.reserve === 'release') reserve.release();
    else if (decision.reserve === 'refill' && this.#tasks.size === 0) {
      this.#tasks.run(() => reserve.refill());
    }
  }
}
