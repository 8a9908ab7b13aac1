import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { connectivityState } from '@grpc/grpc-js';
import type { ChunkServiceClient } from '../../../gen/peer.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { PeerConnections } from '../../../src/peer/peer-connections.ts';
import { scripted } from './chunk-fixture.ts';

const isClosed = (client: ChunkServiceClient): boolean =>
  client.getChannel().getConnectivityState(false) === connectivityState.SHUTDOWN;

/** The address of a peer that is there, and does not answer. */
async function somePeer(t: TestContext): Promise<string> {
  const { address } = await scripted(t, {});
  return address;
}

async function connected(client: ChunkServiceClient): Promise<void> {
  const ready = deferred<void>();
  client.waitForReady(Date.now() + 10_000, (error) => {
    if (error === undefined || error === null) ready.resolve();
    else ready.reject(error);
  });
  await ready.promise;
}

describe('connections to other peers', () => {
  it('are one an address, and closed when nobody has used them for a minute', async (t) => {
    const address = await somePeer(t);
    t.mock.timers.enable({ apis: ['setInterval'] });
    let nowMs = 0;
    const connections = new PeerConnections({ bootMs: () => nowMs });
    const busy = connections.take('192.0.2.1:1');
    const idle = connections.take(address);
    assert.equal(connections.take('192.0.2.1:1').client, busy.client);
    assert.notEqual(idle.client, busy.client);
    await connected(idle.client);
    idle.release();
    nowMs = 59_000;
    t.mock.timers.tick(20_000);
    assert.deepEqual([isClosed(busy.client), isClosed(idle.client)], [false, false]);
    nowMs = 61_000;
    t.mock.timers.tick(20_000);
    assert.deepEqual([isClosed(busy.client), isClosed(idle.client)], [false, true]);
    assert.notEqual(connections.take(address).client, idle.client);
    connections.closeAll();
    assert.ok(isClosed(busy.client));
    busy.release();
  });

  it('that do not stand are given up with their last user', () => {
    const connections = new PeerConnections({ bootMs: () => 1 });
    const first = connections.take('192.0.2.1:1');
    const second = connections.take('192.0.2.1:1');
    first.release();
    assert.equal(isClosed(first.client), false);
    second.release();
    assert.ok(isClosed(first.client));
    assert.notEqual(connections.take('192.0.2.1:1').client, first.client);
    connections.closeAll();
  });

  it('are bounded: those nobody uses go before there are too many', async (t) => {
    const address = await somePeer(t);
    const connections = new PeerConnections({ bootMs: () => 1 });
    const used = connections.take('192.0.2.1:1');
    const idle = connections.take(address);
    await connected(idle.client);
    idle.release();
    const others = Array.from({ length: 255 }, (_, at) => connections.take(`192.0.2.2:${at + 1}`));
    assert.deepEqual([isClosed(used.client), isClosed(idle.client)], [false, true]);
    assert.ok(others.every(({ client }) => !isClosed(client)));
    connections.closeAll();
  });
});
