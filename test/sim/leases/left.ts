/**
 * What an evicted session of a mount has left in files whose home is on its machine: the bytes are
 * at the home, and their size is published under a lease of the next session (C15).
 */
import type { Ino } from '../../../src/common/ids.ts';
import type { Mount } from './mount.ts';
import { serve } from './requests.ts';

const PUBLISH_MS = 5_000;

export class Left {
  readonly #mount: Mount;
  readonly #inos = new Set<Ino>();

  constructor(mount: Mount) {
    this.#mount = mount;
  }

  /** The session is over. It is published by age. */
  take(inos: readonly Ino[]): void {
    const { generation, node, world } = this.#mount;
    // As if one of the homes were on this machine.
    const isLocal = (ino: Ino): boolean => world.homeOf(ino).id % 2 === this.#mount.id % 2;
    for (const ino of inos) if (isLocal(ino)) this.#inos.add(ino);
    for (const ino of this.#inos) {
      const task = (): void => {
        if (generation !== this.#mount.generation) return;
        serve(this.#mount, { kind: 'republish', ino });
        this.#mount.work();
      };
      world.queue.after(PUBLISH_MS * world.random.next(), () => node.run(task));
    }
  }

  /** The lease it may go under is held. */
  publish(ino: Ino, done: () => void): void {
    const { holder, publisher, world } = this.#mount;
    if (this.#inos.delete(ino)) {
      world.tally.count('C15 left and published');
      publisher.left(ino, holder.lseqOf(ino));
    }
    publisher.publish(ino, done);
  }

  /** Before a lease is given up: what was written under that one. */
  flush(ino: Ino, done: () => void): void {
    const { holder, node, publisher, world } = this.#mount;
    if (!this.#inos.has(ino)) publisher.publish(ino, done);
    else if (holder.kindOf(ino) === 'exclusive') this.publish(ino, done);
    else if (!world.parts.waitsForLeft) publisher.publish(ino, done);
    else {
      const again = (): void => {
        if (holder === this.#mount.holder) this.flush(ino, done);
      };
      world.queue.after(1_000, () => node.run(again));
    }
  }
}
