/**
 * The lease protocol under faults: the real LeaseTable, LeaseHolder and Fences in a simulated
 * cluster. SEEDS=n runs n seeds, SEED=n only that one; a failure names the seed that replays it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXPECTED } from './leases/expected.ts';
import { REAL } from './leases/parts.ts';
import { simulate } from './leases/simulate.ts';
import { Tally } from './tally.ts';

const STEPS = 500;
const ONLY = process.env['SEED'];
const SEEDS = ONLY === undefined ? Number(process.env['SEEDS'] ?? 5000) : 1;

describe('leases under faults', () => {
  it(`hold what they promise, ${SEEDS} seeds of ${STEPS} steps`, (t) => {
    const tally = new Tally();
    const first = ONLY === undefined ? 1 : Number(ONLY);
    const begunMs = performance.now();
    for (let seed = first; seed < first + SEEDS; seed += 1) {
      simulate({ seed, steps: STEPS, parts: REAL, tally });
    }
    const seconds = (performance.now() - begunMs) / 1000;
    t.diagnostic(`${(SEEDS / seconds).toFixed(0)} seeds a second: ${tally}`);
    if (SEEDS < 500) return;
    assert.deepEqual(tally.missing(EXPECTED), [], 'these never happened');
  });
});
