/** Notifiers on pipes instead of a connection: a full pipe keeps a thread as the kernel would. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { native } from '../../native/index.ts';
import { systemCode } from '../../src/common/errno.ts';
import { deferred, delay, within } from '../../src/common/lifecycle.ts';
import { until } from '../support/processes.ts';

const ENODEV = 19;
/** An invalidation of an inode, as the kernel is told. */
const MESSAGE_BYTES = 16 + 24;
const PIPE_BYTES = 65_536;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

class Pipe {
  readonly fd: number;
  readonly #reader: number;

  constructor(t: TestContext) {
    const dir = mkdtempSync(join(tmpdir(), 'dfs-pipe-'));
    const path = join(dir, 'pipe');
    execFileSync('mkfifo', [path]);
    this.#reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    this.fd = openSync(path, constants.O_RDWR);
    rmSync(dir, { recursive: true });
    t.after(() => {
      closeSync(this.fd);
      closeSync(this.#reader);
    });
  }

  /** What lies in it now. */
  take(bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    try {
      return buffer.subarray(0, readSync(this.#reader, buffer));
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN') throw error;
      return buffer.subarray(0, 0);
    }
  }

  /** Nothing more fits. */
  fill(): void {
    assert.equal(writeSync(this.#reader, Buffer.alloc(PIPE_BYTES)), PIPE_BYTES);
  }
}

test('what is written is what the kernel expects', async (t) => {
  const pipe = new Pipe(t);
  const notifier = new native.FuseNotifier({ fd: pipe.fd });
  assert.equal(await notifier.invalInode(2 ** 53 - 1, -1, 2 ** 53 - 1), 0);
  const inode = pipe.take(100);
  assert.equal(inode.length, MESSAGE_BYTES);
  assert.deepEqual([inode.readUInt32LE(0), inode.readInt32LE(4)], [MESSAGE_BYTES, 2]);
  const words = [8, 16, 24, 32].map((at) => inode.readBigInt64LE(at));
  assert.deepEqual(words, [0n, 2n ** 53n - 1n, -1n, 2n ** 53n - 1n]);
  assert.equal(await notifier.invalEntry(7, Buffer.from('näme')), 0);
  const entry = pipe.take(100);
  assert.deepEqual([entry.readUInt32LE(0), entry.readInt32LE(4)], [entry.length, 3]);
  assert.deepEqual([entry.readBigUInt64LE(16), entry.readUInt32LE(24)], [7n, 5]);
  assert.equal(entry.readUInt32LE(28), 0);
  assert.equal(entry.toString('utf8', 32), 'näme\0');
  assert.equal(await notifier.incEpoch(), 0);
  const epoch = pipe.take(100);
  assert.deepEqual([epoch.length, epoch.readInt32LE(4)], [16, 8]);
  notifier.close();
  notifier.close();
});

test('arguments that mean nothing are thrown out at once', (t) => {
  const notifier = new native.FuseNotifier({ fd: new Pipe(t).fd });
  const Notifier = native.FuseNotifier as unknown as new (options?: unknown) => unknown;
  assert.throws(() => new Notifier(), TypeError);
  assert.throws(() => new Notifier({ fd: 'none' }), TypeError);
  assert.throws(() => new Notifier({ fd: 999_999 }), { code: 'EBADF' });
  assert.throws(() => notifier.invalInode(0, 0, 0), RangeError);
  assert.throws(() => notifier.invalInode(1, -2, 0), RangeError);
  assert.throws(() => notifier.invalInode(1, 0, 2 ** 53), RangeError);
  assert.throws(() => notifier.invalEntry(1, Buffer.alloc(0)), RangeError);
  assert.throws(() => notifier.invalEntry(1, 'name' as unknown as Buffer), TypeError);
  assert.equal(notifier.busy, 0);
  notifier.close();
});

test('thousands at a time are all answered, and reactions may send more', async (t) => {
  const pipe = new Pipe(t);
  const notifier = new native.FuseNotifier({ fd: pipe.fd });
  const reader = setInterval(() => pipe.take(PIPE_BYTES), 1).unref();
  t.after(() => clearInterval(reader));
  const sent = Array.from({ length: 5_000 }, async (_, ino) => {
    const first = await notifier.invalInode(ino + 1, ino % 2 === 0 ? -1 : 0, 0);
    return first + (await notifier.incEpoch());
  });
  assert.deepEqual(new Set(await within(Promise.all(sent), 20_000, 'all of them')), new Set([0]));
  assert.equal(notifier.busy, 0);
  notifier.close();
});

test('closing answers for a thread that is kept; it ends by itself later', async (t) => {
  const pipe = new Pipe(t);
  pipe.fill();
  const notifier = new native.FuseNotifier({ fd: pipe.fd });
  const blocked = notifier.invalInode(1, 0, 0);
  await delay(50);
  assert.equal(notifier.busy, 1);
  assert.ok(notifier.oldestMs >= 49, String(notifier.oldestMs));
  const open = readdirSync('/proc/self/fd').length;
  notifier.close();
  assert.equal(await blocked, ENODEV);
  assert.equal(await notifier.invalInode(1, 0, 0), ENODEV);
  assert.deepEqual([notifier.busy, notifier.oldestMs], [0, 0]);
  assert.equal(readdirSync('/proc/self/fd').length, open, 'the thread has its descriptor');
  pipe.take(PIPE_BYTES);
  await until('it lets go', () => readdirSync('/proc/self/fd').length < open);
});

test('one that nobody refers to leaves no descriptor behind', async (t) => {
  const pipe = new Pipe(t);
  const before = readdirSync('/proc/self/fd').length;
  const use = async (): Promise<void> => {
    const notifier = new native.FuseNotifier({ fd: pipe.fd });
    await notifier.incEpoch();
  };
  await Promise.all(Array.from({ length: 50 }, use));
  assert.ok(readdirSync('/proc/self/fd').length > before);
  await until('all are collected', async () => {
    await turn();
    collect();
    return readdirSync('/proc/self/fd').length <= before;
  });
});

test('one that waits is kept although nobody refers to it', async (t) => {
  const pipe = new Pipe(t);
  pipe.fill();
  const blocked = new native.FuseNotifier({ fd: pipe.fd }).invalInode(1, 0, 0);
  for (let round = 0; round < 5; round++) {
    collect();
    await turn();
  }
  pipe.take(PIPE_BYTES);
  assert.equal(await within(blocked, 5_000, 'the answer'), 0);
});

test('an idle one does not keep its event loop alive', async (t) => {
  const program = resolve(import.meta.dirname, '../support/notifier-worker.js');
  const worker = new Worker(program, { workerData: { fd: new Pipe(t).fd, how: 'idle' } });
  const ended = deferred<number>();
  worker.on('exit', (code) => ended.resolve(code));
  assert.equal(await within(ended.promise, 10_000, 'the end of the worker'), 0);
});

test('a worker that is terminated leaves a kept thread behind, unharmed', async (t) => {
  const program = resolve(import.meta.dirname, '../support/notifier-worker.js');
  for (let round = 0; round < 5; round++) {
    const pipe = new Pipe(t);
    pipe.fill();
    const worker = new Worker(program, { workerData: { fd: pipe.fd, how: 'blocked' } });
    const said: unknown[] = [];
    worker.on('message', (message) => said.push(message));
    await until('it waits', () => said.length > 0);
    await delay(20);
    assert.deepEqual(said, ['blocked'], 'it keeps its event loop alive');
    await worker.terminate();
    const open = readdirSync('/proc/self/fd').length;
    pipe.take(PIPE_BYTES);
    await until('the thread lets go', () => readdirSync('/proc/self/fd').length < open);
  }
});
