/** Programs on two machines write to one file, and others read it meanwhile. SECONDS: how long. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 8);
const SCRIPTS = resolve(import.meta.dirname, '../../../test/support/workload');

/** Of lseek(2), which the kernel answers by itself: see SEMANTICS.md. */
const SOUGHT = 'end before what was read';

/** Runs the script on both mounts. @returns how often what happened */
async function between(t: TestContext, script: string): Promise<Record<string, number>> {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = ['-B', resolve(SCRIPTS, script), one.mountpoint, two.mountpoint, String(SECONDS)];
  const output = await run('python3', args, {
    timeoutMs: SECONDS * 1_000 + 30_000,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const { stdout } = expectOk(output, script);
  t.diagnostic(stdout.trim());
  return JSON.parse(stdout) as Record<string, number>;
}

test('nobody sees a file end where it ended before', async (t) => {
  const { append = 0, look = 0, [SOUGHT]: sought = 0, ...wrong } = await between(t, 'appenders.py');
  assert.ok(append > 20 * SECONDS && look > 20 * SECONDS);
  assert.deepEqual(wrong, { lost: 0 });
  assert.ok(sought <= look / 500);
});

test('nobody reads again what he has overwritten', async (t) => {
  const { overwrite = 0, look = 0, ...wrong } = await between(t, 'overwriters.py');
  assert.ok(overwrite > 5 * SECONDS && look > 20 * SECONDS);
  assert.deepEqual(wrong, {});
});
