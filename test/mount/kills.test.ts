import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DfsUnderTest } from '../support/dfs.ts';
import { killRounds } from '../support/kill-rounds.ts';
import { Random } from '../support/random.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 6);

test(`what was acknowledged survives ${ROUNDS} kills of node and metaserver`, async (t) => {
  const random = Random.fromEnvironment();
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  const totals = await killRounds(dfs, {
    rounds: ROUNDS,
    random,
    note: (line) => t.diagnostic(line),
  });
  t.diagnostic(JSON.stringify(totals));
  assert.equal(totals.rounds, ROUNDS);
  assert.equal(totals.failedOutsideFaults, 0, `seed ${random.seed}`);
  assert.ok(totals.inFlight > 0, 'a kill without operations in flight shows nothing');
});
