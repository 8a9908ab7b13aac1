import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { native } from '../../native/index.ts';
import { deferred } from '../../src/common/lifecycle.ts';
import { abortConnection, findMount } from '../../src/common/mount-table.ts';
import { run as command } from '../support/dfs.ts';
import { FifoSession, SLOT_BYTES } from '../support/fifo-session.ts';
import { until } from '../support/processes.ts';

const run = promisify(execFile);
const skip = existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function worker(how: string): Worker {
  const file = resolve(import.meta.dirname, '../support/session-worker.js');
  return new Worker(file, { workerData: how });
}

test('a request is handed over with the length that was read, whatever it holds', async (t) => {
  const seen: number[] = [];
  const fifo = new FifoSession({ onRequest: (_, length) => seen.push(length) });
  t.after(() => fifo.dispose());
  for (const bytes of [1, 39, 40, SLOT_BYTES]) {
    fifo.feed(bytes);
    await until('it is read', () => seen.at(-1) === bytes);
  }
  assert.deepEqual(seen, [1, 39, 40, SLOT_BYTES]);
});

test('promise reactions have run before the next request comes', async (t) => {
  const order: string[] = [];
  const fifo = new FifoSession({
    onRequest: () => {
      order.push('request');
      Promise.resolve()
        .then(() => order.push('reaction'))
        .catch(assert.fail);
      process.nextTick(() => order.push('tick'));
    },
  });
  t.after(() => fifo.dispose());
  fifo.feed(2 * SLOT_BYTES);
  await until('both are read', () => order.length === 6);
  assert.deepEqual(order, ['request', 'tick', 'reaction', 'request', 'tick', 'reaction']);
});

test('closing inside a request stops the session there, and again does nothing', async (t) => {
  let seen = 0;
  const fifo = new FifoSession({
    onRequest: () => {
      seen += 1;
      fifo.session.close();
      fifo.session.close();
    },
  });
  t.after(() => fifo.dispose());
  fifo.feed(3 * SLOT_BYTES);
  await until('the first is read', () => seen > 0);
  await turn();
  assert.equal(seen, 1);
});

test('a slot that was kept can be released after the session is closed', async (t) => {
  let kept: number | undefined;
  const fifo = new FifoSession({
    onRequest: (slot) => {
      fifo.session.keepSlot(slot);
      kept = slot;
    },
  });
  t.after(() => fifo.dispose());
  fifo.feed(64);
  await until('the slot is kept', () => kept !== undefined);
  const slot = kept ?? 0;
  assert.throws(() => fifo.session.releaseSlot(1 - slot), RangeError);
  fifo.session.close();
  fifo.session.releaseSlot(slot);
  assert.throws(() => fifo.session.releaseSlot(slot), RangeError);
});

test('a closed session can be collected although its callbacks refer to it', async () => {
  const made: WeakRef<FifoSession>[] = [];
  for (let round = 0; round < 20; round++) {
    const fifo: FifoSession = new FifoSession({ onRequest: () => fifo.feed(1) });
    fifo.dispose();
    made.push(new WeakRef(fifo));
  }
  await until('most are collected', async () => {
    await turn();
    collect();
    return made.filter((ref) => ref.deref() !== undefined).length < 3;
  });
});

test('two hundred started sessions leave no descriptor behind', { skip }, async () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 0; round < 200; round++) {
    const ended = deferred<number>();
    const session = new native.FuseSession({
      fd: openSync('/dev/fuse', 'r+'),
      slotCount: 4,
      slotBytes: SLOT_BYTES,
      replyBytes: 4096,
      onRequest: () => undefined,
      onEnd: (errno) => ended.resolve(errno),
    });
    session.start();
    if (round % 2 === 0) assert.equal(await ended.promise, 1, 'EPERM: it was never mounted');
    session.close();
  }
  await turn();
  assert.ok(open() <= before, `${before} descriptors before, ${open()} after`);
});

test('a session with every slot kept keeps the process alive', async () => {
  const program = resolve(import.meta.dirname, '../support/full-session.js');
  const { stdout } = await run(process.execPath, [program], { timeout: 20_000 });
  assert.deepEqual(stdout.trim().split('\n'), ['kept', 'still here', 'released', 'closed']);
});

test('an abort is noticed while every slot is kept', { skip }, async (t) => {
  const mountpoint = await mkdtemp(join(tmpdir(), 'dfs-full-'));
  const program = resolve(import.meta.dirname, '../support/raw-fuse.js');
  const child = spawn(process.execPath, [program, mountpoint, 'hold'], { cwd: '/' });
  t.after(async () => {
    child.kill('SIGKILL');
    await command('umount', ['-l', mountpoint]);
    await rm(mountpoint, { recursive: true, force: true });
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await until('the mount is ready', () => output.includes('ready'));
  const entry = await findMount(mountpoint);
  assert.ok(entry);
  const stats = Array.from({ length: 4 }, () => command('stat', [mountpoint]));
  await until('all slots are kept', () => output.includes('held 4'));
  await abortConnection(entry);
  await until('the session ends', () => output.includes('end '));
  for (const result of await Promise.all(stats)) assert.notEqual(result.code, 0);
});

test('an exception in onRequest is an uncaughtException, and the session goes on', async () => {
  const program = resolve(import.meta.dirname, '../support/throwing-session.js');
  const { stdout } = await run(process.execPath, [program], { timeout: 20_000 });
  assert.deepEqual(stdout.trim().split('\n'), ['1', 'caught boom', '2', 'caught boom', '3']);
});

for (const how of ['exit', 'throw', 'terminate']) {
  test(`a worker that ends by ${how} in the middle of requests takes its session along`, async () => {
    for (let round = 0; round < 5; round++) {
      const thread = worker(how);
      const ended = deferred<number>();
      const errors: unknown[] = [];
      thread.on('exit', (code) => ended.resolve(code));
      thread.on('error', (error) => errors.push(error));
      if (how === 'terminate') {
        const busy = deferred<void>();
        thread.once('message', () => busy.resolve());
        await busy.promise;
        await thread.terminate();
      }
      await ended.promise;
      assert.equal(errors.length, how === 'throw' ? 1 : 0, String(errors));
    }
  });
}
