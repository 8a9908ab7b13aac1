/**
 * mtime and ctime are those of the last write, truncation or change of attributes, on both machines,
 * and close(2), fsync(2) or a killed node move them no more. ROUNDS: how often each case is tried.
 */
import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { killRole, TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';
import { HeldFile } from '../support/held-file.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const ROUND_MS = 10_000;
const BACK_MS = 60_000;
const SCRIPT = resolve(import.meta.dirname, '../../../test/support/workload/times.py');

test('times are those of the last change, and are not moved by close', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = ['-B', SCRIPT, one.mountpoint, two.mountpoint, String(ROUNDS)];
  const output = await run('python3', args, {
    timeoutMs: 30_000 + ROUNDS * ROUND_MS,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const { stdout } = expectOk(output, 'looking at times');
  const counts = Object.entries(JSON.parse(stdout) as Record<string, unknown>);
  assert.equal(counts.length, 24, stdout);
  assert.deepEqual(
    counts.filter(([, count]) => count !== ROUNDS),
    [],
  );
});

test('the times of a write outlive kill -9 of the node', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const writer = cluster.node(1);
  for (const { dfs, name } of cluster.nodes) {
    await dfs.ok(`: > of-${name}`);
    const file = await HeldFile.open(t, join(writer.dfs.mountpoint, `of-${name}`), 'r+');
    await file.ok({ call: 'write', at: 0, text: 'written' });
    const { times } = await file.ok({ call: 'times' });
    await killRole(writer, 'node');
    await cluster.untilWhole(`of-${name}`, BACK_MS);
    for (const node of cluster.nodes) {
      const said = await node.dfs.ok(`stat -c '%.9Y %.9Z' of-${name}`);
      assert.equal(said.trim(), times, `of-${name} on ${node.name}`);
    }
    file.kill();
  }
});
