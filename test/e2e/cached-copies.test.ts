/** While the machine that keeps a file is down, others read what somebody has cached of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRole, statusOf, TestCluster, withGuardianStopped } from '../support/cluster.ts';

const MIB = 2 ** 20;
const NOTICED_MS = 20_000;
const HEALED_MS = 30_000;

test('a cached copy is served on while the home of a file is down', async (t) => {
  const mountArgs = ['-o', 'wait=10s'];
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host', mountArgs });
  const [reader, home, holder] = [cluster.node(0), cluster.node(1), cluster.node(2)];
  const sum = await home.dfs.ok('head -c 6M /dev/urandom | tee seen | sha256sum');
  await home.dfs.ok('head -c 1M /dev/urandom > unseen');
  assert.equal(await holder.dfs.ok('sha256sum < seen'), sum);
  const before = (await statusOf(holder)).cache.bytesServedToPeers;
  await withGuardianStopped([home], async () => {
    await killRole(home, 'node');
    await cluster.untilStatus(
      'the home is down',
      reader,
      ({ peers }) => peers.some(({ name, state }) => name === home.name && state === 'down'),
      NOTICED_MS,
    );
    assert.equal(await reader.dfs.ok('sha256sum < seen'), sum);
    const served = (await statusOf(holder)).cache.bytesServedToPeers - before;
    assert.ok(served >= 6 * MIB, `only ${served} bytes were served`);
    // What nobody else has is refused in time, and the rest goes on.
    const lost = await reader.dfs.sh('cat unseen', NOTICED_MS);
    assert.notEqual(lost.code, 0);
    assert.match(lost.stderr, /Input\/output error/);
    assert.equal(await holder.dfs.ok('sha256sum < seen'), sum);
  });
  await cluster.untilWhole('the home is back', HEALED_MS);
  assert.equal((await reader.dfs.ok('cat unseen | wc -c')).trim(), String(MIB));
});
