/**
 * A metaserver that restarts lets nobody do anything before every mount has let go (C13), and the
 * kernel of a mount may hold pages for requests that wait for a lease.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delay } from '../../src/common/lifecycle.ts';
import { killRole, TestCluster, withGuardianStopped } from '../support/cluster.ts';
import { HeldFile } from '../support/held-file.ts';

/** Leases end 10 s after the metaserver was last heard of. */
const EXPIRED_MS = 12_000;
const BACK_MS = 20_000;
/** Far below the bound of a call. */
const GOES_ON_MS = 10_000;

test('requests that hold pages while the metaserver restarts hold nobody up', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0), cluster.node(1)];
  await one.dfs.ok('for name in read written taken; do printf hello > "$M/$name"; done');
  const at = (path: string): string => `${two.dfs.mountpoint}/${path}`;
  const read = await HeldFile.open(t, at('read'), 'r');
  const written = await HeldFile.open(t, at('written'), 'r+');
  const taken = await HeldFile.open(t, at('taken'), 'r');
  // Called back by the other machine, where the others only run out.
  await HeldFile.open(t, `${one.dfs.mountpoint}/taken`, 'r+');
  const { answers } = await withGuardianStopped(cluster.nodes, async () => {
    await killRole(one, 'metaserver');
    await delay(EXPIRED_MS);
    const calls = [
      read.call({ call: 'read', at: 0, length: 5 }),
      taken.call({ call: 'read', at: 0, length: 5 }),
      written.call({ call: 'write', at: 1, text: 'u' }),
    ];
    await cluster.untilStatus(
      'all of them wait',
      two,
      ({ mounts: [mount] }) => mount?.state === 'up' && mount.waiting.length === calls.length,
      BACK_MS,
    );
    return { answers: Promise.all(calls) };
  });
  await cluster.untilWhole('the metaserver is back', BACK_MS);
  await one.dfs.ok('printf new > "$M/other"', GOES_ON_MS);
  const outcomes = (await answers).map(({ outcome, text }) => `${outcome} ${text ?? ''}`.trim());
  assert.deepEqual(outcomes, ['ok hello', 'ok hello', 'ok']);
  await written.ok({ call: 'fsync' });
  assert.equal(await one.dfs.ok('cat "$M/written"'), 'hullo');
});
