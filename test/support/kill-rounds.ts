/**
 * Kills processes of a working dfs with SIGKILL, round after round, and checks after each that
 * everything acknowledged in any round so far is there.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { delay } from '../../src/common/lifecycle.ts';
import type { DfsUnderTest } from './dfs.ts';
import { killHard, uninterruptible, until } from './processes.ts';
import type { Random } from './random.ts';
import { Worker } from './workload/worker.ts';

const WORKERS = 3;
type Victim = 'node' | 'metaserver' | 'guardian';

/** With the guardian gone a command brings everything back; otherwise it comes by itself. */
const VICTIMS: readonly [readonly Victim[], ...(readonly Victim[])[]] = [
  ['node'],
  ['metaserver'],
  ['node', 'metaserver'],
  ['guardian', 'node', 'metaserver'],
];

export interface KillTotals {
  rounds: number;
  acknowledged: number;
  inFlight: number;
  checked: number;
  failedOutsideFaults: number;
}

export async function killRounds(
  dfs: DfsUnderTest,
  options: { readonly rounds: number; readonly random: Random; note(line: string): void },
): Promise<KillTotals> {
  const { random } = options;
  const totals = { rounds: 0, acknowledged: 0, inFlight: 0, checked: 0, failedOutsideFaults: 0 };
  const finished: Worker[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const victims = VICTIMS[round % VICTIMS.length] ?? VICTIMS[0];
    const place = `seed ${random.seed} round ${round} kill ${victims.join('+')}`;
    const workers = await startWorkers(dfs, { round, seed: random.below(2 ** 31) });
    await assertUp(dfs, place);
    await delay(random.below(700));
    totals.failedOutsideFaults += workers.filter((worker) => !worker.alive).length;
    const guardian = await dfs.pid('guardian');
    // Held, so that what is down stays down until the status was looked at.
    process.kill(guardian, 'SIGSTOP');
    for (const victim of victims) await killHard(await dfs.pid(victim));
    await assertDown(dfs, victims, place);
    if (victims.includes('guardian')) await dfs.mount();
    else process.kill(guardian, 'SIGCONT');
    await assertUp(dfs, place);
    if (!victims.some((victim) => victim === 'node')) await assertGoesOn(workers, place);
    for (const worker of workers) await worker.stop();
    finished.push(...workers);
    let fresh = { acknowledged: 0, unknown: 0 };
    for (const worker of finished) {
      const verdict = await worker.verify();
      assert.deepEqual(verdict.failures, [], `${place}: ${worker.dir}`);
      totals.checked += verdict.checked;
      if (!workers.includes(worker)) continue;
      fresh = {
        acknowledged: fresh.acknowledged + verdict.acknowledged,
        unknown: fresh.unknown + verdict.unknown,
      };
    }
    assert.deepEqual(uninterruptible(), [], place);
    totals.rounds++;
    totals.acknowledged += fresh.acknowledged;
    totals.inFlight += fresh.unknown;
    options.note(`${place}: ${fresh.acknowledged} acknowledged, ${fresh.unknown} in flight`);
  }
  return totals;
}

async function startWorkers(
  dfs: DfsUnderTest,
  options: { readonly round: number; readonly seed: number },
): Promise<Worker[]> {
  const workers = Array.from({ length: WORKERS }, (_, index) => {
    const name = `r${options.round}-w${index}`;
    const dir = join(dfs.mountpoint, name);
    return Worker.start({ dir, log: join(dfs.dir, `${name}.log`), seed: options.seed + index });
  });
  await until('all workers work', () => workers.every((worker) => worker.acknowledged >= 3));
  return workers;
}

async function assertUp(dfs: DfsUnderTest, place: string): Promise<void> {
  await until(`${place}: status says up`, async () => {
    const { metaserver, mounts, node } = await dfs.status();
    return node.state === 'up' && metaserver.state === 'up' && mounts[0]?.state === 'up';
  });
}

async function assertDown(
  dfs: DfsUnderTest,
  victims: readonly string[],
  place: string,
): Promise<void> {
  const { metaserver, mounts, node, problems } = await dfs.status();
  assert.equal(node.state, victims.includes('node') ? 'down' : 'up', place);
  assert.equal(metaserver.state, victims.includes('metaserver') ? 'down' : 'up', place);
  assert.equal(mounts[0]?.state === 'up', !victims.includes('node'), place);
  assert.ok(problems.length > 0, place);
}

/** Only the metaserver died: for the applications that was a pause. */
async function assertGoesOn(workers: readonly Worker[], place: string): Promise<void> {
  const before = workers.map((worker) => worker.acknowledged);
  await until(`${place}: workers go on`, () => {
    const failed = workers.find((worker) => worker.failure !== undefined);
    if (failed !== undefined) throw new Error(`${place}: ${failed.failure}`);
    return workers.every((worker, index) => worker.acknowledged > (before[index] ?? 0));
  });
}
