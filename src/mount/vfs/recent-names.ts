import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';

const NAMES_MAX = 8192;

/**
 * What the last lookups found, bounded: hints only. A removal names the inode it expects, and the
 * metaserver keeps any other one alive until told that it is not open here.
 */
export class RecentNames {
  readonly #names = new BoundedMap<string, Ino>(NAMES_MAX);

  get(parent: Ino, name: string): Ino | undefined {
    return this.#names.get(`${parent}/${name}`);
  }

  set(parent: Ino, name: string, ino: Ino): void {
    const key = `${parent}/${name}`;
    this.#names.delete(key);
    this.#names.set(key, ino);
  }

  delete(parent: Ino, name: string): void {
    this.#names.delete(`${parent}/${name}`);
  }
}
