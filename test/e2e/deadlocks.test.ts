/**
 * Two mounts never wait for each other for ever: each way that other systems found is provoked on
 * real mounts, where the kernel's own locks take part. The unit and simulation tests beside it take
 * out the rule and see it happen. A scenario that does not end is aborted and fails.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { statusOf, TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const SCRIPT = resolve(import.meta.dirname, '../../../test/support/workload/deadlocks.py');
const SECONDS = Number(process.env['SECONDS'] ?? 4);
const SCENARIOS = [
  ['fetch_while_recalled', 'D2: a reader that holds a page answers before the page is taken back'],
  ['both_write', 'D3, D4: two writers of one file, in parts of pages'],
  ['dirty_mapping', 'D5: what was stored through a mapping is flushed before the lease goes'],
  ['one_directory', 'D6: a directory is called back while names are being made in it'],
  ['crossed_files', 'D8: who waits for a file can give back every other one'],
  ['crossed_renames', 'D9: directories are changed crosswise'],
] as const;

interface Said {
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

for (const env of [{}, { DFS_FUSE_MASK: '6.1' }]) {
  const isOld = 'DFS_FUSE_MASK' in env;
  const kernel = isOld ? 'as on Linux 6.1' : 'on this kernel';
  // There names may have to be waited out, a second a turn: nobody may be left out, that is all.
  const countMin = isOld ? 1 : SECONDS;
  test(`nothing waits for ever, ${kernel}`, async (t) => {
    const cluster = await TestCluster.start(t, { nodes: 2, network: 'host', env });
    const [one, two] = [cluster.node(0), cluster.node(1)];
    for (const [scenario, what] of SCENARIOS) {
      await t.test(what, async (each) => {
        const dir = `$M/${scenario}`;
        await one.dfs.ok(`mkdir ${dir}`);
        const places = [one, two].map(({ dfs }) => `${dfs.mountpoint}/${scenario}`);
        const output = await run('python3', [SCRIPT, scenario, ...places], {
          env: { SECONDS: String(SECONDS) },
          timeoutMs: 30_000 + SECONDS * 1_000,
          onTimeout: async () => {
            await one.dfs.abort();
            await two.dfs.abort();
          },
        });
        const said = JSON.parse(expectOk(output, what).stdout) as Said;
        each.diagnostic(JSON.stringify(said.counts));
        assert.deepEqual(said.failures, []);
        for (const [side, count] of Object.entries(said.counts)) {
          assert.ok(count >= countMin, `${side} got through ${count} times`);
        }
        for (const node of [one, two]) {
          const [mount] = (await statusOf(node)).mounts;
          assert.ok(mount !== undefined && 'waiting' in mount);
          assert.deepEqual(mount.waiting, []);
        }
      });
    }
  });
}
