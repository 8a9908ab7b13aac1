import type { Ino } from '../../common/ids.ts';

const NAMES_MAX = 8192;

/**
 * What the last lookups found, bounded: hints only. A removal names the inode it expects, and the
 * metaserver keeps any other one alive until told that it is not open here.
 */
export class RecentNames {
  readonly #names = new Map<string, Ino>();

  get(parent: Ino, name: string): Ino | undefined {
    return this.#names.get(`${parent}/${name}`);
  }

  set(parent: Ino, name: string, ino: Ino): void {
    const key = `${parent}/${name}`;
    this.#names.delete(key);
    this.#names.set(key, ino);
    if (this.#names.size <= NAMES_MAX) return;
    const oldest = this.#names.keys().next().value;
    if (oldest !== undefined) this.#names.delete(oldest);
  }

  delete(parent: Ino, name: string): void {
    this.#names.delete(`${parent}/${name}`);
  }
}
