import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SessionKind } from '../../../gen/meta.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { CONNECT_MS_MAX } from '../../../src/common/rpc/channel.ts';
import { SessionClient } from '../../../src/common/rpc/session-client.ts';
import type { PeerHello, Waiter } from '../../../src/common/rpc/session-options.ts';
import { CLUSTER, NODE, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';

const WAIT_MS = 60_000;
const STATFS = { $case: 'statfs', value: {} } as const;

async function socketIn(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-session-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 's');
}

function options(socketPath: string, clock: ManualClock): Parameters<typeof SessionClient.open>[0] {
  return {
    address: `unix:${socketPath}`,
    clusterId: CLUSTER,
    nodeId: NODE,
    nodeName: 'test',
    kind: SessionKind.MOUNT,
    instance: 1,
    waitMs: WAIT_MS,
    bootMs: () => clock.bootMs(),
    log: silentLogger,
    onWelcome: () => undefined,
    onPush: () => undefined,
  };
}

interface Pair {
  readonly server: ScriptedMetaserver;
  readonly client: SessionClient;
  readonly clock: ManualClock;
  readonly socketPath: string;
}

async function connect(t: TestContext): Promise<Pair> {
  const socketPath = await socketIn(t);
  const clock = new ManualClock();
  const server = await ScriptedMetaserver.start(socketPath);
  t.after(() => server[Symbol.asyncDispose]());
  const client = await SessionClient.open(options(socketPath, clock));
  t.after(() => client[Symbol.asyncDispose]());
  return { server, client, clock, socketPath };
}

function waiter(): Waiter {
  return { interrupt: undefined, interrupted: false, waitsFor: undefined };
}

test('what was told to a metaserver of before is not told to the next one', async (t) => {
  const { server, client } = await connect(t);
  const told = client.request({ $case: 'settled', value: { open: [] } });
  await server.until(() => server.requests.length === 1);
  server.drop();
  await server.until(() => server.requests.length === 2);
  assert.equal(server.requests[1]?.op?.$case, 'settled', 'to the same one, once more');
  server.epoch = 2n;
  server.drop();
  await assert.rejects(told, { code: 'ESTALE' });
  const asked = client.request(STATFS);
  await server.until(() => server.requests.length === 3);
  assert.equal(server.requests[2]?.op?.$case, 'statfs');
  server.reply(server.requests[2]?.id ?? 0n);
  await asked;
});

test('what is unanswered at a lost stream is sent again in order, under the same ids', async (t) => {
  const { server, client } = await connect(t);
  const asked = [1n, 2n, 3n].map((unique) =>
    client.request(STATFS, { connection: 7n, unique, acked: 0n }),
  );
  await server.until(() => server.requests.length === 3);
  const sent = [...server.requests];
  server.reply(sent[1]?.id ?? 0n);
  await asked[1];
  server.requests.length = 0;
  server.drop();
  await server.until(() => server.requests.length === 2);
  assert.deepEqual(server.requests, [sent[0], sent[2]]);
  for (const { id } of server.requests) {
    server.reply(id);
    server.reply(id);
  }
  await Promise.all(asked);
  assert.equal(client.pendingCount, 0);
  assert.equal(client.waitingSinceMs, undefined);
});

test('a request fails at its bound while the server is away, and while it is silent', async (t) => {
  const { server, client, clock } = await connect(t);
  const silent = client.request(STATFS);
  clock.advance(WAIT_MS + 1);
  await assert.rejects(silent, { code: 'EIO' });
  assert.equal(client.up, true);
  server.onHello = () => undefined;
  server.drop();
  await server.until(() => server.hellos === 2);
  const away = client.request(STATFS);
  clock.advance(WAIT_MS - 1000);
  const late = client.request(STATFS);
  clock.advance(1001);
  await assert.rejects(away, { code: 'EIO' });
  assert.equal(client.pendingCount, 1);
  // The client has started a new try meanwhile, or is about to.
  server.onHello = () => server.welcome(1);
  server.welcome(1);
  await server.until(() => server.requests.length === 2);
  server.reply(server.requests.at(-1)?.id ?? 0n);
  await late;
});

test('an interrupt ends a wait only once the server is away, also when it came before', async (t) => {
  const { server, client } = await connect(t);
  const who = waiter();
  const asked = client.request(STATFS, undefined, who);
  assert.equal(who.waitsFor, 'metaserver');
  who.interrupted = true;
  who.interrupt?.();
  await server.until(() => server.requests.length === 1);
  assert.equal(client.pendingCount, 1);
  server.onHello = () => undefined;
  server.drop();
  await assert.rejects(asked, { code: 'EINTR' });
  assert.equal(who.waitsFor, undefined);
  await assert.rejects(client.request(STATFS, undefined, who), { code: 'EINTR' });
});

test('a server that is not ready yet is as good as away', async (t) => {
  const { server, client } = await connect(t);
  const asked = client.request(STATFS);
  server.onHello = () => {
    if (server.hellos < 4) server.refuse('unavailable');
    else server.welcome(1);
  };
  await server.until(() => server.requests.length === 1);
  server.drop();
  await server.until(() => server.requests.length === 2);
  assert.equal(server.hellos, 4);
  server.reply(server.requests[0]?.id ?? 0n);
  await asked;
});

test('a refusal after a reconnection fails what waits', async (t) => {
  const { server, client } = await connect(t);
  const asked = client.request(STATFS);
  server.onHello = () => server.refuse('other-cluster');
  await server.until(() => server.requests.length === 1);
  server.drop();
  await assert.rejects(asked, { code: 'EPROTO' });
});

