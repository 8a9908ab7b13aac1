import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { callControl } from '../../../src/common/control-client.ts';
import {
  type ControlHandler,
  type ControlRoute,
  ControlServer,
} from '../../../src/common/control-server.ts';
import { FsError } from '../../../src/common/errno.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';

async function socketIn(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-control-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 'control.sock');
}

function open(
  socketPath: string,
  handlers: readonly [ControlRoute, ControlHandler][],
): Promise<ControlServer> {
  return ControlServer.open({
    socketPath,
    mode: 0o600,
    handlers: new Map(handlers),
    log: silentLogger,
  });
}

const call = { method: 'GET', path: '/status', timeoutMs: 5_000 } as const;

test('a handler gets the body and its answer comes back', async (t) => {
  const socketPath = await socketIn(t);
  await using _server = await open(socketPath, [['POST /echo', (body) => ({ body })]]);
  const body = { name: 'ä', list: [1, 2] };
  const answer = await callControl({ ...call, socketPath, method: 'POST', path: '/echo', body });
  assert.deepEqual(answer, { body });
});

test('an error of a handler is thrown at the caller, with its code', async (t) => {
  const socketPath = await socketIn(t);
  await using _server = await open(socketPath, [
    [
      'GET /status',
      () => {
        throw new FsError('EBUSY', 'the mount is in use');
      },
    ],
  ]);
  await assert.rejects(callControl({ ...call, socketPath }), {
    code: 'EBUSY',
    message: 'EBUSY: the mount is in use',
  });
});

test('what is not in the table is refused', async (t) => {
  const socketPath = await socketIn(t);
  await using _server = await open(socketPath, [['GET /status', () => ({})]]);
  const stop = { ...call, socketPath, method: 'POST', path: '/stop' } as const;
  await assert.rejects(callControl(stop), { code: 'EOPNOTSUPP' });
});

test('a missing socket and one left by a dead process mean: not running', async (t) => {
  const socketPath = await socketIn(t);
  assert.equal(await callControl({ ...call, socketPath }), undefined);
  const dead = createServer();
  await new Promise<void>((resolve) => {
    dead.listen(socketPath, resolve);
  });
  // Closing removes the path; a killed process would not have.
  await chmod(socketPath, 0o600);
  await new Promise<void>((resolve) => {
    dead.close(() => resolve());
  });
  await writeFile(socketPath, '');
  assert.equal(await callControl({ ...call, socketPath }), undefined);
});

test('a socket left behind is replaced, with the mode asked for', async (t) => {
  const socketPath = await socketIn(t);
  await writeFile(socketPath, '');
  await using _server = await open(socketPath, [['GET /status', () => ({ state: 'up' })]]);
  assert.deepEqual(await callControl({ ...call, socketPath }), { state: 'up' });
  assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
});

test('a process that does not answer costs no more than the bound', async (t) => {
  const socketPath = await socketIn(t);
  const never = deferred<object>();
  await using _server = await open(socketPath, [['GET /status', () => never.promise]]);
  await assert.rejects(callControl({ ...call, socketPath, timeoutMs: 100 }), { code: 'ETIMEDOUT' });
  never.resolve({});
});

test('closing waits for the request under way', async (t) => {
  const socketPath = await socketIn(t);
  const started = deferred<void>();
  const release = deferred<void>();
  const server = await open(socketPath, [
    [
      'GET /status',
      async () => {
        started.resolve();
        await release.promise;
        return { done: true };
      },
    ],
  ]);
  const answer = callControl({ ...call, socketPath });
  await started.promise;
  const closed = server[Symbol.asyncDispose]();
  release.resolve();
  assert.deepEqual(await answer, { done: true });
  await closed;
  assert.equal(await callControl({ ...call, socketPath }), undefined);
});

test('a body that is no JSON, or too long, is refused', async (t) => {
  const socketPath = await socketIn(t);
  await using _server = await open(socketPath, [['POST /echo', () => ({})]]);
  const post = { ...call, socketPath, method: 'POST', path: '/echo' } as const;
  await assert.rejects(callControl({ ...post, body: { long: 'x'.repeat(70_000) } }), {
    code: 'E2BIG',
  });
});
