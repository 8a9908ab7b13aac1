/**
 * When a wait that was interrupted is given up. The kernel tells of every signal, also of those
 * that programs expect no read or close to fail for (timers, children that end); so an interrupt
 * only counts once a wait has lasted longer than it does while everything is well.
 */
import { FsError } from '../../common/errno.ts';
import type { RequestContext } from '../driver/driver.ts';

const GRACE_MS = 1_000;

export class Patience {
  readonly #waiter: RequestContext | undefined;
  readonly #onEnd: () => void;
  readonly #startMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @param onEnd called once, when the wait is to be given up */
  constructor(waiter: RequestContext | undefined, onEnd: () => void) {
    this.#waiter = waiter;
    this.#onEnd = onEnd;
  }

  /** The wait was interrupted, and has lasted too long since. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Shows what is waited for, and hears interrupts from now on. */
  watch(waitsFor: RequestContext['waitsFor']): void {
    if (this.#waiter === undefined) return;
    this.#waiter.waitsFor = waitsFor;
    this.#waiter.interrupt = () => this.#interrupted();
    if (this.#waiter.interrupted) this.#interrupted();
  }

  /** The wait is done, however. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#waiter === undefined) return;
    this.#waiter.interrupt = undefined;
    this.#waiter.waitsFor = undefined;
  }

  #interrupted(): void {
    if (this.#timer !== undefined) return;
    const leftMs = this.#startMs + GRACE_MS - performance.now();
    const end = (): void => {
      this.#isOver = true;
      this.#onEnd();
    };
    this.#timer = setTimeout(end, Math.max(0, leftMs));
  }
}

/**
 * Waits for work that goes on for others when this waiter is interrupted.
 * @throws FsError EINTR
 */
export async function interruptible<T>(
  waiter: RequestContext,
  waitsFor: RequestContext['waitsFor'],
  work: Promise<T>,
): Promise<T> {
  let patience: Patience | undefined;
  const interrupted = new Promise<never>((_, reject) => {
    patience = new Patience(waiter, () => reject(interruption()));
    patience.watch(waitsFor);
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    patience?.end();
    work.catch(() => undefined);
  }
}

export function interruption(): FsError {
  return new FsError('EINTR', 'interrupted');
}
