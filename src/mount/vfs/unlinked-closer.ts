/**
 * Tells the metaserver which unlinked files are not open here any more. Their space is freed only
 * then, so nothing is forgotten: what fails is tried again.
 */
import type { Ino } from '../../common/ids.ts';
import type { TaskGroup } from '../../common/lifecycle.ts';
import type { MetaClient } from '../meta-client.ts';

const BATCH = 1000;

export class UnlinkedCloser {
  readonly #meta: MetaClient;
  readonly #tasks: TaskGroup;
  readonly #pending = new Set<Ino>();
  #running = false;

  constructor(options: { readonly meta: MetaClient; readonly tasks: TaskGroup }) {
    this.#meta = options.meta;
    this.#tasks = options.tasks;
  }

  /** Files the metaserver has not been told about, or has not answered for. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  add(ino: Ino): void {
    this.#pending.add(ino);
    this.retry();
  }

  /** Failures are reported by the task group, and what failed stays for the next call. */
  retry(): void {
    if (this.#running || this.#pending.size === 0) return;
    this.#running = true;
    this.#tasks.run(() => this.#work());
  }

  async #work(): Promise<void> {
    try {
      while (this.#pending.size > 0) {
        const inos = [...this.#pending].slice(0, BATCH);
        await this.#meta.closeUnlinked(inos);
        for (const ino of inos) this.#pending.delete(ino);
      }
    } finally {
      this.#running = false;
    }
  }
}
