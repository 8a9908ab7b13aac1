/**
 * Kills processes of a working cluster of two nodes, round after round, without typing a command:
 * status names what is away, the guardians bring it back, and everything acknowledged in any round
 * is there, seen from both machines.
 */
import assert from 'node:assert/strict';
import { basename, join } from 'node:path';
import { delay } from '../../src/common/lifecycle.ts';
import {
  type ClusterNode,
  killRole,
  peerOf,
  statusOf,
  type TestCluster,
  withGuardianStopped,
} from './cluster.ts';
import { uninterruptible, until } from './processes.ts';
import type { Random } from './random.ts';
import { Reader } from './workload/reader.ts';
import { Worker } from './workload/worker.ts';

const WORKERS = 2;
/** Calls wait so long for the metaserver, and half of it for a home; see `-o wait=`. */
const WAIT_MS = 60_000;
const SLACK_MS = 5_000;
const NOTICED_MS = 25_000;
const BACK_MS = 60_000;

/** What one round kills; `a` founded the cluster, so that the metaserver runs beside it. */
const VICTIMS = [
  ['a'],
  ['b'],
  ['metaserver'],
  ['a', 'b'],
  ['a', 'metaserver'],
  ['b', 'metaserver'],
] as const;
type Victims = (typeof VICTIMS)[number];

export interface ClusterKillTotals {
  rounds: number;
  acknowledged: number;
  /** Begun when the kill came, without an answer until it was over. */
  inFlight: number;
  /** Calls on the mount of a killed node, which ended with an error. */
  failedInFaults: number;
  failedOutsideFaults: number;
  reads: number;
  checked: number;
  longestMs: number;
}

interface Load {
  readonly node: ClusterNode;
  readonly workers: readonly Worker[];
  /** Reads what the other node's workers write. */
  readonly reader: Reader;
}

export class ClusterKillRounds {
  readonly totals: ClusterKillTotals = {
    rounds: 0,
    acknowledged: 0,
    inFlight: 0,
    failedInFaults: 0,
    failedOutsideFaults: 0,
    reads: 0,
    checked: 0,
    longestMs: 0,
  };
  readonly #cluster: TestCluster;
  readonly #random: Random;
  readonly #note: (line: string) => void;
  readonly #finished: Worker[] = [];
  #bag: Victims[] = [];

  constructor(cluster: TestCluster, random: Random, note: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#note = note;
  }

  async run(rounds: number): Promise<ClusterKillTotals> {
    for (let round = 0; round < rounds; round++) await this.#round(round);
    for (const worker of this.#finished) await this.#verify(worker, 'in the end');
    return this.totals;
  }

  async #round(round: number): Promise<void> {
    const victims = this.#choose();
    const place = `seed ${this.#random.seed} round ${round} kill ${victims.join('+')}`;
    await this.#cluster.untilWhole(`${place}: before`, BACK_MS);
    const loads = await this.#startLoads(round);
    const all = loads.flatMap(({ workers }) => workers);
    await delay(this.#random.below(700));
    this.totals.failedOutsideFaults += all.filter(({ alive }) => !alive).length;
    await withGuardianStopped(this.#cluster.nodes, async () => {
      for (const victim of victims) await this.#kill(victim);
      await this.#assertSeen(victims, place);
    });
    await this.#cluster.untilWhole(`${place}: after`, BACK_MS);
    const survivors = loads.filter(({ node }) => !isVictim(victims, node));
    try {
      await assertGoesOn(survivors, place);
    } catch (cause) {
      throw new Error(`${place}: waiting: ${await this.#cluster.waiting()}`, { cause });
    }
    for (const load of loads) await stop(load);
    assertReadersUnharmed(survivors, place);
    this.#finished.push(...all);
    await this.#count(loads, place);
    assert.deepEqual(uninterruptible(), [], place);
    this.totals.rounds++;
  }

  /** Each of them once, then each once again. */
  #choose(): Victims {
    if (this.#bag.length === 0) this.#bag = [...VICTIMS];
    const chosen = this.#random.pick(this.#bag);
    this.#bag = this.#bag.filter((victims) => victims !== chosen);
    return chosen;
  }

  #kill(victim: Victims[number]): Promise<void> {
    if (victim === 'metaserver') return killRole(this.#cluster.node(0), 'metaserver');
    return killRole(this.#node(victim), 'node');
  }

  #node(name: string): ClusterNode {
    return this.#cluster.node(name === 'a' ? 0 : 1);
  }

