/** One seed, and what a failure of it shows. */
import { Tally } from '../tally.ts';
import { World, type WorldOptions } from './world.ts';

const EVENTS_SHOWN = 60;
const SHRINK_ROUNDS_MAX = 400;

/** @throws Error that names the seed and shows the last events */
export function simulate(options: WorldOptions): void {
  try {
    new World(options).run();
  } catch {
    const world = new World({ ...options, tally: new Tally(), events: EVENTS_SHOWN });
    try {
      world.run();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const lines = [`SEED=${options.seed} replays this: ${message}`, ...world.shown];
      throw new Error(lines.join('\n'), { cause });
    }
    throw new Error(`SEED=${options.seed} did not fail a second time`);
  }
}

/** Leaves out steps of a failing seed while it still fails; says how many are left. */
export function shrunk(options: WorldOptions): string {
  let without = new Set<number>();
  let rounds = 0;
  for (let size = options.steps >> 1; size > 0; size >>= 1) {
    for (let from = 0; from < options.steps && rounds < SHRINK_ROUNDS_MAX; from += size) {
      const fewer = new Set(without);
      for (let step = from; step < Math.min(from + size, options.steps); step += 1) fewer.add(step);
      if (fewer.size === without.size) continue;
      rounds += 1;
      if (fails({ ...options, without: fewer })) without = fewer;
    }
  }
  return `seed ${options.seed}, ${options.steps - without.size} steps`;
}

function fails(options: WorldOptions): boolean {
  try {
    new World({ ...options, tally: new Tally() }).run();
    return false;
  } catch {
    return true;
  }
}
