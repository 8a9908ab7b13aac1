/**
 * A Map that drops its oldest entry when it is full. An entry that is set again keeps its place;
 * delete it first to make it the youngest.
 */
export class BoundedMap<Key, Value> {
  readonly #map = new Map<Key, Value>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  set(key: Key, value: Value): void {
    this.#map.set(key, value);
    if (this.#map.size <= this.#max) return;
    const oldest = this.#map.keys().next();
    if (oldest.done !== true) this.#map.delete(oldest.value);
  }

  /** Oldest first. */
  keys(): IterableIterator<Key> {
    return this.#map.keys();
  }

  delete(key: Key): void {
    this.#map.delete(key);
  }

  clear(): void {
    this.#map.clear();
  }
}
