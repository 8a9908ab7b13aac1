import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Address } from '../../../src/common/address.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { listenAsWished } from '../../../src/common/rpc/listen-wish.ts';
import { RpcServer } from '../../../src/common/rpc/server.ts';

const log = silentLogger;

async function takenPort(t: TestContext): Promise<number> {
  const server = createServer();
  await new Promise<void>((onOpen) => server.listen(0, '127.0.0.1', onOpen));
  t.after(() => server.close());
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  return address.port;
}

/** Really listens, and stops with the test. */
function listener(t: TestContext): (a: Address) => Promise<Address> {
  return async (wanted) => {
    const server = await RpcServer.bindTcp(wanted, []);
    t.after(() => server[Symbol.asyncDispose]());
    return { host: server.host, port: server.port };
  };
}

test('a port that another program has is replaced by a free one', async (t) => {
  const port = await takenPort(t);
  const wish = { host: '127.0.0.1', port, exact: false };
  const first = await listenAsWished(wish, { listen: listener(t), log });
  assert.notEqual(first.port, port);
  assert.notEqual(first.port, 0);
});

test('many that want one port at once all get one', async (t) => {
  const free = await listenAsWished(
    { host: '127.0.0.1', port: 0, exact: false },
    { listen: listener(t), log },
  );
  const wish = { ...free, exact: false };
  const all = await Promise.all(
    Array.from({ length: 8 }, () => listenAsWished(wish, { listen: listener(t), log })),
  );
  assert.equal(new Set(all.map(({ port }) => port)).size, 8);
});

test('a port that the user named is that port or none', async (t) => {
  const port = await takenPort(t);
  const wish = { host: '127.0.0.1', port, exact: true };
  await assert.rejects(listenAsWished(wish, { listen: listener(t), log }), {
    code: 'EBUSY',
    message: new RegExp(`127\\.0\\.0\\.1:${port}: another program does; name another port`),
  });
});

test('an address of another machine is refused by name, not answered with a free port', async (t) => {
  const wish = { host: '192.0.2.1', port: 0, exact: false };
  await assert.rejects(listenAsWished(wish, { listen: listener(t), log }), {
    code: 'EINVAL',
    message: /192\.0\.2\.1:0: it is no address of this machine/,
  });
});
