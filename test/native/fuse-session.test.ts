import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { native } from '../../native/index.ts';
import { abortConnection, findMount } from '../../src/common/mount-table.ts';
import { run } from '../support/dfs.ts';
import { until } from '../support/processes.ts';

const skip = existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';
const ENODEV = 19;
const ECONNABORTED = 103;

class RawMount {
  readonly mountpoint: string;
  readonly lines: string[] = [];
  readonly child: ChildProcess;

  private constructor(mountpoint: string, child: ChildProcess) {
    this.mountpoint = mountpoint;
    this.child = child;
  }

  static async start(t: TestContext, mode: string): Promise<RawMount> {
    const mountpoint = await mkdtemp(join(tmpdir(), 'dfs-raw-'));
    const program = resolve(import.meta.dirname, '../support/raw-fuse.js');
    const child = spawn(process.execPath, [program, mountpoint, mode], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: '/',
    });
    const raw = new RawMount(mountpoint, child);
    t.after(async () => {
      child.kill('SIGKILL');
      await run('umount', ['-l', mountpoint]);
      await rm(mountpoint, { recursive: true, force: true });
    });
    createInterface({ input: child.stdout }).on('line', (line) => raw.lines.push(line));
    await until('the mount is ready', () => raw.lines.includes('ready'));
    return raw;
  }

  /** stat(2) in a child with a bound. */
  async stat(): Promise<number> {
    return (await run('stat', ['-c', '%a', this.mountpoint], { timeoutMs: 10_000 })).code;
  }
}

test('requests are answered, and unmounting ends the session once', { skip }, async (t) => {
  const raw = await RawMount.start(t, 'echo');
  for (let round = 0; round < 5; round++) assert.equal(await raw.stat(), 0);
  const missing = await run('stat', [join(raw.mountpoint, 'nothing')]);
  assert.match(missing.stderr, /No such file/);
  await native.unmount(raw.mountpoint, 0);
  await until('the session ends', () => raw.lines.includes(`end ${ENODEV}`));
  assert.deepEqual(
    raw.lines.filter((line) => line !== 'ready'),
    [`end ${ENODEV}`],
  );
});

test('aborting the connection ends the session', { skip }, async (t) => {
  const raw = await RawMount.start(t, 'echo');
  const entry = await findMount(raw.mountpoint);
  assert.ok(entry);
  await abortConnection(entry);
  await until('the session ends', () => raw.lines.some((line) => line.startsWith('end')));
  const errno = Number(raw.lines.at(-1)?.split(' ')[1]);
  assert.ok([ENODEV, ECONNABORTED].includes(errno), String(errno));
});

test('with every slot kept nothing more is read until one is released', { skip }, async (t) => {
  const raw = await RawMount.start(t, 'hold');
  const stats = Array.from({ length: 6 }, () => raw.stat());
  await until('all slots are kept', () => raw.lines.includes('held 4'));
  for (let index = 0; index < 6; index++) {
    const before = raw.lines.length;
    raw.child.stdin?.write('\n');
    if (index < 2) await until('the next request is read', () => raw.lines.length > before);
  }
  // A stat may ask twice; what still waits is let go as well.
  const feeding = setInterval(() => raw.child.stdin?.write('\n'), 20);
  try {
    assert.deepEqual(await Promise.all(stats), [0, 0, 0, 0, 0, 0]);
  } finally {
    clearInterval(feeding);
  }
  assert.ok(!raw.lines.includes('held 5'), 'more requests than slots');
});

test('sessions that were never started leave no descriptor behind', () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 0; round < 200; round++) {
    const session = new native.FuseSession({
      fd: openSync(devNull, 'r+'),
      slotCount: 1,
      slotBytes: 8192,
      replyBytes: 4096,
      onRequest: () => undefined,
      onEnd: () => undefined,
    });
    session.close();
    assert.equal(session.send(16), 9, 'EBADF after close');
  }
  assert.ok(open() <= before + 1, `${before} descriptors before, ${open()} after`);
});
