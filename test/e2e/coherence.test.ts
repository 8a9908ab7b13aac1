/**
 * Single-copy coherence as programs see it on two mounts: nothing stale by any way of looking, also
 * on an old kernel and after a node fell silent; and what nobody changes costs nothing.
 * ROUNDS and WARM_MS make it longer.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, statusOf, TestCluster } from '../support/cluster.ts';
import { expectOk, run } from '../support/dfs.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 40);
const LOOKS_PER_ROUND = 52;
const WARM_MS = Number(process.env['WARM_MS'] ?? 15_000);
const WORKLOAD = resolve(import.meta.dirname, '../../../test/support/workload');
/** Asked of this process when the kernel does not know: what a lease is to make unnecessary. */
const QUIET = ['LOOKUP', 'GETATTR', 'READ', 'READLINK', 'READDIR', 'READDIRPLUS', 'STATX'];
/** Those of them that fill pages of memory. */
const FILLING = ['READ', 'READLINK', 'READDIR', 'READDIRPLUS'];
/** Such pages that the kernel may have dropped without counting. What is not kept fails each pass. */
const UNCOUNTED = 2;
/** Until a guardian watches, the kernel keeps what it is told for 5 s. */
const UNWATCHED_MS = 6_000;
/** Of the silence of a node: 14 s after its last sign of life its leases count for nothing. */
const SILENT_MS = 20_000;

async function look(t: TestContext, env: Readonly<Record<string, string>>): Promise<void> {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host', env });
  const [one, two] = [cluster.node(0).dfs, cluster.node(1).dfs];
  const args = [`${WORKLOAD}/coherence.py`, one.mountpoint, two.mountpoint, String(ROUNDS)];
  const output = await run('python3', args, {
    timeoutMs: 60_000 + ROUNDS * 2_000,
    onTimeout: async () => {
      await one.abort();
      await two.abort();
    },
  });
  const said: unknown = JSON.parse(expectOk(output, 'looking').stdout);
  assert.deepEqual(said, { looks: ROUNDS * LOOKS_PER_ROUND, stale: {} });
}

interface Asked {
  readonly requests: Readonly<Record<string, number>>;
  readonly notifications: Readonly<Record<string, number>>;
  /** Pages of files that this kernel dropped to have memory, and had to fill again; of all mounts. */
  readonly refilled: number;
}

async function asked(node: ClusterNode): Promise<Asked> {
  // Counters of each CPU are added up now, as far as this kernel does that when asked.
  await readFile('/proc/sys/vm/stat_refresh').catch(() => undefined);
  const vmstat = await readFile('/proc/vmstat', 'utf8');
  const refilled = Number(/^workingset_refault_file (\d+)$/m.exec(vmstat)?.[1]);
  return { ...(await statusOf(node)).fuse, refilled };
}

/**
 * Nothing was asked or taken back, except for what the kernel itself dropped: that it asks for
 * again, and for the time of access after it. @returns in words what that was
 */
function assertQuiet(before: Asked, after: Asked, what: string): string {
  const moved = (name: string): number =>
    (after.requests[name] ?? 0) - (before.requests[name] ?? 0);
  const sum = (names: readonly string[]): number =>
    names.reduce((total, name) => total + moved(name), 0);
  assert.deepEqual(after.notifications, before.notifications, what);
  const refilled = after.refilled - before.refilled;
  const filled = sum(FILLING);
  const by = Object.fromEntries(QUIET.map((name) => [name, moved(name)]));
  const all = `${what}: ${JSON.stringify(by)}, ${refilled} pages dropped by the kernel`;
  assert.ok(filled <= Math.max(refilled, UNCOUNTED), all);
  assert.ok(moved('GETATTR') <= filled, all);
  assert.equal(sum(QUIET) - filled - moved('GETATTR'), 0, all);
  return all;
}

test('no look at what the other machine changed is stale', (t) => look(t, {}));

test('nor on Linux 6.1', (t) => look(t, { DFS_FUSE_MASK: '6.1' }));

test('what nobody changes is looked at without asking anybody', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0), cluster.node(1)];
  await one.dfs.ok(
    'mkdir $M/d && cd $M/d && for i in 1 2 3 4 5; do echo $i > $i.txt; done && ln -s 1.txt link && mkdir sub',
  );
  // A new file is its maker's alone for a moment.
  await sleep(1_000);
  const pass = (node: ClusterNode): Promise<string> => node.dfs.ok(`sh ${WORKLOAD}/warm.sh $M/d`);
  for (let warm = 0; warm < 3; warm++) {
    for (const node of [one, two]) await pass(node);
    // What was told before the guardian had found the mount is told once more.
    if (warm === 0) await sleep(UNWATCHED_MS);
  }
  for (const node of [one, two]) {
    const before = await asked(node);
    const endMs = Date.now() + WARM_MS;
    let passes = 0;
    for (; Date.now() < endMs; passes++) {
      await pass(node);
      await sleep(200);
    }
    const after = await asked(node);
    t.diagnostic(assertQuiet(before, after, `${node.name}, ${passes} passes`));
    t.diagnostic(`${node.name}, since it began: ${JSON.stringify(after.requests)}`);
    for (const name of ['OPEN', 'FLUSH', 'RELEASE', 'OPENDIR']) {
      assert.ok((after.requests[name] ?? 0) > passes, `${name} is still asked`);
    }
  }
});

test('a node that fell silent holds nobody up for long, and tells nothing stale', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [one, two] = [cluster.node(0), cluster.node(1)];
  await one.dfs.ok('echo old > $M/file');
  assert.equal(await two.dfs.ok('cat $M/file; stat -c %s $M/file; ls $M'), 'old\n4\nfile\n');
  const pid = await two.dfs.pid('node');
  process.kill(pid, 'SIGSTOP');
  try {
    // Two has the file in its caches: the writer waits for its lease to end, no longer.
    await one.dfs.ok('echo newer > $M/file; echo more > $M/another', SILENT_MS + 15_000);
    const during = await statusOf(one);
    assert.equal(during.metaserver.state, 'up');
    const asked = two.dfs.ok('cat $M/file; stat -c %s $M/file; ls $M', 60_000);
    const early = await Promise.race([asked, sleep(2_000, 'waits')]);
    assert.equal(early, 'waits', 'the kernel of a silent node answers from its caches');
    process.kill(pid, 'SIGCONT');
    assert.equal(await asked, 'newer\n6\nanother\nfile\n');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await cluster.untilWhole('the silent node is back', 30_000);
  await two.dfs.ok('echo three > $M/file');
  assert.equal(await one.dfs.ok('cat $M/file'), 'three\n');
});
