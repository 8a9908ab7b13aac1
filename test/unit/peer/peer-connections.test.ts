import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectivityState } from '@grpc/grpc-js';
import type { ChunkServiceClient } from '../../../gen/peer.ts';
import { PeerConnections } from '../../../src/peer/peer-connections.ts';

const isClosed = (client: ChunkServiceClient): boolean =>
  client.getChannel().getConnectivityState(false) === connectivityState.SHUTDOWN;

describe('connections to other peers', () => {
  it('are one an address, and closed when nobody has used them for a minute', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    let nowMs = 0;
    const connections = new PeerConnections({ bootMs: () => nowMs });
    const busy = connections.take('192.0.2.1:1');
    const idle = connections.take('192.0.2.2:1');
    assert.equal(connections.take('192.0.2.1:1').client, busy.client);
    assert.notEqual(idle.client, busy.client);
    idle.release();
    nowMs = 59_000;
    t.mock.timers.tick(20_000);
    assert.deepEqual([isClosed(busy.client), isClosed(idle.client)], [false, false]);
    nowMs = 61_000;
    t.mock.timers.tick(20_000);
    assert.deepEqual([isClosed(busy.client), isClosed(idle.client)], [false, true]);
    assert.notEqual(connections.take('192.0.2.2:1').client, idle.client);
    connections.closeAll();
    assert.ok(isClosed(busy.client));
  });

  it('are bounded: those nobody uses go before there are too many', () => {
    const connections = new PeerConnections({ bootMs: () => 1 });
    const used = connections.take('192.0.2.1:1');
    const idle = connections.take('192.0.2.1:2');
    idle.release();
    const others = Array.from({ length: 255 }, (_, at) => connections.take(`192.0.2.2:${at + 1}`));
    assert.deepEqual([isClosed(used.client), isClosed(idle.client)], [false, true]);
    assert.ok(others.every(({ client }) => !isClosed(client)));
    connections.closeAll();
  });
});
