import assert from 'node:assert/strict';

type Values = ReadonlySet<number>;

/**
 * What a file that two machines write may hold: for each position the values it may have, which is
 * one where nothing is open. Each machine writes only positions of its own, so that their order
 * does not matter; what a cut or a crash leaves of bytes that were not published is open.
 */
export class SharedFileModel {
  /** The file is at least this long, not counting what is not published. */
  #base = 0;
  /** And at most this long. */
  sizeMax = 0;
  readonly #bytes: Uint8Array;
  /** Positions that may hold one of several values. */
  readonly #open = new Map<number, Values>();
  /** By machine: positions not published, and what they may have held before. */
  readonly #waiting = new Map<string, Map<number, Values>>();
  readonly #waitingEnd = new Map<string, number>();
  /** Positions changed at the home since its last sync, and what they may have held before. */
  readonly #unsynced = new Map<number, Values>();
  /** Machines that do not know of a cut by the other: whether they write before it is open. */
  readonly #behind = new Set<string>();
  readonly #home: string;

  constructor(home: string, sizeMax: number) {
    this.#home = home;
    this.#bytes = new Uint8Array(sizeMax);
  }

  /** It has looked at the metaserver. */
  opened(who: string): void {
    this.#behind.delete(who);
  }

  write(who: string, offset: number, data: Uint8Array): void {
    const end = offset + data.length;
    const waiting = this.#waitingOf(who);
    for (const [at, value] of data.entries()) {
      const position = offset + at;
      const before = this.allowed(position);
      add(waiting, position, before);
      if (who === this.#home) add(this.#unsynced, position, before);
      this.#put(
        position,
        this.#behind.has(who) ? union(before, new Set([value])) : new Set([value]),
      );
    }
    this.sizeMax = Math.max(this.sizeMax, end);
    if (!this.#behind.has(who)) this.#waitingEnd.set(who, Math.max(this.#endOf(who), end));
  }

  published(who: string): void {
    if (who !== this.#home) {
      for (const [position, before] of this.#waitingOf(who)) add(this.#unsynced, position, before);
    }
    this.#base = Math.max(this.#base, this.#endOf(who));
    this.#forget(who);
  }

  synced(who: string): void {
    this.published(who);
    this.#unsynced.clear();
  }

  resized(who: string, other: string, size: number): void {
    this.published(who);
    this.#behind.delete(who);
    if (size >= this.sizeMax) {
      this.#base = size;
      this.sizeMax = size;
      return;
    }
    const waiting = this.#waitingOf(other);
    const ends = [...waiting.keys()].filter((position) => position >= size);
    for (let position = size; position < this.sizeMax; position += 1) {
      const zero = new Set([0]);
      this.#put(position, waiting.has(position) ? union(this.allowed(position), zero) : zero);
      this.#unsynced.delete(position);
    }
    this.#base = size;
    this.sizeMax = ends.reduce((end, position) => Math.max(end, position + 1), size);
    this.#waitingEnd.delete(other);
    this.#behind.add(other);
  }

  /** Its process ended: of what it has not published anything may be there. */
  died(who: string): void {
    for (const [position, before] of this.#waitingOf(who)) {
      this.#put(position, union(this.allowed(position), before));
    }
    this.#forget(who);
  }

  /** So did the home, and what was not synced there may be lost. */
  lostPower(other: string): void {
    this.died(this.#home);
    const waiting = this.#waitingOf(other);
    for (const [position, before] of this.#unsynced) {
      if (waiting.has(position)) add(waiting, position, before);
      else this.#put(position, union(this.allowed(position), before));
    }
    this.#unsynced.clear();
  }

  /** The values a byte may have. */
  allowed(position: number): Values {
    return this.#open.get(position) ?? new Set([this.#bytes[position] ?? 0]);
  }

  /** What a machine may see that has just opened the file. */
  visible(position: number, other: string): Values {
    return union(this.allowed(position), this.#waitingOf(other).get(position) ?? new Set());
  }

  /** What it wrote last is what it sees. */
  isSure(who: string): boolean {
    return !this.#behind.has(who);
  }

  /** Everybody has closed the file, and this is what is there. */
  settle(found: Uint8Array, note: string): void {
    const sizes = `${this.#base} to ${this.sizeMax}`;
    const fits = found.length >= this.#base && found.length <= this.sizeMax;
    assert.ok(fits, `${note}: ${found.length} bytes, not ${sizes}`);
    this.check(found, 0, note, (position) => this.allowed(position));
    this.#bytes.fill(0);
    this.#bytes.set(found);
    this.#base = found.length;
    this.sizeMax = found.length;
    this.#open.clear();
    this.#behind.clear();
  }

  check(
    found: Uint8Array,
    offset: number,
    note: string,
    allowed: (position: number) => Values | undefined,
  ): void {
    for (const [at, value] of found.entries()) {
      const values = allowed(offset + at);
      if (values === undefined || values.has(value)) continue;
      assert.fail(`${note}: ${value} at ${offset + at}, not ${[...values].join(' or ')}`);
    }
  }

  #endOf(who: string): number {
    return this.#waitingEnd.get(who) ?? 0;
  }

  #waitingOf(who: string): Map<number, Values> {
    let waiting = this.#waiting.get(who);
    if (waiting === undefined) {
      waiting = new Map();
      this.#waiting.set(who, waiting);
    }
    return waiting;
  }

  #forget(who: string): void {
    this.#waiting.delete(who);
    this.#waitingEnd.delete(who);
  }

  #put(position: number, values: Values): void {
    if (values.size > 1) {
      this.#open.set(position, values);
      return;
    }
    this.#open.delete(position);
    for (const value of values) this.#bytes[position] = value;
  }
}

function add(map: Map<number, Values>, position: number, values: Values): void {
  map.set(position, union(map.get(position) ?? new Set(), values));
}

function union(one: Values, other: Values): Values {
  return new Set([...one, ...other]);
}
