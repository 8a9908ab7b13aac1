import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerView } from '../../../src/common/cluster-map.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asNodeId, type NodeId } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { PeerProbe } from '../../../src/mount/peer-probe.ts';

/** Peers by their address, as they answer; others do not. */
class Answers {
  readonly nodes = new Map<string, NodeId>();
  readonly asked: string[] = [];
  before: () => Promise<void> = () => Promise.resolve();
  nowMs = 1000;
  readonly probe = new PeerProbe({ client: this, bootMs: () => this.nowMs });

  async describe(address: string): Promise<{ clusterId: string; nodeId: string }> {
    this.asked.push(address);
    await this.before();
    const nodeId = this.nodes.get(address);
    if (nodeId === undefined) throw new FsError('EHOSTUNREACH', `nobody at ${address}`);
    return { clusterId: '', nodeId };
  }
}

function peers(count: number): PeerView[] {
  return Array.from({ length: count }, (_, at) => ({
    nodeId: asNodeId((at + 1).toString(16).padStart(32, '0')),
    name: `peer ${at}`,
    address: `10.0.0.${at}:7000`,
    up: true,
    sinceMs: 0,
    stores: true,
  }));
}

test('a peer that does not answer is named until it does', async () => {
  const answers = new Answers();
  const [one, two] = peers(2);
  assert.ok(one !== undefined && two !== undefined);
  answers.nodes.set('10.0.0.0:7000', one.nodeId);
  assert.deepEqual(await answers.probe.look([one, two]), [two.nodeId]);
  answers.nowMs = 5000;
  assert.deepEqual(await answers.probe.look([one, two]), [two.nodeId]);
  assert.equal(answers.probe.silentSince(two.nodeId), 1000);
  answers.nodes.set('10.0.0.1:7000', two.nodeId);
  assert.deepEqual(await answers.probe.look([one, two]), []);
  assert.equal(answers.probe.silentSince(two.nodeId), undefined);
});

test('a peer that is known to be down is not news', async () => {
  const answers = new Answers();
  const down = peers(1).map((peer) => ({ ...peer, up: false }));
  assert.deepEqual(await answers.probe.look(down), []);
});

test('a peer that left the cluster is forgotten', async () => {
  const answers = new Answers();
  const [one] = peers(1);
  assert.ok(one !== undefined);
  await answers.probe.look([one]);
  assert.deepEqual(await answers.probe.look([]), []);
  assert.equal(answers.probe.silentSince(one.nodeId), undefined);
});

test('another node at the address of a peer is not that peer', async () => {
  const answers = new Answers();
  const [one, two] = peers(2);
  assert.ok(one !== undefined && two !== undefined);
  answers.nodes.set('10.0.0.0:7000', two.nodeId);
  assert.match((await answers.probe.dial(one.nodeId, '10.0.0.0:7000', '')) ?? '', /another node/);
  assert.equal(await answers.probe.dial(two.nodeId, '10.0.0.0:7000', ''), undefined);
  assert.match((await answers.probe.dial(two.nodeId, '', '10.0.0.9:1')) ?? '', /no address/);
});

test('a few are dialled each turn, and all of them in the end', async () => {
  const answers = new Answers();
  const all = peers(40);
  await answers.probe.look(all);
  assert.ok(answers.asked.length <= 16);
  for (let turn = 0; turn < 2; turn += 1) await answers.probe.look(all);
  assert.equal(new Set(answers.asked).size, 40);
  assert.equal((await answers.probe.look(all)).length, 40);
});

test('two looks at once dial once', async () => {
  const answers = new Answers();
  const held = deferred<void>();
  answers.before = () => held.promise;
  const looks = [answers.probe.look(peers(3)), answers.probe.look(peers(3))];
  held.resolve();
  await Promise.all(looks);
  assert.equal(answers.asked.length, 3);
});
