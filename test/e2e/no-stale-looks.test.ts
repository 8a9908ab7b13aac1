/**
 * What users of other network filesystems report: a change on one machine that a look on another
 * one misses. LOOKS sets how often; none may be stale, and none is tried twice.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const LOOKS = Number(process.env['LOOKS'] ?? 800);
const LOOK_MS = 100;
const REPLACED = resolve(import.meta.dirname, '../../../test/support/workload/replaced.py');
const SCRIPT = resolve(import.meta.dirname, '../support/workload/looks.js');

/** It was replaced a second time while the kernel walked the path once more: see SEMANTICS.md. */
const TWICE = 'look_open: Stale file handle';

type Counts = Readonly<Partial<Record<string, number>>>;

/** Runs `command` with two mountpoints and `count`. @returns the JSON it prints */
async function between(
  t: TestContext,
  command: readonly [program: string, script: string],
  count: number,
  timeoutMs: number,
): Promise<unknown> {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const [program, script] = command;
  const output = await run(program, [script, one.mountpoint, two.mountpoint, String(count)], {
    timeoutMs,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  return JSON.parse(expectOk(output, 'looking').stdout);
}

test(`none of ${LOOKS} looks by name is stale`, async (t) => {
  const said = await between(t, [process.execPath, SCRIPT], LOOKS, 30_000 + LOOKS * LOOK_MS);
  assert.deepEqual(said, { looks: LOOKS, stale: {} });
});

test('a name that is renamed over there is never absent here', async (t) => {
  const said = (await between(t, ['python3', REPLACED], 4, 60_000)) as Counts;
  const text = JSON.stringify(said);
  const { replacements = 0, looks = 0, [TWICE]: twice = 0, ...errors } = said;
  t.diagnostic(text);
  assert.ok(replacements > 20 && looks > 20, text);
  assert.deepEqual(errors, {});
  assert.ok(twice <= replacements / 20, text);
});
