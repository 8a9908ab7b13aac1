import assert from 'node:assert/strict';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { ChunkServiceService } from '../../../gen/peer.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { describeMetaserver } from '../../../src/common/rpc/describe.ts';
import { RpcServer } from '../../../src/common/rpc/server.ts';
import { CLUSTER, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

const TIMEOUT_MS = 10_000;

/** A server of another kind. @returns its address */
async function listenWith(t: TestContext, accept: (socket: net.Socket) => void): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    accept(socket);
  });
  const listening = deferred<void>();
  server.listen(0, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}

test('a metaserver says who it is', async (t) => {
  const server = await ScriptedMetaserver.startTcp();
  t.after(() => server[Symbol.asyncDispose]());
  const answer = await describeMetaserver(`127.0.0.1:${server.port}`, TIMEOUT_MS);
  const { rttMs, ...rest } = answer;
  assert.ok(rttMs > 0);
  assert.deepEqual(rest, {
    clusterId: CLUSTER,
    clusterName: 'test',
    wireVersion: { major: 2, minor: 0 },
    wallMs: 1,
    rootUid: 1000,
  });
});

test('each way of not getting an answer has its sentence', async (t) => {
  const closed = await ScriptedMetaserver.startTcp();
  const nobody = `127.0.0.1:${closed.port}`;
  await closed[Symbol.asyncDispose]();
  await assert.rejects(describeMetaserver(nobody, TIMEOUT_MS), {
    code: 'ECONNREFUSED',
    message: `ECONNREFUSED: nobody listens at ${nobody}`,
  });
  const silent = await listenWith(t, () => undefined);
  await assert.rejects(describeMetaserver(silent, 500), {
    code: 'ETIMEDOUT',
    message: `ETIMEDOUT: no answer from ${silent} within 0.5 s`,
  });
  await assert.rejects(describeMetaserver('no-such-host.invalid:7480', TIMEOUT_MS), {
    code: 'EHOSTUNREACH',
  });
});

test('what is no metaserver of dfs is told from one', async (t) => {
  const message = /is not a dfs metaserver$/;
  const web = await listenWith(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await assert.rejects(describeMetaserver(web, TIMEOUT_MS), { code: 'EPROTO', message });
  const place = { host: '127.0.0.1', port: 0 };
  await using peer = await RpcServer.bindTcp(place, [
    { definition: ChunkServiceService, handlers: {} },
  ]);
  const at = `127.0.0.1:${peer.port}`;
  await assert.rejects(describeMetaserver(at, TIMEOUT_MS), { code: 'EPROTO', message });
  const garbled = await ScriptedMetaserver.startTcp();
  t.after(() => garbled[Symbol.asyncDispose]());
  const { description } = garbled;
  for (const wrong of [
    { clusterId: Buffer.alloc(3) },
    { wireVersion: undefined },
    { wallMs: 2n ** 60n },
  ]) {
    garbled.description = { ...description, ...wrong };
    const asked = describeMetaserver(`127.0.0.1:${garbled.port}`, TIMEOUT_MS);
    await assert.rejects(asked, { code: 'EPROTO', message });
  }
});
