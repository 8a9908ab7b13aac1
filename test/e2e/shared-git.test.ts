/**
 * Two machines work on one repository at once: each commits in a worktree of it, pushes from a
 * clone to a branch of its own and to one that both push to, and collects garbage meanwhile. Then
 * git checks every object on both, and every commit is compared with what was committed. ROUNDS
 * and STEPS make it longer.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestCluster } from '../support/cluster.ts';
import { GitMachine } from '../support/git-machine.ts';
import { GitWorker, ids } from '../support/git-worker.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';
import { makeRepository } from '../support/sample-repository.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
const STEPS = Number(process.env['STEPS'] ?? 4);
const FILES = 60;
const BETWEEN_COLLECTIONS_MS = 200;

/**
 * Without what git does to itself, on a local disk as well: gc removes an empty folder of objects
 * that a push is about to move its own into (so pushes stay packs), who looks for packs while gc
 * makes a bitmap warns of a second one. And without prune, which cannot stat a temporary file that has
 * got its name since it was listed.
 */
const SETTINGS = [
  ['receive.unpackLimit', '1'],
  ['repack.writeBitmaps', 'false'],
] as const;
const COLLECT = ['gc', '-q', '--no-prune'] as const;

async function makeShared(
  source: string,
  dir: string,
  workers: readonly GitWorker[],
): Promise<string> {
  const shared = `${dir}/shared.git`;
  const [first] = workers;
  assert.ok(first !== undefined);
  const { machine } = first;
  await machine.git('.', 'clone', '-q', '--bare', '--no-hardlinks', source, machine.path(shared));
  await machine.git(shared, 'branch', '-m', 'main');
  for (const setting of SETTINGS) await machine.git(shared, 'config', ...setting);
  for (const { machine: other, clone, tree } of workers) {
    await other.git(shared, 'worktree', 'add', '-q', '-b', `tree-${other.name}`, other.path(tree));
    await other.git('.', 'clone', '-q', other.path(shared), other.path(clone));
  }
  return shared;
}

/** @returns how often it was done */
async function collectWhile(
  running: () => boolean,
  shared: string,
  machine: GitMachine,
): Promise<number> {
  let collections = 0;
  while (running()) {
    await machine.retried(shared, COLLECT, () => sleep(BETWEEN_COLLECTIONS_MS));
    collections += 1;
    await sleep(BETWEEN_COLLECTIONS_MS);
  }
  return collections;
}

async function round(source: string, dir: string, machines: readonly GitMachine[]) {
  const workers = machines.map((machine) => new GitWorker(machine, dir));
  const shared = await makeShared(source, dir, workers);
  let running = workers.length;
  const work = async (worker: GitWorker): Promise<number> => {
    try {
      for (let step = 0; step < STEPS; step++) await worker.step(step);
      return 0;
    } finally {
      running -= 1;
    }
  };
  const collect = (machine: GitMachine) => collectWhile(() => running > 0, shared, machine);
  const ended = await Promise.allSettled([...workers.map(work), ...machines.map(collect)]);
  const failures = ended.filter((each) => each.status === 'rejected');
  assert.equal(failures.length, 0, failures.map(({ reason }) => String(reason)).join('\n'));

  const pushed = workers.flatMap((worker) => ids(worker.pushed)).sort();
  for (const there of machines) {
    assert.equal(await there.git(shared, 'fsck', '--full', '--strict', '--no-dangling'), '');
    const main = await there.git(shared, 'rev-list', `tree-${there.name}..main`);
    assert.deepEqual(main.trim().split('\n').sort(), pushed);
    for (const worker of workers) await worker.check(shared, there);
  }
  return ended.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0);
}

const skip = await reasonAgainstPrograms('git');

test('two machines commit, push and collect garbage in one repository', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const machines = cluster.nodes.map((node) => new GitMachine(node));
  const source = join(cluster.node(0).dfs.dir, 'source');
  await makeRepository(source, FILES);
  for (let n = 1; n <= ROUNDS; n++) {
    await t.test(`round ${n}`, async (sub) => {
      const collections = await round(source, `git-${n}`, machines);
      const counts = machines.map(({ name, commands, refusals }) => ({ name, commands, refusals }));
      sub.diagnostic(`${collections} collections; so far ${JSON.stringify(counts)}`);
    });
  }
});
