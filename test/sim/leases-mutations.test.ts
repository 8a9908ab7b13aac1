/** Every rule of the lease protocol is taken out once, and the simulation has to notice. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MUTATIONS } from './leases/mutations.ts';
import { shrunk, simulate } from './leases/simulate.ts';
import { Tally } from './tally.ts';

const STEPS = 500;
const MUTATION_SEEDS = 12_000;

for (const { name, parts } of MUTATIONS) {
  it(`notices when ${name}`, async (t) => {
    const mutated = await parts();
    for (let seed = 1; seed <= MUTATION_SEEDS; seed += 1) {
      const options = { seed, steps: STEPS, parts: mutated, tally: new Tally() };
      try {
        simulate(options);
      } catch (error) {
        assert.ok(error instanceof Error);
        t.diagnostic(`${shrunk(options)}: ${error.message.split('\n', 1)[0]}`);
        return;
      }
    }
    assert.fail(`not noticed in ${MUTATION_SEEDS} seeds`);
  });
}
