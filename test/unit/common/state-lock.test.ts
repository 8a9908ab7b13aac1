import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isLocked, lockStart, lockState, readPid } from '../../../src/common/state-lock.ts';
import { type StatePaths, statePaths } from '../../../src/common/state-paths.ts';

const MODULES = resolve(import.meta.dirname, '../../../src/common');

async function scratch(t: TestContext): Promise<StatePaths> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-lock-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'run'));
  return statePaths(dir);
}

test('a role is held by one holder at a time, and named in the refusal', async (t) => {
  const paths = await scratch(t);
  const lock = await lockState(paths, 'node');
  assert.equal(isLocked(paths, 'node'), true);
  await assert.rejects(lockState(paths, 'node'), {
    code: 'EBUSY',
    message: new RegExp(`in use by another dfs process \\(pid ${process.pid}\\)`),
  });
  await lock[Symbol.asyncDispose]();
  assert.equal(isLocked(paths, 'node'), false);
  await using _again = await lockState(paths, 'node');
});

test('roles do not get in each other’s way', async (t) => {
  const paths = await scratch(t);
  await using _node = await lockState(paths, 'node');
  await using _metaserver = await lockState(paths, 'metaserver');
  assert.equal(isLocked(paths, 'metaserver'), true);
});

test('node.pid names the holder, and goes with it', async (t) => {
  const paths = await scratch(t);
  {
    await using _lock = await lockState(paths, 'node');
    assert.equal(await readPid(paths, 'node'), process.pid);
    assert.equal(await readFile(join(paths.dir, 'node.pid'), 'utf8'), `${process.pid}\n`);
  }
  assert.equal(await readPid(paths, 'node'), undefined);
});

test('a killed holder holds nothing', async (t) => {
  const paths = await scratch(t);
  const script = `
    const { lockState } = await import('${MODULES}/state-lock.js');
    const { statePaths } = await import('${MODULES}/state-paths.js');
    globalThis.lock = await lockState(statePaths('${paths.dir}'), 'node');
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  assert.equal(isLocked(paths, 'node'), true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(isLocked(paths, 'node'), false);
  await using _lock = await lockState(paths, 'node');
});

test('the second start waits for the first, and says so', async (t) => {
  const { dir } = await scratch(t);
  const first = await lockStart(dir, {
    timeoutMs: 0,
    onWait: () => assert.fail('nobody is there'),
  });
  let waited = false;
  const second = lockStart(dir, {
    timeoutMs: 10_000,
    onWait: () => {
      waited = true;
    },
  });
  assert.equal(waited, true);
  await first[Symbol.asyncDispose]();
  await using _second = await second;
});

test('a start that never ends is given up', async (t) => {
  const { dir } = await scratch(t);
  await using _first = await lockStart(dir, { timeoutMs: 0, onWait: () => undefined });
  await assert.rejects(lockStart(dir, { timeoutMs: 50, onWait: () => undefined }), {
    code: 'ETIMEDOUT',
  });
});
