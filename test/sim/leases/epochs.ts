/** How a mount makes its kernel forget names: all of them at once, by threads that take their time. */
import type { Ino } from '../../../src/common/ids.ts';
import type { KeptNames } from '../../../src/mount/core/kept-names.ts';
import { isDirectory } from './messages.ts';
import type { Mount } from './mount.ts';
import type { World } from './world.ts';

/** As in the mount. */
const IN_THE_WAY_MS = 5;

export class Epochs {
  readonly #world: World;
  readonly #mount: Mount;
  readonly #kept: KeptNames;
  /** The kernel is being told; who waits for that. */
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(world: World, mount: Mount) {
    this.#world = world;
    this.#mount = mount;
    this.#kept = world.parts.keptNames();
  }

  /** A name in the directory is told that may be kept for so long. @returns how long it is */
  tell(dir: Ino, name: number, ttlMs: number): number {
    const told = { name: String(name), isDirectory: false };
    if (ttlMs === 0 || this.#kept.tell(dir, told, this.#world.queue.nowMs)) return ttlMs;
    this.#world.tally.count('C20 told without validity');
    return 0;
  }

  /** The kernel takes a name from one directory to the other, when it is answered. */
  moved(from: Ino, to: Ino, newName: number, then: () => void): void {
    const held = this.#mount.ttlMs(to) > 0;
    if (this.#kept.moved(from, to, { held, newName: String(newName) })) {
      this.#world.tally.count('C20 moved where nobody calls back');
      this.#increase(then);
    } else this.#wait(then);
  }

  /** The lease on the inode is called back. */
  purge(ino: Ino, done: () => void): void {
    const forgotten = isDirectory(ino)
      ? this.#kept.recalled(ino, this.#world.queue.nowMs)
      : undefined;
    if (forgotten === undefined) done();
    else if (forgotten === 'everything') this.#increase(done);
    else if (forgotten === 'nothing') this.#wait(done);
    else
      this.#forgetThese(ino, forgotten, () => {
        this.#kept.takenBack(ino);
        this.#wait(done);
      });
  }

  /** One by one, unless a request in that directory is in the way. */
  #forgetThese(dir: Ino, names: ReadonlySet<string>, done: () => void): void {
    const { queue, random, tally } = this.#world;
    const forget = (): void => {
      for (const name of names) this.#mount.kernel.dropEntry(dir, Number(name));
    };
    if (random.chance(0.1)) {
      tally.count('C20 names that cannot be taken back');
      queue.after(IN_THE_WAY_MS, () => this.#mount.node.run(() => this.#increase(done)));
      queue.after(2 * IN_THE_WAY_MS * random.next(), () => this.#mount.tellKernel(forget));
      return;
    }
    tally.count('C20 names taken back');
    this.#mount.tellKernel(() => {
      forget();
      this.#mount.tellKernel(() => this.#mount.node.run(done));
    });
  }

  /** Every name is being forgotten by other means. */
  forgotten(): void {
    this.#kept.forgotten();
  }

  /** Until the kernel has done what it is being told. */
  #wait(done: () => void): void {
    const { parts, tally } = this.#world;
    if (this.#underWay === 0 || !parts.waitsForEpochs) {
      done();
      return;
    }
    tally.count('C20 waits for an epoch');
    this.#waiting.push(done);
  }

  #increase(done: () => void): void {
    const { parts, tally } = this.#world;
    tally.count('C20 epoch');
    this.#underWay += 1;
    this.#waiting.push(done);
    if (parts.tellsDuringEpochs) this.#kept.forgotten();
    this.#mount.tellKernel(() => {
      this.#mount.kernel.forgetNames();
      this.#mount.tellKernel(() => this.#done());
    });
  }

  #done(): void {
    if (!this.#world.parts.tellsDuringEpochs) this.#kept.forgotten();
    this.#underWay -= 1;
    if (this.#underWay > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) this.#mount.node.run(done);
  }
}
