/** A small seeded generator (mulberry32), so that one number replays a run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 0x9e37_79b9) >>> 0;
  }

  /** 0 <= result < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }

  /** One of any list; undefined when it is empty. */
  some<T>(items: readonly T[]): T | undefined {
    return items[this.below(items.length)];
  }
}
