/**
 * What users of other network filesystems report: a change on one machine that a look on another
 * one misses. LOOKS sets how often; none may be stale, and none is tried twice.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const LOOKS = Number(process.env['LOOKS'] ?? 800);
const LOOK_MS = 100;
const REPLACED = resolve(import.meta.dirname, '../../../test/support/workload/replaced.py');
const SCRIPT = resolve(import.meta.dirname, '../support/workload/looks.js');

/** It was replaced a second time while the kernel walked the path once more: see SEMANTICS.md. */
const TWICE = 'look_open: Stale file handle';

type Counts = Readonly<Partial<Record<string, number>>>;

test(`none of ${LOOKS} looks by name is stale`, async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = [SCRIPT, one.mountpoint, two.mountpoint, String(LOOKS)];
  const output = await run(process.execPath, args, {
    timeoutMs: 30_000 + LOOKS * LOOK_MS,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const said: unknown = JSON.parse(expectOk(output, 'looking').stdout);
  assert.deepEqual(said, { looks: LOOKS, stale: {} });
});

test('a name that is renamed over there is never absent here', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = [REPLACED, one.mountpoint, two.mountpoint, '4'];
  const output = expectOk(await run('python3', args, { timeoutMs: 60_000 }), 'replacing');
  const said = JSON.parse(output.stdout) as Counts;
  const { replacements = 0, looks = 0, [TWICE]: twice = 0, ...errors } = said;
  t.diagnostic(output.stdout);
  assert.ok(replacements > 20 && looks > 20, output.stdout);
  assert.deepEqual(errors, {});
  assert.ok(twice <= replacements / 20, output.stdout);
});
