/** Programs on two machines append to one file, and others read it meanwhile. SECONDS: how long. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 15);
const SCRIPT = resolve(import.meta.dirname, '../../../test/support/workload/appenders.py');

test('nobody sees a file end where it ended before', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const output = await run('python3', [SCRIPT, one.mountpoint, two.mountpoint, String(SECONDS)], {
    timeoutMs: SECONDS * 1_000 + 30_000,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const said = JSON.parse(expectOk(output, 'appending').stdout) as Record<string, number>;
  const { append = 0, look = 0, ...wrong } = said;
  t.diagnostic(`${append} records, ${look} looks`);
  assert.ok(append > 20 * SECONDS && look > 20 * SECONDS, output.stdout);
  assert.deepEqual(wrong, { lost: 0 });
});
