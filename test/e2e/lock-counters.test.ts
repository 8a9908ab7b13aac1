/**
 * Programs on three machines add to counters under each kind of lock, while those that hold a lock
 * or wait for it are killed, and in some rounds the metaserver or a node as well: what is counted
 * is exact. ROUNDS and SECONDS (of a round) make it longer, SEED replays who is killed when.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ClusterNode, killRole, type Role, TestCluster } from '../support/cluster.ts';
import { type CounterJudgement, judgeCounter } from '../support/counter-log.ts';
import { expectOk, run } from '../support/dfs.ts';
import { until } from '../support/processes.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';
import { Random } from '../support/random.ts';

const PROGRAM = resolve(import.meta.dirname, '../../../test/support/workload/counters.py');
const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
const SECONDS = Number(process.env['SECONDS'] ?? 4);
const MACHINES = 3;
const KINDS = ['flock', 'posix', 'ofd'] as const;
const WHOLE_MS = 40_000;
const ENDS_MS = 120_000;
/** The fault comes when so many lines are logged: the programs are at work then. */
const AT_WORK = 100;

interface Fault {
  readonly role: Role;
  readonly machine: number;
}

/** In turn: machine 0 has the metaserver. */
const FAULTS: readonly (readonly Fault[])[] = [
  [{ role: 'node', machine: 1 }],
  [{ role: 'metaserver', machine: 0 }],
  [],
  [{ role: 'node', machine: 2 }],
  [{ role: 'node', machine: 0 }],
  [
    { role: 'metaserver', machine: 0 },
    { role: 'node', machine: 1 },
  ],
];

interface Counted extends CounterJudgement {
  readonly final: number;
  readonly killed: number;
}

function isThere(path: string): Promise<string> {
  return readFile(path, 'latin1').catch(() => '');
}

/** A counter that programs on all machines add to until the time is over. */
class Count {
  readonly #cluster: TestCluster;
  readonly #file: string;
  readonly #log: string;

  constructor(cluster: TestCluster, file: string) {
    this.#cluster = cluster;
    this.#file = file;
    this.#log = join(cluster.node(0).dfs.dir, `${file}.log`);
  }

  async run(home: ClusterNode, how: string, seconds: number, seed: number): Promise<Counted> {
    await home.dfs.ok(`printf %020d 0 > ${this.#file}`);
    const { nodes } = this.#cluster;
    const files = nodes.map(({ dfs }) => join(dfs.mountpoint, this.#file));
    const args = ['-B', PROGRAM, how, this.#log, String(seconds), String(seed), ...files];
    const output = await run('python3', args, {
      timeoutMs: seconds * 1_000 + ENDS_MS,
      onTimeout: () => this.#giveUp(),
    });
    const printed = expectOk(output, `counting under ${how}`);
    assert.equal(printed.stderr, '');
    const { killed } = JSON.parse(printed.stdout) as { killed: number };
    await this.#cluster.untilWhole('all machines are there again', WHOLE_MS);
    const shown = await Promise.all(nodes.map(({ dfs }) => dfs.ok(`cat ${this.#file}`)));
    const final = Number(shown[0]);
    assert.deepEqual(shown.map(Number), Array(MACHINES).fill(final), 'the same on all machines');
    return { final, killed, ...judgeCounter(await isThere(this.#log), final, MACHINES) };
  }

  async untilAtWork(): Promise<void> {
    const lines = async (): Promise<number> => (await isThere(this.#log)).split('\n').length;
    await until(`${this.#file} is counted`, async () => (await lines()) > AT_WORK, ENDS_MS);
  }

  async #giveUp(): Promise<void> {
    for (const { dfs } of this.#cluster.nodes) await dfs.abort();
  }
}

async function fail(cluster: TestCluster, faults: readonly Fault[]): Promise<void> {
  for (const { role, machine } of faults) await killRole(cluster.node(machine), role);
}

async function round(
  t: TestContext,
  cluster: TestCluster,
  n: number,
  random: Random,
): Promise<void> {
  const faults = FAULTS[n % FAULTS.length] ?? [];
  const counts = KINDS.map((how) => new Count(cluster, `${how}-${n}`));
  const counting = counts.map((count, at) =>
    count.run(cluster.node((n + at) % MACHINES), KINDS[at] ?? '', SECONDS, random.below(2 ** 31)),
  );
  const failing = (async () => {
    await Promise.all(counts.map((count) => count.untilAtWork()));
    await fail(cluster, faults);
  })();
  const [counted] = await Promise.all([Promise.all(counting), failing]);
  for (const [at, how] of KINDS.entries()) {
    const { acknowledged, failed, final, inDoubt, killed, wrong } = counted[at] ?? assert.fail();
    const known = acknowledged.reduce((sum, count) => sum + count, 0);
    const what = faults.map(({ role, machine }) => `${role} ${machine}`).join(', ') || 'none';
    t.diagnostic(
      `${how}: ${final} counted, ${known} known (${acknowledged.join(', ')}), ${inDoubt} in doubt; ` +
        `${killed} programs killed; processes killed: ${what}`,
    );
    for (const [machine, calls] of failed.entries()) {
      const isDown = faults.some((fault) => fault.role === 'node' && fault.machine === machine);
      if (!isDown) assert.equal(calls, 0, `${how}: calls that failed on machine ${machine}`);
    }
    assert.equal(wrong, undefined, how);
    assert.ok(known <= final && final <= known + inDoubt, how);
    assert.ok(killed > 0 && acknowledged.every((count) => count > 0), `${how}: all had a turn`);
  }
}

const skip = await reasonAgainstPrograms('python3');

test('counters under locks are exact while programs are killed', { skip }, async (t) => {
  const random = Random.fromEnvironment();
  t.diagnostic(`SEED=${random.seed}`);
  const cluster = await TestCluster.start(t, { nodes: MACHINES, network: 'host' });
  for (let n = 0; n < ROUNDS; n++) {
    await t.test(`round ${n + 1}`, (sub) => round(sub, cluster, n, random));
  }
  await t.test('and without locks are not', async () => {
    const count = new Count(cluster, 'nothing');
    const { wrong } = await count.run(cluster.node(1), 'nothing', 0.5, random.below(2 ** 31));
    assert.notEqual(wrong, undefined);
  });
});

test('what two programs under one lock cannot have seen is told', () => {
  const judged = (final: number, ...lines: readonly string[]): string | undefined =>
    judgeCounter(`${lines.join('\n')}\n`, final, 2).wrong;
  const added = ['reads 1 0 0', 'wrote 1 0 0'];
  assert.equal(judged(1, ...added), undefined);
  assert.equal(judged(2, ...added), 'it is 2 in the end, but it was 1');
  assert.equal(judged(1, ...added, 'reads 2 0 1'), 'line 3: 2 reads 0, but it was 1');
  assert.equal(judged(1, 'reads 1 0 0', 'reads 2 1 1'), undefined);
  assert.equal(judged(0, 'reads 1 0 0', 'reads 2 0 1'), undefined);
  assert.equal(judged(1, 'reads 1 0 0', 'reads 2 2 1'), 'line 2: 2 reads 2, but it was 0 or 1');
  assert.equal(
    judged(1, 'reads 1 0 0', 'reads 2 0 1', 'wrote 1 0 0'),
    'line 3: 1 wrote, while 2 had the lock',
  );
});