  async #startLoads(round: number): Promise<Load[]> {
    const { nodes } = this.#cluster;
    const name = (node: ClusterNode, index: number): string => `r${round}-${node.name}${index}`;
    const indexes = Array.from({ length: WORKERS }, (_, index) => index);
    const loads = nodes.map((node) => {
      const { dir, mountpoint } = node.dfs;
      const workers = indexes.map((index) =>
        Worker.start({
          dir: join(mountpoint, name(node, index)),
          log: join(dir, `${name(node, index)}.log`),
          seed: this.#random.below(2 ** 31),
        }),
      );
      const others = nodes.filter((other) => other !== node);
      const dirs = others.flatMap((other) =>
        indexes.map((index) => join(mountpoint, name(other, index))),
      );
      return { node, workers, reader: Reader.start(join(dir, `r${round}-reader.log`), dirs) };
    });
    await until('all work', () =>
      loads.every(
        ({ workers, reader }) =>
          workers.every(({ acknowledged }) => acknowledged >= 3) && reader.totals.done >= 3,
      ),
    );
    return loads;
  }

  /** Status on the killed machines and on the others, while nothing restarts anything. */
  async #assertSeen(victims: Victims, place: string): Promise<void> {
    const away = victims.some((victim) => victim === 'metaserver');
    for (const node of this.#cluster.nodes) {
      if (isVictim(victims, node)) {
        const { node: own, mounts, problems } = await statusOf(node);
        assert.equal(own.state, 'down', `${place}: ${node.name}`);
        assert.notEqual(mounts[0]?.state, 'up', `${place}: ${node.name}`);
        assert.ok(problems.length > 0, `${place}: ${node.name}`);
        continue;
      }
      await this.#cluster.untilStatus(
        `${place}: during`,
        node,
        (status) =>
          status.problems.length > 0 &&
          (status.metaserver.state === 'down') === away &&
          (away ||
            this.#cluster.nodes.every(
              (other) => (peerOf(status, other.name).state === 'down') === isVictim(victims, other),
            )),
        NOTICED_MS,
      );
    }
  }

  async #count(loads: readonly Load[], place: string): Promise<void> {
    const { totals } = this;
    const before = { ...totals };
    for (const { workers, reader } of loads) {
      const { done, longestMs } = reader.totals;
      totals.reads += done;
      totals.longestMs = Math.max(totals.longestMs, longestMs);
      for (const worker of workers) {
        const { acknowledged, unknown } = await this.#verify(worker, place);
        totals.acknowledged += acknowledged;
        totals.inFlight += unknown;
        totals.failedInFaults += worker.failure === undefined ? 0 : 1;
        totals.longestMs = Math.max(totals.longestMs, worker.longestMs);
      }
    }
    assert.ok(totals.longestMs <= WAIT_MS + SLACK_MS, `${place}: ${totals.longestMs} ms`);
    this.#note(
      `${place}: ${totals.acknowledged - before.acknowledged} acknowledged, ` +
        `${totals.inFlight - before.inFlight} in flight, ` +
        `${totals.failedInFaults - before.failedInFaults} failed with their node, ` +
        `${totals.reads - before.reads} reads, longest ${totals.longestMs} ms so far`,
    );
  }

  /** From every machine. @returns what its log tells */
  async #verify(
    worker: Worker,
    place: string,
  ): Promise<{ readonly acknowledged: number; readonly unknown: number }> {
    let told = { acknowledged: 0, unknown: 0 };
    for (const { dfs, name } of this.#cluster.nodes) {
      const dir = join(dfs.mountpoint, basename(worker.dir));
      const { failures, checked, acknowledged, unknown } = await worker.verify(dir);
      assert.deepEqual(failures, [], `${place}: ${basename(dir)} on ${name}`);
      this.totals.checked += checked;
      told = { acknowledged, unknown };
    }
    return told;
  }
}

function isVictim(victims: Victims, node: ClusterNode): boolean {
  return victims.some((victim) => victim === node.name);
}

async function stop({ workers, reader }: Load): Promise<void> {
  for (const worker of workers) await worker.stop();
  await reader.stop();
}

/** Where the node lives, all of it was a pause. */
async function assertGoesOn(loads: readonly Load[], place: string): Promise<void> {
  const before = new Map<Worker, number>();
  const workers = loads.flatMap((load) => load.workers);
  for (const worker of workers) before.set(worker, worker.acknowledged);
  await until(
    `${place}: workers go on`,
    () => {
      const failed = workers.find(({ failure }) => failure !== undefined);
      if (failed !== undefined) throw new Error(`${place}: ${failed.failure}`);
      return workers.every((worker) => worker.acknowledged > (before.get(worker) ?? 0));
    },
    WAIT_MS,
  );
}

function assertReadersUnharmed(loads: readonly Load[], place: string): void {
  for (const { node, reader } of loads) {
    assert.deepEqual(reader.totals.failed, [], `${place}: reader on ${node.name}`);
  }
}
