/** One seed, and what a failure of it shows. */
import { Tally } from '../tally.ts';
import { World, type WorldOptions } from './world.ts';

const EVENTS_SHOWN = 80;
const SHRINK_ROUNDS_MAX = 200;

/** @throws Error that names the seed and shows the last events */
export async function simulate(options: WorldOptions): Promise<void> {
  try {
    await new World(options).run();
  } catch {
    const world = new World({ ...options, tally: new Tally(), events: EVENTS_SHOWN });
    try {
      await world.run();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const lines = [`SEED=${options.seed} replays this: ${message}`, ...world.shown];
      throw new Error(lines.join('\n'), { cause });
    }
    throw new Error(`SEED=${options.seed} did not fail a second time`);
  }
}

/** The steps of a failing seed that may be left out while it still fails. */
export async function shrunk(options: WorldOptions): Promise<ReadonlySet<number>> {
  let without = new Set<number>(options.without);
  let rounds = 0;
  for (let size = options.steps >> 1; size > 0; size >>= 1) {
    for (let from = 0; from < options.steps && rounds < SHRINK_ROUNDS_MAX; from += size) {
      const fewer = new Set(without);
      for (let step = from; step < Math.min(from + size, options.steps); step += 1) fewer.add(step);
      if (fewer.size === without.size) continue;
      rounds += 1;
      if (await fails({ ...options, without: fewer })) without = fewer;
    }
  }
  return without;
}

async function fails(options: WorldOptions): Promise<boolean> {
  try {
    await new World({ ...options, tally: new Tally() }).run();
    return false;
  } catch {
    return true;
  }
}
