/** The end of a mount while the kernel keeps a thread of the process that serves it. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { within } from '../../src/common/lifecycle.ts';
import { abortConnection, findMount } from '../../src/common/mount-table.ts';
import { run } from '../support/dfs.ts';

const PROGRAM = resolve(import.meta.dirname, '../support/stuck-driver.js');
const skip = existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';

async function said(child: ChildProcess, what: string): Promise<unknown> {
  const [message] = (await within(once(child, 'message'), 10_000, what)) as unknown[];
  return message;
}

test('a notification that the kernel keeps does not keep a mount that is to end', {
  skip,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'dfs-stuck-'));
  const mountpoint = join(dir, 'mnt');
  mkdirSync(mountpoint);
  const node = fork(PROGRAM, [mountpoint, join(dir, 'data')], { cwd: '/' });
  assert.equal(await said(node, 'the mount'), 'ready');
  const entry = await findMount(mountpoint);
  assert.ok(entry !== undefined);
  t.after(async () => {
    node.kill('SIGKILL');
    // By then it may have left the mount table.
    await abortConnection(entry).catch(() => undefined);
    await run('umount', ['-l', mountpoint]);
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });
  const file = join(mountpoint, 'file');
  assert.equal((await run('sh', ['-c', 'echo some > "$0"', file])).code, 0);
  const reader = spawn('cat', [file], { stdio: 'ignore', cwd: '/' });
  assert.equal(await said(node, 'a read'), 'a read waits');
  const gone = once(reader, 'exit');
  reader.kill('SIGKILL');
  await within(gone, 5_000, 'the reader');
  const exit = once(node, 'exit');
  node.send('end');
  assert.equal(await said(node, 'the end'), 'kept 1, detached');
  assert.deepEqual(await within(exit, 5_000, 'the end of the process'), [0, null]);
});
