/** What getcwd(2) says while names beside the working directory change there: see SEMANTICS.md. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 4);
const SCRIPT = resolve(import.meta.dirname, '../../../test/support/workload/getcwd.py');
const AWAY_MS = 1_000;
/** Of the looks, at most; mostly it is one in 100,000, and many in a row where a processor is waited for. */
const AWAY_SHARE = 0.01;

test('a working directory is never another one, and never away for long', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = ['-B', SCRIPT, one.mountpoint, two.mountpoint, String(SECONDS)];
  const output = await run('python3', args, {
    timeoutMs: SECONDS * 1_000 + 40_000,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const text = expectOk(output, 'looking').stdout.trim();
  t.diagnostic(text);
  const {
    looks = 0,
    changes = 0,
    walks = 0,
    'look: absent': absent = 0,
    'longest ms': longestMs,
    ...wrong
  } = JSON.parse(text) as Record<string, number>;
  assert.ok(looks > 100 && changes > 10 * SECONDS && walks > 10 * SECONDS, text);
  assert.deepEqual(wrong, {});
  assert.ok(typeof longestMs === 'number' && longestMs < AWAY_MS, text);
  assert.ok(absent <= looks * AWAY_SHARE, text);
});
