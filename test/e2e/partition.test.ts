/**
 * Machines that cannot reach each other, one way or both: calls fail within their bound, the rest
 * goes on, status says who is away, and all of it heals without a command. With `-o wait=` W, a
 * request waits W for the metaserver, and W/2 for the home of a file. A read(2) is two requests,
 * since the kernel asks again when reading ahead failed, and an fsync(2) first waits for a
 * publication that is under way. WAIT_S sets W.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { assertKillable } from '../support/blocked-process.ts';
import { type ClusterNode, peerOf, problemCodes, TestCluster } from '../support/cluster.ts';
import { run } from '../support/dfs.ts';
import { HeldFile } from '../support/held-file.ts';
import { reasonAgainstNetworks, type TestNetwork } from '../support/netns.ts';
import { until } from '../support/processes.ts';

const WAIT_S = Number(process.env['WAIT_S'] ?? 16);
/** For noticing, and for a machine with much to do. */
const SLACK_MS = 5_000;
const METASERVER_MS = WAIT_S * 1_000 + SLACK_MS;
const HOME_MS = 2 * WAIT_S * 500 + SLACK_MS;
/** A call to a home is given up at once, one to the metaserver when that is known to be away. */
const KILLED_MS = { home: 3_000, metaserver: 11_000 } as const;
const NOTICED_MS = 30_000;
const HEALED_MS = 30_000;

const [A, B, C] = [0, 1, 2] as const;

interface Cut {
  readonly name: string;
  apply(network: TestNetwork): Promise<void>;
}

function cutsBetween(one: number, other: number, names: readonly [string, string]): Cut[] {
  const [first, second] = names;
  return [
    { name: `${first} and ${second} apart`, apply: (network) => network.cut(one, other) },
    {
      name: `nothing from ${first} arrives at ${second}`,
      apply: (network) => network.cutOneWay(one, other),
    },
    {
      name: `nothing from ${second} arrives at ${first}`,
      apply: (network) => network.cutOneWay(other, one),
    },
  ];
}

class World {
  readonly cluster: TestCluster;
  readonly network: TestNetwork;
  /** Runs the metaserver. */
  readonly a: ClusterNode;
  readonly b: ClusterNode;
  readonly c: ClusterNode;

  private constructor(cluster: TestCluster, network: TestNetwork) {
    this.cluster = cluster;
    this.network = network;
    this.a = cluster.node(A);
    this.b = cluster.node(B);
    this.c = cluster.node(C);
  }

  static async start(t: TestContext): Promise<World> {
    const mountArgs = ['-o', `wait=${WAIT_S}s`];
    const cluster = await TestCluster.start(t, { nodes: 3, network: 'namespaces', mountArgs });
    assert.ok(cluster.network !== undefined);
    return new World(cluster, cluster.network);
  }

  async heal(): Promise<void> {
    await this.network.heal();
    await this.cluster.untilWhole('healed', HEALED_MS);
  }
}

function at(node: ClusterNode, file: string): string {
  return join(node.dfs.mountpoint, file);
}

/** The command ends with EIO, and within `ms`. */
async function assertFailsWithin(
  ms: number,
  [program, ...args]: readonly [string, ...string[]],
): Promise<void> {
  const what = [program, ...args].join(' ');
  const start = performance.now();
  const output = await run(program, args, { timeoutMs: ms + 5_000 });
  const took = performance.now() - start;
  assert.match(output.stderr, /Input\/output error/, `${what}: exit ${output.code}`);
  assert.ok(took <= ms, `${what} took ${Math.round(took)} ms`);
}

async function assertReads(node: ClusterNode, file: string, text: string): Promise<void> {
  const output = await run('cat', [at(node, file)], { timeoutMs: 10_000 });
  assert.equal(output.stdout, text, `${file} on ${node.name}: ${output.stderr}`);
}

/** It arrives by itself. */
async function untilReads(node: ClusterNode, file: string, text: string): Promise<void> {
  const arrived = async (): Promise<boolean> => {
    const output = await run('cat', [at(node, file)], { timeoutMs: METASERVER_MS });
    return output.code === 0 && output.stdout === text;
  };
  await until(`${file} holds ${text} on ${node.name}`, arrived, HEALED_MS);
}

