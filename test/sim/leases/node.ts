/** A process that can stop for a while, or for good. */
export class Node {
  isPaused = false;
  isDead = false;
  #backlog: (() => void)[] = [];

  run(task: () => void): void {
    if (this.isDead) return;
    if (this.isPaused) this.#backlog.push(task);
    else task();
  }

  resume(first: () => void): void {
    if (this.isDead) return;
    this.isPaused = false;
    first();
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const task of backlog) this.run(task);
  }
}
