/** Joining a cluster: what is refused and how, and machines that others cannot or may not reach. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  type ClusterNode,
  peerOf,
  problemCodes,
  statusOf,
  TestCluster,
} from '../support/cluster.ts';
import { expectOk } from '../support/dfs.ts';
import { reasonAgainstNetworks } from '../support/netns.ts';

const MIB = 2 ** 20;
const REPORTED_MS = 20_000;
/** The way back is tried again every 30 s. */
const REACHED_MS = 45_000;

const skip = await reasonAgainstNetworks();

/** A file of 4 MiB made on one node, read on every other. */
async function share(cluster: TestCluster, writer: ClusterNode): Promise<void> {
  const file = `from-${writer.name}`;
  const sum = await writer.dfs.ok(`head -c 4M /dev/urandom | tee ${file} | sha256sum`);
  for (const { dfs, name } of cluster.nodes) {
    assert.equal(await dfs.ok(`sha256sum < ${file}`), sum, `${file} on ${name}`);
  }
}

interface Listens {
  readonly listen: { readonly metaserver: readonly string[] };
}

// Mostly they wait for what happens after a time.
describe('joining a cluster', { concurrency: 4 }, () => {
  test('a machine that may not serve data unencrypted is a client: others store its files', {
    skip,
  }, async (t) => {
    const cluster = await TestCluster.start(t, {
      nodes: 3,
      network: 'namespaces',
      clientsOnly: [2],
    });
    const [a, b, client] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    const before = await statusOf(a);
    for (const node of cluster.nodes) {
      const { stores, clientReason } = peerOf(await statusOf(node), client.name);
      assert.equal(stores, false);
      assert.notEqual(clientReason, '');
      assert.ok(problemCodes(await statusOf(node)).includes('client-only'), node.name);
    }
    for (const writer of cluster.nodes) await share(cluster, writer);
    const owned = (status: typeof before): number =>
      peerOf(status, a.name).bytesOwned + peerOf(status, b.name).bytesOwned;
    const after = await cluster.untilStatus(
      'the others store what the client wrote',
      a,
      (status) => owned(status) - owned(before) >= 12 * MIB,
      REPORTED_MS,
    );
    assert.equal(peerOf(after, client.name).bytesOwned, 0);
  });

  test('a machine that nobody can reach is a client until somebody can', { skip }, async (t) => {
    const cluster = await TestCluster.start(t, { nodes: 1, machines: 2, network: 'namespaces' });
    const { network } = cluster;
    assert.ok(network !== undefined);
    const joiner = await cluster.stranger(1);
    const name = 'hidden';
    await network.hide(1);
    const args = ['--name', name, '--join', cluster.join, '--peer-listen', '10.77.0.2:0'];
    await joiner.mount([...args, '--insecure']);
    const status = await cluster.untilStatus(
      'it is a client, and why is said',
      cluster.node(0),
      (seen) =>
        seen.peers.some((peer) => peer.name === name && /could not reach/.test(peer.clientReason)),
      REACHED_MS,
    );
    assert.equal(peerOf(status, name).stores, false);
    assert.ok(problemCodes(status).includes('client-only'));
    await joiner.ok('echo written while hidden > hidden-file');
    assert.equal(await cluster.node(0).dfs.ok('cat hidden-file'), 'written while hidden\n');
    await network.heal();
    await cluster.untilStatus(
      'it stores files once it was reached',
      cluster.node(0),
      (seen) => peerOf(seen, name).stores && !problemCodes(seen).includes('client-only'),
      REACHED_MS,
    );
    assert.equal(await joiner.ok('cat hidden-file'), 'written while hidden\n');
  });

  test('dfs invite opens a founder to the network, and its line lets a machine join', {
    skip,
  }, async (t) => {
    const cluster = await TestCluster.start(t, { nodes: 0, machines: 2, network: 'namespaces' });
    const founder = await cluster.stranger(0);
    await founder.mount();
    const [local] = (JSON.parse((await founder.cli(['status', '--json'])).stdout) as Listens).listen
      .metaserver;
    assert.match(local ?? '', /^127\.0\.0\.1:/);
    const invited = expectOk(await founder.cli(['invite', '--json']), 'dfs invite');
    const { join, command } = JSON.parse(invited.stdout) as { join: string; command: string };
    assert.match(join, /^10\.77\.0\.1:\d+$/);
    assert.ok(command.startsWith(`./dfs mount /mnt/dfs --join ${join}`), command);
    const joiner = await cluster.stranger(1);
    await joiner.mount(command.split(' ').slice(3));
    await founder.ok('echo from the founder > greeting');
    assert.equal(await joiner.ok('cat greeting'), 'from the founder\n');
  });

  test('what cannot be joined is refused with a sentence, and leaves nothing', async (t) => {
    const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
    const other = await cluster.stranger(0);
    await other.mount([
      '--listen',
      '127.0.0.1:0',
      '--peer-listen',
      '127.0.0.1:0',
      '--name',
      'other',
    ]);
    const stranger = await cluster.stranger(0);

    const deaf = await stranger.cli(['mount', stranger.mountpoint, '--join', '127.0.0.1:1']);
    assert.equal(deaf.code, 1);
    assert.match(deaf.stderr, /127\.0\.0\.1:1\b.*nobody listens.*dfs invite/);
    const status = await statusOf(cluster.node(1));
    const peer = status.listen.peer ?? '';
    const wrong = await stranger.cli(['mount', stranger.mountpoint, '--join', peer]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /not a dfs metaserver/);
    assert.ok(!existsSync(stranger.stateDir), 'a state folder was made');

    const joined = cluster.node(1).dfs;
    expectOk(await joined.cli(['unmount', joined.mountpoint]), 'dfs unmount');
    expectOk(await joined.cli(['stop']), 'dfs stop');
    const [foreign = ''] = (JSON.parse((await other.cli(['status', '--json'])).stdout) as Listens)
      .listen.metaserver;
    const refused = await joined.cli(['mount', joined.mountpoint, '--join', foreign]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /belongs to the cluster .*another --state/);
    const founder = cluster.node(0).dfs;
    const founding = await founder.cli(['mount', founder.mountpoint, '--join', foreign]);
    assert.equal(founding.code, 1);
    assert.match(founding.stderr, /another --state/);

    await joined.mount();
    await cluster.untilWhole('it comes back without being told where', REPORTED_MS);
  });
});
