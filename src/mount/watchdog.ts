/**
 * Says in the log which requests of the kernel have waited for long, and for whom: once for each,
 * and not more often than a reader can use.
 */
import type { WaitingRequest } from '../common/core/waiting.ts';
import type { Logger } from '../common/log.ts';
import type { StuckRequest } from './driver/driver.ts';

export interface WatchdogOptions {
  /** Requests that have waited for so long, oldest first. */
  stuck(olderThanMs: number): readonly StuckRequest[];
  explain(requests: readonly StuckRequest[]): Promise<WaitingRequest[]>;
  readonly log: Logger;
  bootMs(): number;
}

export const LONG_MS = 10_000;
const TURN_MS = 1_000;
/** Lines in one period; the others are counted. */
const LINES_MAX = 10;
const PERIOD_MS = 60_000;

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #told = new WeakSet<object>();
  #timer: NodeJS.Timeout | undefined;
  #isTelling = false;
  #periodMs: number;
  #lines = 0;
  #untold = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#periodMs = options.bootMs();
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.turn().catch((error: unknown) => {
        this.#options.log.error('the watchdog met a bug', { error });
      });
    }, TURN_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Once a second. */
  async turn(): Promise<void> {
    this.#renew();
    if (this.#isTelling) return;
    const late = this.#options.stuck(LONG_MS).filter(({ context }) => !this.#told.has(context));
    if (late.length === 0) return;
    const named = late.slice(0, LINES_MAX - this.#lines);
    this.#untold += late.length - named.length;
    this.#lines += named.length;
    for (const { context } of late) this.#told.add(context);
    this.#isTelling = true;
    try {
      for (const { for: whom, ino, ms, op, path, why } of await this.#options.explain(named)) {
        this.#options.log.warn('a request waits', { op, ino, path, ms, for: whom, why });
      }
    } finally {
      this.#isTelling = false;
    }
  }

  #renew(): void {
    const { bootMs, log } = this.#options;
    if (bootMs() - this.#periodMs < PERIOD_MS) return;
    this.#periodMs = bootMs();
    this.#lines = 0;
    if (this.#untold > 0) log.warn('more requests waited than were named', { count: this.#untold });
    this.#untold = 0;
  }
}
