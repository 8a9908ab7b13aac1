/** A metaserver on real sockets: where it listens, and what the other calls of its service answer. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Hello, SessionKind } from '../../../gen/meta.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { describeMetaserver } from '../../../src/common/rpc/describe.ts';
import { KeepAliveClient } from '../../../src/common/rpc/keepalive-client.ts';
import { type ListenAddress, Metaserver } from '../../../src/metaserver/node.ts';
import { CLUSTER, NODE } from './fixture.ts';
import { StreamClient } from './stream-client.ts';

const HERE = { host: '127.0.0.1', port: 0 } as const;
const DESCRIBE_MS = 10_000;

async function started(
  t: TestContext,
  ...listen: readonly ListenAddress[]
): Promise<{ server: Metaserver; socketPath: string }> {
  const stateDir = await mkdtemp(path.join(tmpdir(), 'dfs-listeners-'));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  const names = { clusterId: CLUSTER, clusterName: 'test' };
  const rootOwner = { uid: 1234, gid: 0 };
  const clock = new ManualClock();
  await Metaserver.found({ stateDir, ...names, nodeId: NODE, rootOwner, clock });
  const socketPath = path.join(stateDir, 'meta.sock');
  const onFatal = (error: Error): never => assert.fail(error);
  const options = { stateDir, socketPath, ...names, clock, log: silentLogger, onFatal };
  const server = await Metaserver.start(options);
  t.after(() => server[Symbol.asyncDispose]());
  for (const { host, port } of listen) await server.listen(host, port);
  return { server, socketPath };
}

function placeOf(address: ListenAddress | undefined): string {
  assert.ok(address !== undefined && address.port > 0);
  return `${address.host}:${address.port}`;
}

/** How a peer that says this from there is named to all. */
async function addressSeen(place: string, said: Partial<Hello>): Promise<string> {
  await using client = new StreamClient(place);
  const frame = await client.open({ kind: SessionKind.PEER, peerPort: 7481, ...said });
  assert.equal(frame.$case, 'welcome');
  const { result } = await client.request({ $case: 'clusterStatus', value: {} });
  assert.ok(result?.$case === 'clusterStatus');
  return result.value.peers[0]?.address ?? '';
}

test('a metaserver listens where it is told, from its start and later', async (t) => {
  const { server } = await started(t, HERE, HERE);
  const [first, second] = server.status().addresses;
  const third = await server.listen(HERE.host, 0);
  assert.deepEqual(server.status().addresses, [first, second, third]);
  for (const address of [first, second, third]) {
    await using client = new StreamClient(placeOf(address));
    assert.equal((await client.open()).$case, 'welcome');
  }
  await server[Symbol.asyncDispose]();
  for (const address of [first, third]) {
    const asked = describeMetaserver(placeOf(address), DESCRIBE_MS);
    await assert.rejects(asked, { code: 'ECONNREFUSED' });
  }
});

test('a port that is taken is refused, and what is open stays', async (t) => {
  const { server, socketPath } = await started(t, HERE);
  const [taken] = server.status().addresses;
  assert.ok(taken !== undefined);
  await assert.rejects(server.listen(taken.host, taken.port), { code: 'EBUSY' });
  await assert.rejects(started(t, HERE, taken), { code: 'EBUSY' });
  for (const place of [socketPath, placeOf(taken)]) {
    await using client = new StreamClient(place);
    assert.equal((await client.open()).$case, 'welcome');
  }
});

test('a metaserver that has ended opens nothing more', async (t) => {
  const { server } = await started(t);
  await server[Symbol.asyncDispose]();
  await assert.rejects(server.listen(HERE.host, 0), { code: 'EIO' });
});

test('whoever asks is told which cluster this is, and whose', async (t) => {
  const { server, socketPath } = await started(t, HERE);
  for (const place of [`unix:${socketPath}`, placeOf(server.status().addresses[0])]) {
    const { rttMs, ...answer } = await describeMetaserver(place, DESCRIBE_MS);
    assert.ok(rttMs > 0);
    assert.deepEqual(answer, {
      clusterId: CLUSTER,
      clusterName: 'test',
      wireVersion: { major: 2, minor: 0 },
      wallMs: 1_700_000_000_000,
      rootUid: 1234,
    });
  }
});

test('a keepalive is answered on a connection of its own, and names what has ended', async (t) => {
  const { server } = await started(t, HERE);
  const address = placeOf(server.status().addresses[0]);
  await using client = new StreamClient(address);
  const frame = await client.open();
  assert.ok(frame.$case === 'welcome');
  const { sid, sepoch } = frame.value;
  const living = { sid: Number(sid), sepoch: Number(sepoch) };
  const answered = deferred<void>();
  const ended: number[] = [];
  await using _keepAlive = new KeepAliveClient({
    address,
    sessions: () => [living, { sid: 77, sepoch: 1 }],
    bootMs: () => performance.now(),
    wallMs: () => Date.now(),
    log: silentLogger,
    onAway: () => answered.reject(new Error('it was not answered')),
    onEnded: (sids) => {
      ended.push(...sids);
      answered.resolve();
    },
  });
  await answered.promise;
  assert.deepEqual(ended, [77]);
});

test('a peer on the host of the metaserver is named by its port alone', async (t) => {
  const { server, socketPath } = await started(t, HERE);
  const local = placeOf(server.status().addresses[0]);
  for (const place of [socketPath, local]) {
    assert.equal(await addressSeen(place, {}), ':7481');
    assert.equal(await addressSeen(place, { advertise: '127.0.0.1' }), ':7481');
    assert.equal(await addressSeen(place, { peerPort: 0 }), '');
  }
  assert.equal(await addressSeen(local, { advertise: 'ada.example' }), 'ada.example:7481');
});
