import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  askMetaserver,
  type JoinCircumstances,
  joinAddress,
  judgeJoin,
  refuseOtherCluster,
} from '../../../src/cli/join-check.ts';
import { asClusterId, asNodeId } from '../../../src/common/ids.ts';
import type { NodeRole } from '../../../src/common/state-format.ts';
import { CLUSTER, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

const ADDRESS = '10.0.0.1:7480';
const HOUR_MS = 3_600_000;
const NOW_MS = 1_700_000_000_000;

function circumstances(
  answer: Partial<JoinCircumstances['answer']> = {},
  uid = 1000,
): JoinCircumstances {
  const description = {
    clusterId: CLUSTER,
    clusterName: 'wren',
    wireVersion: { major: 2, minor: 0 },
    wallMs: NOW_MS,
    rootUid: 1000,
    rttMs: 0,
  };
  return { address: ADDRESS, answer: { ...description, ...answer }, wallMs: NOW_MS, uid };
}

test('the port of the metaserver may be left out', () => {
  assert.equal(joinAddress('wren'), 'wren:7480');
  assert.equal(joinAddress('wren:9'), 'wren:9');
  assert.equal(joinAddress('[fd00::1]'), '[fd00::1]:7480');
});

test('a cluster like this machine is joined without a word', () => {
  assert.deepEqual(judgeJoin(circumstances()), []);
  assert.deepEqual(judgeJoin(circumstances({ wireVersion: { major: 2, minor: 9 } })), []);
});

test('a clock that is off is told from 10 s on, and refused from an hour on', () => {
  const notesAt = (aheadMs: number, rttMs = 0): readonly string[] =>
    judgeJoin(circumstances({ wallMs: NOW_MS + aheadMs, rttMs }));
  assert.deepEqual(notesAt(10_000), []);
  assert.match(notesAt(10_001).join(), /machine is 10 s behind that of 10\.0\.0\.1:7480/);
  assert.match(notesAt(-300_000).join(), /machine is 5 min ahead of that of/);
  assert.equal(notesAt(HOUR_MS).length, 1);
  const sentence = { code: 'EINVAL', message: /3 h ahead of .*: set the clocks, then join again/ };
  assert.throws(() => notesAt(-3 * HOUR_MS), sentence);
});

test('the time the answer took is not counted as a wrong clock', () => {
  assert.deepEqual(judgeJoin(circumstances({ wallMs: NOW_MS - 9_000, rttMs: 18_000 })), []);
  const behind = circumstances({ wallMs: NOW_MS - 20_000, rttMs: 18_000 });
  assert.match(judgeJoin(behind).join(), /11 s ahead/);
});

test('a root directory of another user is told', () => {
  const [note] = judgeJoin(circumstances({ rootUid: 0 }, 1000));
  assert.match(note ?? '', /belongs to uid 0, you are uid 1000/);
});

test('another wire version is refused, naming the side to update', () => {
  const refused = (major: number, older: RegExp): void => {
    const wireVersion = { major, minor: 2 };
    assert.throws(() => judgeJoin(circumstances({ wireVersion })), {
      code: 'EPROTO',
      message: older,
    });
  };
  refused(3, /speaks wire version 3\.2, this dfs 2\.0: update the dfs here$/);
  refused(1, /speaks wire version 1\.2, this dfs 2\.0: update the dfs of 10\.0\.0\.1:7480$/);
});

function state(...roles: NodeRole[]): Parameters<typeof refuseOtherCluster>[0] {
  const names = { clusterName: 'wren', nodeName: 'one', nodeId: asNodeId('01'.repeat(16)) };
  return { dir: '/s', clusterId: CLUSTER, ...names, roles };
}

test('a folder of another cluster is refused, and so is the founder of the same one', () => {
  const own = { address: ADDRESS, clusterId: CLUSTER, clusterName: 'wren' };
  const foreign = { ...own, clusterId: asClusterId('dd'.repeat(16)), clusterName: 'robin' };
  refuseOtherCluster(state('peer', 'mount'), own);
  for (const roles of [['peer', 'mount'] as const, ['metaserver', 'peer', 'mount'] as const]) {
    assert.throws(() => refuseOtherCluster(state(...roles), foreign), {
      code: 'EINVAL',
      message: /belongs to the cluster wren .* serves robin: give another --state folder/,
    });
  }
  assert.throws(() => refuseOtherCluster(state('metaserver', 'peer', 'mount'), own), {
    code: 'EINVAL',
    message: /founded the cluster wren .* leave --join out, or give another --state folder/,
  });
});

async function scripted(t: TestContext): Promise<ScriptedMetaserver> {
  const server = await ScriptedMetaserver.startTcp();
  t.after(() => server[Symbol.asyncDispose]());
  return server;
}

test('a metaserver that answers is taken at its word', async (t) => {
  const { port } = await scripted(t);
  const { clusterId, clusterName, rootUid } = await askMetaserver(`127.0.0.1:${port}`);
  assert.deepEqual([clusterId, clusterName, rootUid], [CLUSTER, 'test', 1000]);
});

test('why no metaserver answers is said together with what to check there', async (t) => {
  const server = await scripted(t);
  const place = `127.0.0.1:${server.port}`;
  server.description = { ...server.description, clusterId: Buffer.alloc(3) };
  await assert.rejects(askMetaserver(place), {
    code: 'EPROTO',
    message: `EPROTO: cannot join through ${place}: what answers at ${place} is not a dfs metaserver; give the address that \`dfs invite\` printed on the founding machine`,
  });
  await server[Symbol.asyncDispose]();
  await assert.rejects(askMetaserver(place), {
    code: 'ECONNREFUSED',
    message: `ECONNREFUSED: cannot join through ${place}: nobody listens at ${place}; check that dfs runs there, that \`dfs invite\` there opened it to the network, and that no firewall is in between`,
  });
  await assert.rejects(askMetaserver('no-such-host.invalid:7480'), {
    code: 'EHOSTUNREACH',
    message: /not known; check the name and the network$/,
  });
});
