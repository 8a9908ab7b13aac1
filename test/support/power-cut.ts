/** A machine that loses power under load, and what must be there when it comes back. */
import { join } from 'node:path';
import { delay } from '../../src/common/lifecycle.ts';
import type { DfsUnderTest } from './dfs.ts';
import type { FaultDisk } from './fault-fs/fault-disk.ts';
import { killHard, until } from './processes.ts';
import type { Random } from './random.ts';
import { type Verdict, Worker } from './workload/worker.ts';

const WORKERS = 2;

/** Works, cuts the power at a random moment, restarts, and verifies every worker. */
export async function powerCut(
  dfs: DfsUnderTest,
  disk: FaultDisk,
  options: { readonly random: Random; readonly round: number },
): Promise<{ readonly verdicts: readonly Verdict[]; readonly restart: string }> {
  const { random, round } = options;
  const workers = Array.from({ length: WORKERS }, (_, index) => {
    const name = `p${round}-w${index}`;
    const log = join(dfs.dir, `${name}.log`);
    return Worker.start({ dir: join(dfs.mountpoint, name), log, seed: random.below(2 ** 31) });
  });
  await until('workers work', () => workers.every((worker) => worker.acknowledged >= 5), 30_000);
  await delay(random.below(1_000));
  const pids = [await dfs.pid('guardian'), await dfs.pid('node'), await dfs.pid('metaserver')];
  await disk.powerOff();
  for (const pid of pids) await killHard(pid);
  for (const worker of workers) await worker.stop();
  await disk.unplug();
  await disk.powerOn();
  const restarted = await dfs.cli(['mount', dfs.mountpoint]);
  if (restarted.code !== 0) return { verdicts: [], restart: restarted.stderr };
  const verdicts: Verdict[] = [];
  for (const worker of workers) verdicts.push(await worker.verify());
  return { verdicts, restart: '' };
}
