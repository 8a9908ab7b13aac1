/**
 * Where names stood in the listings of their directories before they went. A name that comes back
 * stands there again, so that a listing under way does not show it twice. In memory, and bounded:
 * the names that went first are forgotten, and all of them when the server ends. Asked only about
 * names that are absent: a place that is noted in vain, by a change that failed, does no harm.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';
import { dentryKey } from './keyspace.ts';

const NAMES_MAX = 65_536;

export class FormerPlaces {
  readonly #seqs: BoundedMap<string, number>;

  constructor(namesMax = NAMES_MAX) {
    this.#seqs = new BoundedMap(namesMax);
  }

  /** The name leaves the directory; it stood at `seq`. */
  left(dir: Ino, name: string, seq: number): void {
    const key = dentryKey(dir, name);
    this.#seqs.delete(key);
    this.#seqs.set(key, seq);
  }

  of(dir: Ino, name: string): number | undefined {
    return this.#seqs.get(dentryKey(dir, name));
  }
}
