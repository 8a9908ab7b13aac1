import { native } from '../../native/index.ts';
import type { Timespec } from './attr.ts';
import type { Clock } from './clock.ts';

/** The machine's clocks. */
export class SystemClock implements Clock {
  readonly #parts = new Float64Array(2);

  realtime(): Timespec {
    native.realtime(this.#parts);
    return { sec: this.#parts[0] ?? 0, nsec: this.#parts[1] ?? 0 };
  }

  bootMs(): number {
    return native.bootMs();
  }
}
