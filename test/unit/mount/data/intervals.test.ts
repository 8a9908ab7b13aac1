import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Interval, IntervalSet } from '../../../../src/mount/core/intervals.ts';
import { Random } from '../../../support/random.ts';

const POSITIONS = 40;
const RUNS = 300;
const STEPS = 30;

/** The same set, one entry a position. */
class PositionSet {
  #positions = new Set<number>();

  get size(): number {
    return this.#positions.size;
  }

  add(start: number, end: number): void {
    for (let position = start; position < end; position += 1) this.#positions.add(position);
  }

  addAll(other: PositionSet): void {
    for (const position of other.#positions) this.#positions.add(position);
  }

  clip(size: number): void {
    this.#positions = new Set([...this.#positions].filter((position) => position < size));
  }

  clear(): void {
    this.#positions.clear();
  }

  remove(start: number, end: number): void {
    for (let position = start; position < end; position += 1) this.#positions.delete(position);
  }

  /** The fewest ranges, in order. */
  within(start: number, end: number): Interval[] {
    const ranges: Interval[] = [];
    for (let position = start; position < end; position += 1) {
      if (!this.#positions.has(position)) continue;
      const last = ranges.at(-1);
      if (last?.end === position) ranges[ranges.length - 1] = { ...last, end: position + 1 };
      else ranges.push({ start: position, end: position + 1 });
    }
    return ranges;
  }
}

test('a set of ranges is the set of its positions, in the fewest ranges', (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`seed ${random.seed}`);
  for (let run = 0; run < RUNS; run += 1) {
    const pair = { ranges: new IntervalSet(), positions: new PositionSet() };
    const other = { ranges: new IntervalSet(), positions: new PositionSet() };
    for (let step = 0; step < STEPS; step += 1) {
      const target = random.chance(0.7) ? pair : other;
      const note = `seed ${random.seed}, run ${run}, step ${step}: ${act(random, target, other)}`;
      for (const { ranges, positions } of [pair, other]) {
        assert.deepEqual(ranges.ranges(), positions.within(0, POSITIONS), note);
        assert.equal(ranges.bytes, positions.size, note);
        assert.equal(ranges.isEmpty, positions.size === 0, note);
        const start = random.below(POSITIONS);
        const end = start + random.below(POSITIONS - start);
        assert.deepEqual(ranges.within(start, end), positions.within(start, end), note);
      }
    }
  }
});

interface Pair {
  readonly ranges: IntervalSet;
  readonly positions: PositionSet;
}

function act(random: Random, { ranges, positions }: Pair, other: Pair): string {
  const roll = random.below(100);
  if (roll < 70) {
    const start = random.below(POSITIONS);
    const end = Math.min(POSITIONS, start + random.below(6));
    ranges.add(start, end);
    positions.add(start, end);
    return `add ${start} ${end}`;
  }
  if (roll < 78) {
    const start = random.below(POSITIONS);
    const end = start + random.below(6);
    ranges.remove(start, end);
    positions.remove(start, end);
    return `remove ${start} ${end}`;
  }
  if (roll < 88) {
    const size = random.below(POSITIONS);
    ranges.clip(size);
    positions.clip(size);
    return `clip ${size}`;
  }
  if (roll < 97) {
    ranges.addAll(other.ranges);
    positions.addAll(other.positions);
    return 'add all of the other';
  }
  ranges.clear();
  positions.clear();
  return 'clear';
}
