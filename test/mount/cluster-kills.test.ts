import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { ClusterKillRounds } from '../support/cluster-kill-rounds.ts';
import { requireSound } from '../support/fsck.ts';
import { Random } from '../support/random.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 4);

test(`two nodes under load come back by themselves from ${ROUNDS} kills`, async (t) => {
  const random = Random.fromEnvironment();
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const rounds = new ClusterKillRounds(cluster, random, (line) => t.diagnostic(line));
  const totals = await rounds.run(ROUNDS);
  const { acknowledged, failedInFaults, failedOutsideFaults, inFlight } = totals;
  const share = acknowledged / (acknowledged + failedInFaults + failedOutsideFaults);
  t.diagnostic(`${(share * 100).toFixed(2)} % of the operations succeeded`);
  t.diagnostic(JSON.stringify(totals));
  assert.equal(totals.rounds, ROUNDS);
  await requireSound(cluster, `after the kills, seed ${random.seed}`);
  assert.equal(failedOutsideFaults, 0, `seed ${random.seed}`);
  assert.ok(inFlight > 0, 'a kill without operations in flight shows nothing');
});
