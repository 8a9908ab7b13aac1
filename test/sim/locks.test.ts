/**
 * The lock protocol under faults: the real MountLocks, MountLeases and SessionClient of several
 * mounts, and the real LockDesk, in a simulated cluster. SEEDS=n runs n seeds, SEED=n only that
 * one, and shows the fewest steps that fail.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXPECTED } from './locks/expected.ts';
import { REAL } from './locks/parts.ts';
import { shrunk, simulate } from './locks/simulate.ts';
import { Tally } from './tally.ts';

const STEPS = 150;
const ONLY = process.env['SEED'];
const SEEDS = ONLY === undefined ? Number(process.env['SEEDS'] ?? 1500) : 1;

describe('locks under faults', () => {
  it(`exclude each other, ${SEEDS} seeds of ${STEPS} steps`, async (t) => {
    const tally = new Tally();
    const first = ONLY === undefined ? 1 : Number(ONLY);
    const begunMs = performance.now();
    for (let seed = first; seed < first + SEEDS; seed += 1) {
      const options = { seed, steps: STEPS, parts: REAL, tally };
      try {
        await simulate(options);
      } catch (error) {
        if (ONLY === undefined) throw error;
        await simulate({ ...options, without: await shrunk(options) });
      }
    }
    const seconds = (performance.now() - begunMs) / 1000;
    t.diagnostic(`${(SEEDS / seconds).toFixed(0)} seeds a second: ${tally}`);
    if (SEEDS < 500) return;
    assert.deepEqual(tally.missing(EXPECTED), [], 'these never happened');
  });
});
