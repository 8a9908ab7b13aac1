/** Every rule about locks is taken out once, and the simulation has to notice. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MUTATIONS } from './locks/mutations.ts';
import { simulate } from './locks/simulate.ts';
import { Tally } from './tally.ts';

const STEPS = 150;
const MUTATION_SEEDS = 4_000;

for (const { mood, name, parts } of MUTATIONS) {
  it(`notices when ${name}`, async (t) => {
    const mutated = await parts();
    for (let seed = 1; seed <= MUTATION_SEEDS; seed += 1) {
      try {
        await simulate({ seed, steps: STEPS, parts: mutated, mood, tally: new Tally() });
      } catch (error) {
        assert.ok(error instanceof Error);
        t.diagnostic(error.message.split('\n', 1)[0] ?? '');
        return;
      }
    }
    assert.fail(`not noticed in ${MUTATION_SEEDS} seeds`);
  });
}
