/** Tasks one after the other, in the order they were given; a failed one holds up nobody. */
export class SerialQueue {
  #tail: Promise<void> | undefined;

  get isBusy(): boolean {
    return this.#tail !== undefined;
  }

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail === undefined ? task() : this.#tail.then(task);
    const settled = () => {
      if (this.#tail === tail) this.#tail = undefined;
    };
    const tail: Promise<void> = result.then(settled, settled);
    this.#tail = tail;
    return result;
  }

  /** Everything given so far is done when it resolves. */
  async drain(): Promise<void> {
    await this.#tail;
  }
}
