import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DfsUnderTest } from '../support/dfs.ts';
import { killHard, until } from '../support/processes.ts';

const BYTES = 1_000_000;

/** Backing files of this node. */
function backingFiles(dfs: DfsUnderTest): string[] {
  const entries = readdirSync(join(dfs.stateDir, 'data'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

/** A process that holds an unlinked file of the mount open until its input ends. */
async function holdUnlinked(t: TestContext, dfs: DfsUnderTest): Promise<() => Promise<void>> {
  const script = `
    exec 3<>"${dfs.mountpoint}/held"; head -c ${BYTES} /dev/zero >&3; rm "${dfs.mountpoint}/held"
    echo ready; read -r line; test "$(stat -Lc %s /proc/self/fd/3)" = ${BYTES}`;
  const child = spawn('bash', ['-euc', script], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return async () => {
    child.stdin.end('go\n');
    await once(child, 'exit');
  };
}

test('an unlinked file keeps its bytes through a metaserver crash, until its last close', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  const letGo = await holdUnlinked(t, dfs);
  assert.equal(backingFiles(dfs).length, 1);
  assert.equal((await dfs.status()).inodes, 2);
  await killHard(await dfs.pid('metaserver'));
  await dfs.mount();
  assert.equal((await dfs.status()).inodes, 2);
  await letGo();
  await until('the file is gone', async () => (await dfs.status()).inodes === 1);
  await until('its bytes are gone', () => backingFiles(dfs).length === 0);
  await until('nothing is left to reclaim', async () => (await dfs.status()).reclaimPending === 0);
});

test('what a killed node held open is reclaimed when it comes back', async (t) => {
  const dfs = await DfsUnderTest.create(t);
  await dfs.mount();
  await dfs.ok('echo stays > stays');
  await holdUnlinked(t, dfs);
  assert.equal(backingFiles(dfs).length, 2);
  await killHard(await dfs.pid('node'));
  await dfs.mount();
  await until('the file is gone', async () => (await dfs.status()).inodes === 2);
  await until('its bytes are gone', () => backingFiles(dfs).length === 1);
  assert.equal(await dfs.ok('cat stays'), 'stays\n');
});
