/** What is broken while histories are recorded, each for a while, and whole again afterwards. */
import { delay } from '../../src/common/lifecycle.ts';
import { killRole, type TestCluster } from './cluster.ts';
import type { Random } from './random.ts';

export interface HistoryFault {
  readonly what: string;
  /** Machines whose programs may lose what they had not synced. */
  readonly losers: readonly number[];
  /** Machines whose programs may lose their descriptors and what they had locked. */
  readonly forgetters: readonly number[];
  /** Breaks it, waits, and lets it heal; what was killed comes back by itself. */
  run(cluster: TestCluster): Promise<void>;
}

/**
 * A machine that was not heard of for 14 s counts for nothing, and what it had not published is not
 * merged. Its silence may have begun a keepalive before the fault.
 */
const SILENT_MS = 9_000;
/** How long a publication may wait for the home of a file; then it is told as an error. */
const HOME_MS = 5_000;

function all(cluster: TestCluster): number[] {
  return cluster.nodes.map(({ index }) => index);
}

/** Evicted, or about to be. */
function silent(machines: readonly number[]): Pick<HistoryFault, 'losers' | 'forgetters'> {
  return { losers: machines, forgetters: machines };
}

export function killNode(index: number): HistoryFault {
  return {
    what: `node ${index} killed`,
    losers: [],
    forgetters: [index],
    run: (cluster) => killRole(cluster.node(index), 'node'),
  };
}

export function killMetaserver(): HistoryFault {
  return {
    what: 'metaserver killed',
    losers: [],
    forgetters: [],
    run: (cluster) => killRole(cluster.node(0), 'metaserver'),
  };
}

async function stopped(pid: number, ms: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await delay(ms);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

export function pauseNode(index: number, ms: number): HistoryFault {
  return {
    what: `node ${index} stopped for ${ms} ms`,
    ...silent(ms > SILENT_MS ? [index] : []),
    run: async (cluster) => stopped(await cluster.node(index).dfs.pid('node'), ms),
  };
}

export function pauseMetaserver(ms: number): HistoryFault {
  return {
    what: `metaserver stopped for ${ms} ms`,
    ...silent(ms > SILENT_MS ? [0, 1, 2] : []),
    run: async (cluster) => stopped(await cluster.node(0).dfs.pid('metaserver'), ms),
  };
}

/** Slow rather than away: it stops again and again for less than anybody would call a failure. */
export function delayMetaserver(times: number): HistoryFault {
  return {
    what: `metaserver delayed ${times} times`,
    losers: [],
    forgetters: [],
    run: async (cluster) => {
      const pid = await cluster.node(0).dfs.pid('metaserver');
      for (let time = 0; time < times; time += 1) {
        await stopped(pid, 150);
        await delay(100);
      }
    },
  };
}

async function cutFor(
  cluster: TestCluster,
  pairs: readonly (readonly [number, number])[],
  ms: number,
): Promise<void> {
  const { network } = cluster;
  if (network === undefined) throw new Error('no network to cut');
  try {
    for (const [from, to] of pairs) await network.cutOneWay(from, to);
    await delay(ms);
  } finally {
    await network.heal();
  }
}

/** From everybody, in both directions. */
export function partition(index: number, ms: number): HistoryFault {
  return {
    what: `machine ${index} cut off for ${ms} ms`,
    // The metaserver is on machine 0: without it, all others are silent.
    ...silent(ms <= SILENT_MS ? [] : index === 0 ? [0, 1, 2] : [index]),
    run: (cluster) => {
      const others = all(cluster).filter((other) => other !== index);
      const pairs = others.flatMap((other) => [[index, other] as const, [other, index] as const]);
      return cutFor(cluster, pairs, ms);
    },
  };
}

/** Between two machines only, or one way only. */
export function cut(from: number, to: number, ms: number, bothWays: boolean): HistoryFault {
  const pairs = bothWays ? [[from, to] as const, [to, from] as const] : [[from, to] as const];
  return {
    what: `${bothWays ? 'cut between' : 'one-way cut from'} ${from} and ${to} for ${ms} ms`,
    ...silent(ms > HOME_MS ? [from, to] : []),
    run: (cluster) => cutFor(cluster, pairs, ms),
  };
}

/** One of each kind in a short run. */
export const SHORT_FAULTS: readonly HistoryFault[] = [
  killNode(1),
  pauseNode(2, 3_000),
  partition(2, 4_000),
  pauseMetaserver(2_000),
  delayMetaserver(8),
];

function drawn(random: Random): readonly HistoryFault[] {
  const [one = 0, other = 1] = [0, 1, 2].sort(() => random.below(3) - 1);
  return [
    killNode(0),
    killNode(1),
    killNode(2),
    killMetaserver(),
    pauseNode(random.below(3), 2_000 + random.below(3_000)),
    pauseNode(random.below(3), 18_000),
    partition(1 + random.below(2), 2_000 + random.below(5_000)),
    partition(random.below(3), 18_000),
    cut(one, other, 3_000, true),
    cut(one, other, 10_000, random.chance(0.5)),
    pauseMetaserver(1_000 + random.below(3_000)),
    delayMetaserver(10 + random.below(20)),
  ];
}

/** All of them in random order, again and again. */
export function* faultsInRandomOrder(random: Random): Generator<HistoryFault, never> {
  for (;;) {
    const bag = [...drawn(random)];
    while (bag.length > 0) {
      const [next] = bag.splice(random.below(bag.length), 1);
      if (next !== undefined) yield next;
    }
  }
}
