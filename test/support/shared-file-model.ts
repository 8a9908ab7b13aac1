import assert from 'node:assert/strict';

type Values = ReadonlySet<number>;

/**
 * What a file that two machines write may hold: for each position the values it may have, which is
 * one where nothing is open. Both see the last write, whoever made it; what a crash leaves of bytes
 * that were not published is open.
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
  /** The machine that may write at the moment. */
  #holder: string | undefined;
  readonly #home: string;

  constructor(home: string, sizeMax: number) {
    this.#home = home;
    this.#bytes = new Uint8Array(sizeMax);
  }

  /** It has the right to read and write from now on: whoever had it has published. */
  takes(who: string): void {
    if (this.#holder !== undefined && this.#holder !== who) this.published(this.#holder);
    this.#holder = who;
  }

  write(who: string, offset: number, data: Uint8Array): void {
    this.takes(who);
    const end = offset + data.length;
    const waiting = this.#waitingOf(who);
    for (const [at, value] of data.entries()) {
      const position = offset + at;
      const before = this.allowed(position);
      add(waiting, position, before);
      if (who === this.#home) add(this.#unsynced, position, before);
      this.#put(position, new Set([value]));
    }
    this.sizeMax = Math.max(this.sizeMax, end);
    this.#waitingEnd.set(who, Math.max(this.#endOf(who), end));
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

  resized(who: string, size: number): void {
    this.takes(who);
    this.published(who);
    for (let position = size; position < this.sizeMax; position += 1) {
      this.#put(position, new Set([0]));
      this.#unsynced.delete(position);
    }
    this.#base = size;
    this.sizeMax = size;
  }

  /** Its process ended: of what it has not published anything may be there. */
  died(who: string): void {
    for (const [position, before] of this.#waitingOf(who)) {
      this.#put(position, union(this.allowed(position), before));
    }
    this.#forget(who);
    if (this.#holder === who) this.#holder = undefined;
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

  /** Everybody has closed the file, and this is what is there. */
  settle(found: Uint8Array, note: string): void {
    const sizes = `${this.#base} to ${this.sizeMax}`;
    const fits = found.length >= this.#base && found.length <= this.sizeMax;
    assert.ok(fits, `${note}: ${found.length} bytes, not ${sizes}`);
    this.check(found, 0, note);
    this.#bytes.fill(0);
    this.#bytes.set(found);
    this.#base = found.length;
    this.sizeMax = found.length;
    this.#open.clear();
    this.#holder = undefined;
  }

  check(found: Uint8Array, offset: number, note: string): void {
    for (const [at, value] of found.entries()) {
      const values = this.allowed(offset + at);
      if (values.has(value)) continue;
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
