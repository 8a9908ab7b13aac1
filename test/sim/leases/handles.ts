/** Files a mount has open, and what the metaserver believes of that. */
import type { Ino } from '../../../src/common/ids.ts';

interface Handle {
  readonly ino: Ino;
  readonly write: boolean;
  /** The session it was opened in. */
  readonly generation: number;
}

export class Handles {
  /** The metaserver may count this mount among the openers. */
  readonly told = new Set<Ino>();
  readonly #handles = new Map<number, Handle>();
  #next = 1;

  open(ino: Ino, write: boolean, generation: number): number {
    const fh = this.#next;
    this.#next += 1;
    this.#handles.set(fh, { ino, write, generation });
    return fh;
  }

  get(fh: number): Handle | undefined {
    return this.#handles.get(fh);
  }

  close(fh: number): void {
    this.#handles.delete(fh);
  }

  isOpen(ino: Ino): boolean {
    for (const handle of this.#handles.values()) if (handle.ino === ino) return true;
    return false;
  }

  mayWrite(ino: Ino): boolean {
    for (const { ino: of, write } of this.#handles.values()) if (write && of === ino) return true;
    return false;
  }

  /** Those of an evicted session are dead; whoever has one meets EIO. */
  clear(): void {
    this.#handles.clear();
    this.told.clear();
  }

  inos(): Ino[] {
    return [...new Set([...this.#handles.values()].map(({ ino }) => ino))];
  }
}
