/** What is told of a node whose process does not run. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Environment } from '../../../src/cli/environment.ts';
import { foundCluster, joinCluster } from '../../../src/cli/founding.ts';
import { type StatusDocument, statusDocument } from '../../../src/cli/status-document.ts';
import { statusText } from '../../../src/cli/status-text.ts';
import { writeListenRecord } from '../../../src/common/listen-record.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { lockState, pidFile } from '../../../src/common/state-lock.ts';
import { until } from '../../support/processes.ts';
import { CLUSTER, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

const environment: Environment = {
  env: {},
  uid: 0,
  gid: 0,
  colour: false,
  program: '',
  log: silentLogger,
};

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-status-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function codes({ problems }: StatusDocument): string[] {
  return problems.map(({ code }) => code);
}

test('a founder of which nothing runs is down with its metaserver, and listens nowhere', async (t) => {
  const dir = await folder(t);
  const state = await foundCluster({ dir, name: 'one', settings: {}, environment });
  const listener = { host: '0.0.0.0', port: 7480 };
  await writeListenRecord(state.paths, { metaserver: [listener], peer: undefined });
  const status = await statusDocument(state);
  assert.equal(status.metaserver.state, 'down');
  assert.deepEqual([status.node.state, status.node.name, status.node.pid], ['down', 'one', null]);
  assert.deepEqual(status.listen, { metaserver: [], peer: null });
  assert.deepEqual(codes(status), ['node-down', 'metaserver-down']);
  assert.match(statusText(status, { colour: false }), /run `dfs mount MOUNTPOINT` again/);
});

test('a node that joined is told apart from its metaserver, whose answer decides', async (t) => {
  const dir = await folder(t);
  const server = await ScriptedMetaserver.startTcp();
  t.after(() => server[Symbol.asyncDispose]());
  const address = `127.0.0.1:${server.port}`;
  const target = { address, clusterId: CLUSTER, clusterName: 'wren' };
  const state = await joinCluster({ dir, name: 'two', settings: {}, environment }, target);

  const beside = await statusDocument(state);
  assert.deepEqual(beside.metaserver, { address, state: 'up' });
  assert.deepEqual(beside.cluster, { id: CLUSTER, name: 'wren' });
  assert.deepEqual(codes(beside), ['node-down']);
  assert.deepEqual(beside.cache, {
    bytes: 0,
    limitBytes: 0,
    hits: 0,
    misses: 0,
    bytesFetched: 0,
    bytesServedToPeers: 0,
  });

  const { description } = server;
  server.description = { ...description, clusterId: Buffer.alloc(16, 0xdd) };
  assert.equal((await statusDocument(state)).metaserver.state, 'unknown');

  await server[Symbol.asyncDispose]();
  const alone = await statusDocument(state);
  assert.equal(alone.metaserver.state, 'down');
  assert.deepEqual(codes(alone), ['node-down', 'metaserver-down']);
  assert.match(alone.problems[1]?.message ?? '', new RegExp(`does not answer at ${address}`));
});

test('a node that was killed is down although the kernel keeps its lock', async (t) => {
  const dir = await folder(t);
  const state = await foundCluster({ dir, name: 'one', settings: {}, environment });
  await using _lock = await lockState(state.paths, 'node');
  assert.equal((await statusDocument(state)).node.state, 'starting', 'whoever has the lock lives');
  // Its parent has become a program that does not wait for it.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: '/',
  });
  t.after(() => parent.kill('SIGKILL'));
  const [said] = (await once(parent.stdout, 'data')) as [Buffer];
  await writeFile(pidFile(state.paths, 'node'), String(said));
  const isDown = async (): Promise<boolean> => (await statusDocument(state)).node.state === 'down';
  await until('the killed node is seen', isDown);
  assert.equal((await statusDocument(state)).node.pid, null);
});
