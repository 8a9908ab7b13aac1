/** `dfs invite` where no process of the node runs: each test runs the real program. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Environment } from '../../../src/cli/environment.ts';
import { foundCluster, joinCluster } from '../../../src/cli/founding.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { CLUSTER } from '../../support/scripted-metaserver.ts';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.js');
const environment: Environment = {
  env: {},
  uid: 0,
  gid: 0,
  colour: false,
  program: MAIN,
  log: silentLogger,
};

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-invite-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function joined(t: TestContext, address: string): Promise<string> {
  const dir = await folder(t);
  const target = { address, clusterId: CLUSTER, clusterName: 'wren' };
  await joinCluster({ dir, name: 'two', settings: {}, environment }, target);
  return dir;
}

function invite(...args: readonly string[]): {
  code: number | null;
  stdout: string;
  stderr: string;
} {
  const options = { encoding: 'utf8', timeout: 30_000, cwd: '/' } as const;
  const said = spawnSync(process.execPath, [MAIN, 'invite', ...args], options);
  return { code: said.status, stdout: said.stdout, stderr: said.stderr };
}

test('who joined from elsewhere passes on the way it came', async (t) => {
  const dir = await joined(t, '10.0.0.1:7480');
  const document: unknown = JSON.parse(invite('--state', dir, '--json').stdout);
  assert.deepEqual(document, {
    join: '10.0.0.1:7480',
    addresses: ['10.0.0.1:7480'],
    command: './dfs mount /mnt/dfs --join 10.0.0.1:7480 --insecure',
  });
  const { code, stdout } = invite('--state', dir);
  assert.equal(code, 0);
  assert.match(stdout, /^ {4}\.\/dfs mount \/mnt\/dfs --join 10\.0\.0\.1:7480 --insecure$/m);
});

test('who joined on the founding machine itself sends the user to the founder', async (t) => {
  const { code, stderr } = invite('--state', await joined(t, '127.0.0.1:7480'));
  assert.equal(code, 1);
  assert.match(stderr, /joined a cluster on this same machine: run `dfs invite --state DIR`/);
});

test('a founder of which nothing runs opens nothing', async (t) => {
  const dir = await folder(t);
  await foundCluster({ dir, name: 'one', settings: {}, environment });
  const before = await readFile(join(dir, 'config.json'), 'utf8');
  const { code, stderr } = invite('--state', dir);
  assert.equal(code, 1);
  assert.match(stderr, /nothing of .* runs: `dfs mount MOUNTPOINT` starts it, then invite again/);
  assert.equal(await readFile(join(dir, 'config.json'), 'utf8'), before);
});