test('a session that a newer process took over never comes back', async (t) => {
  const { server, client } = await connect(t);
  const asked = client.request(STATFS);
  await server.until(() => server.requests.length === 1);
  server.refuse('session-ended');
  await assert.rejects(asked, { code: 'EPROTO' });
  await assert.rejects(client.request(STATFS), { code: 'EPROTO' });
  assert.equal(client.up, false);
  assert.equal(server.hellos, 1);
});

test('a welcome with another sid fails what belonged to the old session', async (t) => {
  const { server, client } = await connect(t);
  const asked = client.request({ $case: 'closeUnlinked', value: { inos: [] } });
  server.onHello = () => server.welcome(2);
  await server.until(() => server.requests.length === 1);
  server.drop();
  await assert.rejects(asked, { code: 'EIO' });
  assert.equal(client.sid, 2);
});

test('what changes nothing is asked once more in the session that comes next', async (t) => {
  const { server, client } = await connect(t);
  let isAnswered = false;
  const asked = client.request(STATFS).finally(() => {
    isAnswered = true;
  });
  server.onHello = () => server.welcome(2);
  await server.until(() => server.requests.length === 1);
  server.drop();
  await server.until(() => server.requests.length === 2);
  assert.equal(client.sid, 2);
  assert.equal(isAnswered, false);
  await client[Symbol.asyncDispose]();
  await assert.rejects(asked, { code: 'EIO' });
});

test('dispose ends every wait, and later requests fail at once', async (t) => {
  const { client } = await connect(t);
  const asked = client.request(STATFS);
  const failed = assert.rejects(asked, { code: 'EIO' });
  await client[Symbol.asyncDispose]();
  await failed;
  assert.equal(client.up, false);
  await assert.rejects(client.request(STATFS), { code: 'EIO' });
});

test('opening gives up when no server answers within the bound', async (t) => {
  const clock = new ManualClock();
  const opening = SessionClient.open(options(await socketIn(t), clock));
  clock.advance(WAIT_MS + 1);
  await assert.rejects(opening, { code: 'EIO' });
});

/** A session over a network that the test can freeze. */
async function connectThrough(
  t: TestContext,
): Promise<Omit<Pair, 'socketPath'> & { relay: TcpRelay }> {
  const clock = new ManualClock();
  const server = await ScriptedMetaserver.startTcp();
  t.after(() => server[Symbol.asyncDispose]());
  const relay = await TcpRelay.start(server.port);
  t.after(() => relay[Symbol.asyncDispose]());
  const client = await SessionClient.open({
    ...options('', clock),
    address: relay.address,
    waitMs: 15_000,
  });
  t.after(() => client[Symbol.asyncDispose]());
  return { server, relay, client, clock };
}

test('a restart leaves a frozen connection behind, and tries new ones until one stands', async (t) => {
  const { server, relay, client, clock } = await connectThrough(t);
  relay.freeze();
  const asked = client.request(STATFS);
  client.restart('no keepalive was answered');
  assert.equal(client.up, false);
  await relay.until(2);
  clock.advance(CONNECT_MS_MAX);
  await relay.until(3);
  relay.thaw();
  clock.advance(CONNECT_MS_MAX);
  await server.until(() => server.requests.length === 1);
  server.reply(server.requests[0]?.id ?? 0n);
  await asked;
  assert.equal(client.up, true);
});

test('a welcome may take as long as another mount is waited for', async (t) => {
  const { server, client, clock } = await connectThrough(t);
  server.onHello = () => undefined;
  client.restart('test');
  await server.until(() => server.hellos === 2);
  const early = client.request(STATFS);
  clock.advance(19_000);
  // It fails in the same sweep that would start a new try.
  await assert.rejects(early, { code: 'EIO' });
  server.welcome(1);
  const asked = client.request(STATFS);
  await server.until(() => server.requests.length === 1);
  server.reply(server.requests[0]?.id ?? 0n);
  await asked;
  assert.equal(server.hellos, 2);
});

test('without a welcome for 20 s another try is made', async (t) => {
  const { server, client, clock } = await connectThrough(t);
  server.onHello = () => undefined;
  client.restart('test');
  await server.until(() => server.hellos === 2);
  clock.advance(20_000);
  await server.until(() => server.hellos === 3);
});

test('one that was evicted comes back, and a recall is handed on', async (t) => {
  const socketPath = await socketIn(t);
  const server = await ScriptedMetaserver.start(socketPath);
  t.after(() => server[Symbol.asyncDispose]());
  const events: unknown[] = [];
  const client = await SessionClient.open({
    ...options(socketPath, new ManualClock()),
    onWelcome: ({ sid }) => events.push(sid),
    onPush: ({ body }) => events.push(body?.$case),
  });
  t.after(() => client[Symbol.asyncDispose]());
  server.push({ $case: 'recall', value: { ino: 7n, lseq: 40n, keepShared: true } });
  while (events.length < 2) await delay(2);
  server.refuse('evicted');
  while (events.length < 3) await delay(2);
  assert.equal(server.hellos, 2);
  assert.deepEqual(events, [events[0], 'recall', events[2]]);
});

test('each connection says what the peer serves at that time', async (t) => {
  let peerPort = 0;
  const socketPath = await socketIn(t);
  const server = await ScriptedMetaserver.start(socketPath);
  t.after(() => server[Symbol.asyncDispose]());
  const hello = (): PeerHello => ({ advertise: 'here', peerPort });
  const client = await SessionClient.open({ ...options(socketPath, new ManualClock()), hello });
  t.after(() => client[Symbol.asyncDispose]());
  assert.deepEqual([server.hello?.advertise, server.hello?.peerPort], ['here', 0]);
  peerPort = 7481;
  client.restart('the chunk service was opened');
  await server.until(() => server.hellos === 2);
  assert.equal(server.hello?.peerPort, 7481);
});