/** A reader and the home of a file: everybody still reaches the metaserver. */
async function cutFromHome(t: TestContext, world: World, cut: Cut): Promise<void> {
  const { a, b, c, cluster, network } = world;
  t.after(() => network.heal());
  const files = 'printf cached > cached; printf fresh > fresh; cp fresh stuck';
  await b.dfs.ok(`${files}; printf ...... > kept`);
  await assertReads(c, 'cached', 'cached');
  const kept = await HeldFile.open(t, at(c, 'kept'), 'r+');
  await kept.ok({ call: 'write', at: 0, text: 'bef' });

  await cut.apply(network);
  const blind = await Promise.all([
    cluster.untilStatus(
      `c says that it cannot reach b, or b that it cannot reach c`,
      c,
      (status) => problemCodes(status).includes('peer-unreachable'),
      NOTICED_MS,
    ),
    assertFailsWithin(HOME_MS, ['cat', at(c, 'fresh')]),
    assertKillable(cluster, c, ['cat', at(c, 'stuck')], KILLED_MS.home),
    assertReads(c, 'cached', 'cached'),
    kept.ok({ call: 'write', at: 3, text: 'ore' }).then(async () => {
      const { outcome, ms } = await kept.call({ call: 'fsync' });
      assert.equal(outcome, 'EIO', 'fsync on c of a file that b keeps');
      assert.ok(ms <= HOME_MS, `fsync took ${ms} ms`);
    }),
    c.dfs.ok('printf mine > own; test "$(cat own)" = mine'),
  ]);
  const away = blind[0].peers.filter(({ unreachableFrom }) => unreachableFrom.length > 0);
  assert.ok(away.length > 0 && away.every(({ name, state }) => name !== 'a' && state === 'up'));
  await assertReads(a, 'own', 'mine');
  await assertReads(a, 'fresh', 'fresh');

  await world.heal();
  await assertReads(c, 'fresh', 'fresh');
  await untilReads(b, 'kept', 'before');
  await kept.call({ call: 'close' });
}

/** A machine without its metaserver: it still reaches the third one. */
async function cutFromMetaserver(t: TestContext, world: World, cut: Cut): Promise<void> {
  const { a, b, c, cluster, network } = world;
  t.after(() => network.heal());
  await b.dfs.ok('printf fresh > fresh; mkdir -p sub');
  await c.dfs.ok('rm -f pending; ls sub');
  const pending = await HeldFile.open(t, at(c, 'pending'), 'w');
  await pending.ok({ call: 'write', at: 0, text: 'accepted before' });

  await cut.apply(network);
  // Alone: the kernel lets nobody into a directory where a creation waits, not even to be killed.
  await assertKillable(cluster, c, ['stat', at(c, 'fresh')], KILLED_MS.metaserver);
  await Promise.all([
    cluster.untilStatus(
      'c says that the metaserver is away',
      c,
      (status) =>
        status.metaserver.state === 'down' && problemCodes(status).includes('metaserver-down'),
      NOTICED_MS,
    ),
    cluster.untilStatus(
      'a says that c is away',
      a,
      (status) =>
        peerOf(status, 'c').state === 'down' && problemCodes(status).includes('peer-down'),
      NOTICED_MS,
    ),
    assertFailsWithin(METASERVER_MS, ['cat', at(c, 'fresh')]),
    assertFailsWithin(METASERVER_MS, ['mkdir', at(c, 'sub/new')]),
    assertFailsWithin(METASERVER_MS, ['ls', c.dfs.mountpoint]),
  ]);
  await b.dfs.ok('printf fresher > fresh; mkdir d; rmdir d');
  await assertReads(a, 'fresh', 'fresher');

  await world.heal();
  await assertReads(c, 'fresh', 'fresher');
  await untilReads(b, 'pending', 'accepted before');
  await pending.call({ call: 'close' });
}

const skip = await reasonAgainstNetworks();

describe('a network that breaks', { skip, concurrency: 2 }, () => {
  test('between a reader and the home of a file', async (t) => {
    const world = await World.start(t);
    for (const cut of cutsBetween(B, C, ['b', 'c'])) {
      await t.test(cut.name, (sub) => cutFromHome(sub, world, cut));
    }
  });

  test('between a machine and the metaserver', async (t) => {
    const world = await World.start(t);
    for (const cut of cutsBetween(A, C, ['a', 'c'])) {
      await t.test(cut.name, (sub) => cutFromMetaserver(sub, world, cut));
    }
  });
});
