import type { Timespec } from './attr.ts';

/** Time is passed in everywhere, so that tests and the simulator own it. */
export interface Clock {
  /** Wall time, for file times only; it may jump. */
  realtime(): Timespec;
  /** Milliseconds since boot including suspend (CLOCK_BOOTTIME); only grows. */
  bootMs(): number;
}

/** Milliseconds since 1970, for people and for other machines. */
export function wallMs(clock: Clock): number {
  const { sec, nsec } = clock.realtime();
  return sec * 1000 + Math.floor(nsec / 1e6);
}

/** A clock that stands still until told otherwise. */
export class ManualClock implements Clock {
  #ms = 1_000;
  #wall: Timespec = { sec: 1_700_000_000, nsec: 0 };

  realtime(): Timespec {
    return this.#wall;
  }

  bootMs(): number {
    return this.#ms;
  }

  advance(ms: number): void {
    this.#ms += ms;
    const nsec = this.#wall.nsec + (ms % 1000) * 1_000_000;
    this.#wall = {
      sec: this.#wall.sec + Math.floor(ms / 1000) + Math.floor(nsec / 1e9),
      nsec: nsec % 1e9,
    };
  }
}
