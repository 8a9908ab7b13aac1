/** Deterministic random numbers for tests; the seed replays a run. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0 || 1;
  }

  /** From the SEED environment variable, else drawn; printed by the caller on failure. */
  static fromEnvironment(): Random {
    const given = process.env['SEED'];
    return new Random(given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given));
  }

  /** An integer in 0 .. limit-1. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  bytes(length: number): Buffer {
    const buffer = Buffer.alloc(length);
    for (let index = 0; index < length; index++) buffer[index] = this.below(256);
    return buffer;
  }
}

/** Lets `count` turns of the event loop pass. */
export async function nextTurns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
