/**
 * A cluster whose disks forget what was not synced: one machine loses its power under load, and
 * what was acknowledged on any of them must be there when it is back, seen from every machine.
 */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { delay } from '../../src/common/lifecycle.ts';
import { type ClusterNode, type ClusterOptions, type Role, TestCluster } from './cluster.ts';
import type { DfsUnderTest } from './dfs.ts';
import { FaultDisk } from './fault-fs/fault-disk.ts';
import { killHard, until } from './processes.ts';
import type { Random } from './random.ts';
import { type Verdict, Worker } from './workload/worker.ts';

const WORKERS = 2;
const BACK_MS = 60_000;

interface Load {
  readonly node: ClusterNode;
  readonly workers: readonly Worker[];
}

export interface PowerCutOutcome {
  /** Of every worker, as every machine sees it. */
  readonly verdicts: readonly { readonly what: string; readonly verdict: Verdict }[];
  /** Workers of machines that kept their power and met an error. */
  readonly failed: readonly string[];
}

export class PowerCutCluster {
  readonly cluster: TestCluster;
  readonly #disks: ReadonlyMap<DfsUnderTest, FaultDisk>;
  readonly #random: Random;

  private constructor(
    cluster: TestCluster,
    disks: ReadonlyMap<DfsUnderTest, FaultDisk>,
    random: Random,
  ) {
    this.cluster = cluster;
    this.#disks = disks;
    this.#random = random;
  }

  static async start(
    t: Parameters<typeof TestCluster.start>[0],
    options: Pick<ClusterOptions, 'clientsOnly' | 'nodes' | 'program'>,
    random: Random,
  ): Promise<PowerCutCluster> {
    const disks = new Map<DfsUnderTest, FaultDisk>();
    const prepare = async (_index: number, dfs: DfsUnderTest): Promise<void> => {
      const disk = new FaultDisk(dfs.dir);
      dfs.beforeRemoval(async () => {
        await disk.powerOff();
        await disk.unplug();
      });
      await disk.powerOn();
      disks.set(dfs, disk);
      dfs.stateDir = join(disk.mountpoint, 'state');
    };
    const cluster = await TestCluster.start(t, { ...options, network: 'namespaces', prepare });
    return new PowerCutCluster(cluster, disks, random);
  }

  /** Works on every machine, cuts the power of one at a random moment, starts it again, and looks. */
  async round(round: number, victim: ClusterNode): Promise<PowerCutOutcome> {
    const loads = this.cluster.nodes.map((node) => this.#load(round, node));
    const all = loads.flatMap(({ workers }) => workers);
    await until('workers work', () => all.every((worker) => worker.acknowledged >= 5), BACK_MS);
    await delay(this.#random.below(1_000));
    await this.#cut(victim, loads);
    await this.cluster.untilWhole(`round ${round}: after`, BACK_MS);
    const others = loads.filter(({ node }) => node !== victim);
    const failed = await goOn(others);
    for (const worker of all) await worker.stop();
    const verdicts: { readonly what: string; readonly verdict: Verdict }[] = [];
    for (const { dfs, name } of this.cluster.nodes) {
      for (const worker of all) {
        const dir = basename(worker.dir);
        const verdict = await worker.verify(join(dfs.mountpoint, dir));
        verdicts.push({ what: `${dir} on ${name}`, verdict });
      }
    }
    return { verdicts, failed };
  }

  #load(round: number, node: ClusterNode): Load {
    const { dfs, name } = node;
    const workers = Array.from({ length: WORKERS }, (_, index) => {
      const dir = `p${round}-${name}${index}`;
      const place = { dir: join(dfs.mountpoint, dir), log: join(dfs.dir, `${dir}.log`) };
      return Worker.start({ ...place, seed: this.#random.below(2 ** 31) });
    });
    return { node, workers };
  }

  async #cut({ dfs, index, mountArgs }: ClusterNode, loads: readonly Load[]): Promise<void> {
    const disk = this.#disks.get(dfs);
    if (disk === undefined) throw new Error('a node without a disk');
    const roles: Role[] = index === 0 ? ['guardian', 'node', 'metaserver'] : ['guardian', 'node'];
    const pids = await Promise.all(roles.map((role) => dfs.pid(role)));
    // Nobody on it may tell others of a disk that fails.
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await disk.powerOff();
    for (const pid of pids) await killHard(pid);
    for (const { node, workers } of loads) {
      if (node.dfs === dfs) for (const worker of workers) await worker.stop();
    }
    await disk.unplug();
    await disk.powerOn();
    // The machine was started anew since it was written: as the number of its start would tell.
    await rm(join(dfs.stateDir, 'journal'), { force: true });
    await dfs.mount(mountArgs);
  }
}

/** To them it was a pause. @returns how they failed */
async function goOn(loads: readonly Load[]): Promise<string[]> {
  const workers = loads.flatMap((load) => load.workers);
  const before = new Map(workers.map((worker) => [worker, worker.acknowledged]));
  const failures = (): string[] => workers.flatMap(({ failure }) => failure ?? []);
  const isDone = (): boolean =>
    failures().length > 0 ||
    workers.every((worker) => worker.acknowledged > (before.get(worker) ?? 0));
  await until('workers go on', isDone, BACK_MS);
  return failures();
}
