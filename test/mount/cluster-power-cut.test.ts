/**
 * fsync means stable wherever the file is kept: of three machines one loses its power, and its
 * disk forgets what was not synced: the one with the metaserver, another home, or one that keeps no
 * files. The same test must fail when a sync is taken out of the product.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PowerCutCluster } from '../support/cluster-power-cut.ts';
import { mutant } from '../support/mutant.ts';
import { Random } from '../support/random.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
/** Its files are kept by the others. */
const CLIENT = 2;
const NODES = { nodes: 3, clientsOnly: [CLIENT] } as const;
/** About every second one shows it. */
const MUTANT_ROUNDS = 20;

test(`what was fsynced or acknowledged on any machine survives ${ROUNDS} power cuts of one`, async (t) => {
  const random = Random.fromEnvironment();
  const machines = await PowerCutCluster.start(t, NODES, random);
  for (let round = 0; round < ROUNDS; round += 1) {
    const victim = machines.cluster.node(round % NODES.nodes);
    const place = `seed ${random.seed} round ${round}, ${victim.name} loses its power`;
    const { failed, verdicts } = await machines.round(round, victim);
    assert.deepEqual(failed, [], place);
    for (const { verdict, what } of verdicts) {
      t.diagnostic(`${place}: ${what} ${JSON.stringify(verdict)}`);
      assert.deepEqual(verdict.failures, [], `${place}: ${what}`);
    }
  }
});

test('it shows when a home does not sync for others', async (t) => {
  const random = Random.fromEnvironment();
  const program = await mutant(t, {
    name: 'a home does not sync for others',
    file: 'src/peer/home.js',
    from: 'return this.#admitted(right, ino, () => this.#options.store.fsync(ino));',
    to: 'return this.#admitted(right, ino, () => undefined);',
  });
  const machines = await PowerCutCluster.start(t, { ...NODES, program }, random);
  let lost: readonly string[] = [];
  for (let round = 0; round < MUTANT_ROUNDS && lost.length === 0; round += 1) {
    const { verdicts } = await machines.round(round, machines.cluster.node(round % CLIENT));
    lost = verdicts.flatMap(({ verdict, what }) =>
      verdict.failures.map((one) => `${what}: ${one}`),
    );
  }
  t.diagnostic(lost.join(' ').slice(0, 200));
  assert.ok(
    lost.some((one) => one.includes('-c')),
    `seed ${random.seed}: it went unnoticed`,
  );
});
