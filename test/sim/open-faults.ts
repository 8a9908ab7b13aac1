/** Faults that go on, and their end. */
import type { EventQueue } from './leases/event-queue.ts';
import type { Tally } from './tally.ts';

/** What of a simulated cluster it is told to. */
export interface FaultyWorld {
  readonly queue: EventQueue;
  readonly tally: Tally;
  log(line: () => string): void;
}

export class OpenFaults<W extends FaultyWorld> {
  /** How many go on, and the fake time when the last one began or ended. */
  open = 0;
  endedMs = 0;
  protected readonly world: W;
  readonly #healing = new Set<() => void>();

  constructor(world: W) {
    this.world = world;
  }

  /** Ends everything that goes on. */
  healAll(): void {
    for (const heal of [...this.#healing]) heal();
  }

  protected count(name: string): void {
    this.world.log(() => `fault: ${name}`);
    this.world.tally.fault(name);
    this.endedMs = this.world.queue.nowMs;
  }

  protected until(forMs: number, end: () => void): void {
    this.open += 1;
    const heal = (): void => {
      if (!this.#healing.delete(heal)) return;
      this.open -= 1;
      this.endedMs = this.world.queue.nowMs;
      end();
    };
    this.#healing.add(heal);
    this.world.queue.after(forMs, heal);
  }
}
