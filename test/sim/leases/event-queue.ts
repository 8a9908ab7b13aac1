/** Fake time: what is due next runs next; equal times run in the order they were asked for. */
export class EventQueue {
  nowMs = 0;
  /** Events that ran. */
  steps = 0;
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #tasks: (() => void)[] = [];
  #nextOrder = 0;

  at(timeMs: number, task: () => void): void {
    const time = Math.max(timeMs, this.nowMs);
    const order = this.#nextOrder++;
    let hole = this.#times.length;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      const above = this.#times[parent] ?? 0;
      if (above <= time) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#put(hole, time, order, task);
  }

  after(delayMs: number, task: () => void): void {
    this.at(this.nowMs + delayMs, task);
  }

  /** When the next event is due. */
  get nextMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  step(): boolean {
    const task = this.#tasks[0];
    const time = this.#times[0];
    if (task === undefined || time === undefined) return false;
    this.nowMs = time;
    this.#removeFirst();
    this.steps += 1;
    task();
    return true;
  }

  #removeFirst(): void {
    const time = this.#times.pop() ?? 0;
    const order = this.#orders.pop() ?? 0;
    const task = this.#tasks.pop();
    const size = this.#times.length;
    if (size === 0 || task === undefined) return;
    let hole = 0;
    for (;;) {
      const child = this.#smallerChild(hole);
      if (child >= size || !this.#isBefore(child, time, order)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#put(hole, time, order, task);
  }

  #smallerChild(parent: number): number {
    const left = 2 * parent + 1;
    const right = left + 1;
    if (right >= this.#times.length) return left;
    const time = this.#times[left] ?? 0;
    return this.#isBefore(right, time, this.#orders[left] ?? 0) ? right : left;
  }

  #isBefore(index: number, time: number, order: number): boolean {
    const own = this.#times[index] ?? 0;
    return own < time || (own === time && (this.#orders[index] ?? 0) < order);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] ?? 0;
    this.#orders[to] = this.#orders[from] ?? 0;
    this.#tasks[to] = this.#tasks[from] ?? (() => {});
  }

  #put(index: number, time: number, order: number, task: () => void): void {
    this.#times[index] = time;
    this.#orders[index] = order;
    this.#tasks[index] = task;
  }
}
