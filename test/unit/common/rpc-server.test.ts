import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { type Client, Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import { type ClientFrame, MetaServiceService, type ServerFrame } from '../../../gen/meta.ts';
import { ChunkServiceService } from '../../../gen/peer.ts';
import { type Deferred, deferred } from '../../../src/common/lifecycle.ts';
import { dialMetaserver, dialPeer, isConnected } from '../../../src/common/rpc/channel.ts';
import { CHUNK_LIMITS, SESSION_LIMITS } from '../../../src/common/rpc/limits.ts';
import { RpcServer, type ServedService } from '../../../src/common/rpc/server.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

interface Windows {
  readonly stream: number | undefined;
  readonly connection: number | undefined;
}

/** What a server lets a client send before it reads. */
async function windowsOf(session: http2.ClientHttp2Session): Promise<Windows> {
  const answered = deferred<void>();
  // A server answers a ping after what it has said before.
  session.once('connect', () => session.ping(() => answered.resolve()));
  await answered.promise;
  const stream = session.remoteSettings.initialWindowSize;
  const connection = session.state.remoteWindowSize;
  session.destroy();
  return { stream, connection };
}

test('a server takes in as much unread as its limits say', async () => {
  await using server = await RpcServer.bindTcp(LOOPBACK, []);
  assert.deepEqual(await windowsOf(http2.connect(`http://127.0.0.1:${server.port}`)), {
    stream: CHUNK_LIMITS.windowBytes,
    connection: CHUNK_LIMITS.windowBytes,
  });
  const path = `${tmpdir()}/dfs-rpc-${process.pid}.sock`;
  await using local = await RpcServer.bindUnix(path, []);
  assert.deepEqual([local.host, local.port], ['', 0]);
  const createConnection = (): net.Socket => net.connect(path);
  assert.deepEqual(await windowsOf(http2.connect('http://localhost', { createConnection })), {
    stream: SESSION_LIMITS.windowBytes,
    connection: SESSION_LIMITS.windowBytes,
  });
});

test('an address that cannot be listened on is refused with the reason', async () => {
  await using server = await RpcServer.bindTcp(LOOPBACK, []);
  assert.equal(server.host, '127.0.0.1');
  assert.notEqual(server.port, 0);
  await assert.rejects(RpcServer.bindTcp({ host: '127.0.0.1', port: server.port }, []), {
    code: 'EBUSY',
    message: `EBUSY: cannot listen on 127.0.0.1:${server.port}: another program listens there`,
  });
  await assert.rejects(RpcServer.bindTcp({ host: '192.0.2.1', port: 0 }, []), {
    code: 'EINVAL',
    message: 'EINVAL: cannot listen on 192.0.2.1:0: it is no address of this machine',
  });
  await assert.rejects(RpcServer.bindTcp({ host: 'no-such-host.invalid', port: 0 }, []), {
    code: 'EINVAL',
  });
});

/** A metaserver that accepts sessions and says nothing more. */
function silentSession(ended: Deferred<void>): ServedService {
  const session = (call: ServerDuplexStream<ClientFrame, ServerFrame>): void => {
    call.on('error', () => undefined);
    call.on('cancelled', () => ended.resolve());
    call.resume();
    call.sendMetadata(new Metadata());
  };
  return { definition: MetaServiceService, handlers: { session } };
}

interface Watched {
  readonly client: Client;
  /** Why the stream ended. */
  readonly lost: Promise<string>;
}

/** A session that the server has accepted. */
async function accepted(t: TestContext, address: string): Promise<Watched> {
  const client = dialMetaserver(address);
  t.after(() => client.close());
  assert.equal(isConnected(client), false);
  const stream = client.session();
  const lost = deferred<string>();
  const begun = deferred<void>();
  stream.on('metadata', () => begun.resolve());
  stream.on('data', () => undefined);
  stream.on('error', (error) => lost.resolve(error.message));
  await begun.promise;
  assert.equal(isConnected(client), true);
  return { client, lost: lost.promise };
}

test('IPv6 is served and dialled in brackets', async (t) => {
  const loopback = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  if (!loopback.some(({ address }) => address === '::1')) {
    t.skip('this machine has no IPv6');
    return;
  }
  await using server = await RpcServer.bindTcp({ host: '::1', port: 0 }, [
    silentSession(deferred()),
  ]);
  await accepted(t, `[::1]:${server.port}`);
});

test('pings end a frozen connection on both sides, and no other', async (t) => {
  const ended = deferred<void>();
  await using server = await RpcServer.bindTcp(LOOPBACK, [silentSession(ended)]);
  const relay = await TcpRelay.start(server.port);
  t.after(() => relay[Symbol.asyncDispose]());
  const other = await accepted(t, `127.0.0.1:${server.port}`);
  const frozen = await accepted(t, relay.address);
  relay.freeze();
  assert.match(await frozen.lost, /UNAVAILABLE/);
  await ended.promise;
  assert.equal(isConnected(other.client), true);
});

test('the end of a server does not wait for what its clients left open', async (t) => {
  const server = await RpcServer.bindTcp(LOOPBACK, [silentSession(deferred())]);
  const { lost } = await accepted(t, `127.0.0.1:${server.port}`);
  const mute = net.connect(server.port, '127.0.0.1');
  t.after(() => mute.destroy());
  mute.on('error', () => undefined);
  const heard = deferred<void>();
  mute.once('data', () => heard.resolve());
  await heard.promise;
  await server[Symbol.asyncDispose]();
  assert.match(await lost, /UNAVAILABLE|CANCELLED/);
});

test('a frame of 512 KiB reaches a peer, and a message over 2 MiB does not', async (t) => {
  const received = deferred<number>();
  const write = (
    call: NodeJS.ReadableStream,
    answer: (error: Error | null, value: object) => void,
  ): void => {
    let bytes = 0;
    call.on('data', (frame: { body?: { value: { data: Uint8Array } } }) => {
      bytes += frame.body?.value.data.length ?? 0;
    });
    call.on('end', () => {
      received.resolve(bytes);
      answer(null, {});
    });
    call.on('error', () => undefined);
  };
  await using server = await RpcServer.bindTcp(LOOPBACK, [
    { definition: ChunkServiceService, handlers: { write } },
  ]);
  const client = dialPeer(`127.0.0.1:${server.port}`);
  t.after(() => client.close());
  const send = (bytes: number): Promise<void> => {
    const done = deferred<void>();
    const call = client.write((error) => (error === null ? done.resolve() : done.reject(error)));
    call.on('error', () => undefined);
    const value = { offset: 0n, data: Buffer.alloc(bytes), crc32c: 0, bytesPromised: 0n };
    call.write({ body: { $case: 'data', value } });
    call.end();
    return done.promise;
  };
  await send(512 * 1024);
  assert.equal(await received.promise, 512 * 1024);
  await assert.rejects(send(CHUNK_LIMITS.messageBytes + 1), /RESOURCE_EXHAUSTED/);
});
