import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { RpcServer } from '../../../src/common/rpc/server.ts';
import { ChunkListener } from '../../../src/peer/chunk-listener.ts';
import { ChunkFixture, CLUSTER, LOOPBACK, newClient } from './chunk-fixture.ts';

const isError = (code: string) => (error: unknown) =>
  error instanceof FsError && error.code === code;

describe('the place where chunks are served', () => {
  it('moves to another port, and leaves the old one', async (t) => {
    const { service } = await ChunkFixture.open(t);
    await using listener = new ChunkListener([service.served]);
    assert.equal(listener.address, undefined);
    const first = await listener.listen(LOOPBACK);
    assert.deepEqual(listener.address, first);
    const client = newClient(t);
    const who = (port: number): Promise<string> =>
      client.describe(`127.0.0.1:${port}`).then(({ clusterId }) => clusterId);
    assert.equal(await who(first.port), CLUSTER);
    const second = await listener.listen(LOOPBACK);
    assert.deepEqual(listener.address, second);
    assert.equal(await who(second.port), CLUSTER);
    await assert.rejects(who(first.port), isError('EHOSTUNREACH'));
  });

  it('stays where it is when the new one cannot be had', async (t) => {
    const { service } = await ChunkFixture.open(t);
    await using taken = await RpcServer.bindTcp(LOOPBACK, []);
    await using listener = new ChunkListener([service.served]);
    await assert.rejects(listener.listen({ ...LOOPBACK, port: taken.port }), isError('EBUSY'));
    assert.equal(listener.address, undefined);
    const before = await listener.listen(LOOPBACK);
    await assert.rejects(listener.listen({ ...LOOPBACK, port: taken.port }), isError('EBUSY'));
    await assert.rejects(listener.listen({ host: '192.0.2.1', port: 0 }), isError('EINVAL'));
    assert.deepEqual(listener.address, before);
    const { clusterId } = await newClient(t).describe(`127.0.0.1:${before.port}`);
    assert.equal(clusterId, CLUSTER);
  });
});
