/**
 * A process of the simulated cluster: it can stop for a while, or for good, and timers set by its
 * code are its own. The product sets timers by globals: while a world runs they lead here.
 */
import type { EventQueue } from '../leases/event-queue.ts';

/** Whose code runs now. */
let running: SimProcess | undefined;

export function runningProcess(): SimProcess {
  if (running === undefined) throw new Error('no process runs');
  return running;
}

class Timer {
  isCleared = false;
}

export class SimProcess {
  isPaused = false;
  isDead = false;
  /** What of it ran and may go on in microtasks. */
  readonly #queue: EventQueue;
  /** Its milliseconds per fake millisecond. */
  readonly #rate: number;
  readonly #onRun: () => void;
  #backlog: (() => void)[] = [];
  #late: (() => void)[] = [];

  /** @param onRun called before its code runs */
  constructor(queue: EventQueue, rate: number, onRun: () => void) {
    this.#queue = queue;
    this.#rate = rate;
    this.#onRun = onRun;
  }

  /** By its own clock. */
  bootMs(): number {
    return this.#queue.nowMs * this.#rate;
  }

  /** A message arrives: it is looked at now, or when the process goes on. */
  run(task: () => void): void {
    if (this.isDead) return;
    if (this.isPaused) this.#backlog.push(task);
    else this.#enter(task);
  }

  /** @param timersFirst whether it looks at the clock or at its sockets first is chance */
  resume(timersFirst: boolean): void {
    this.isPaused = false;
    const [first, second] = timersFirst ? [this.#late, this.#backlog] : [this.#backlog, this.#late];
    this.#backlog = [];
    this.#late = [];
    // Each in a turn of its own, as the event loop has it.
    for (const task of [...first, ...second]) this.#queue.after(0, () => this.run(task));
  }

  setTimer(task: () => void, ms: number, repeats: boolean): Timer {
    const timer = new Timer();
    const due = (): void => {
      if (timer.isCleared || this.isDead) return;
      if (this.isPaused) {
        this.#late.push(due);
        return;
      }
      if (repeats) this.#queue.after(Math.max(1, ms / this.#rate), due);
      this.#enter(task);
    };
    this.#queue.after(Math.max(1, ms / this.#rate), due);
    return timer;
  }

  #enter(task: () => void): void {
    running = this;
    this.#onRun();
    task();
  }
}

/** What began in this turn is over. */
export function nobodyRuns(): void {
  running = undefined;
}

const REAL = { setTimeout, setInterval, clearTimeout, clearInterval };

/** Timers of running processes are simulated ones from now on. @returns what ends that */
export function simulateTimers(): () => void {
  const set =
    (real: typeof setTimeout, repeats: boolean) =>
    (task: () => void, ms = 0): unknown =>
      running === undefined ? real(task, ms) : running.setTimer(task, ms, repeats);
  const clear =
    (real: typeof clearTimeout) =>
    (timer: unknown): void => {
      if (timer instanceof Timer) timer.isCleared = true;
      else real(timer as NodeJS.Timeout);
    };
  Object.assign(globalThis, {
    setTimeout: set(REAL.setTimeout, false),
    setInterval: set(REAL.setInterval as typeof setTimeout, true),
    clearTimeout: clear(REAL.clearTimeout),
    clearInterval: clear(REAL.clearInterval),
  });
  return () => Object.assign(globalThis, REAL);
}

/** Lets all microtasks run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
