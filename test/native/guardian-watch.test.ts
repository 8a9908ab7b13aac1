/**
 * A guardian beside a node that falls silent, dies or ends: what the kernel goes on answering from
 * its caches, and what it asks for again.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { native } from '../../native/index.ts';
import { delay, within } from '../../src/common/lifecycle.ts';
import { CachingMount, isPending } from '../support/caching-mount.ts';
import { HeldFile } from '../support/held-file.ts';
import { isAlive, until } from '../support/processes.ts';

const skip = existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';
/** Words of the table. */
const LEASE_END_MS = 4;
const PURGES = 8;
const PURGED_LEASE_END_MS = 9;
/** Not at the first word of a file, which its size tells. */
const READ = { call: 'read', at: 5, length: 1 } as const;
const LEASE_MS = 400;
const SECOND_MS = 1_000;

interface Watched {
  readonly mount: CachingMount;
  readonly guardian: ChildProcess;
}

async function isWatched(mount: CachingMount): Promise<boolean> {
  return ((await mount.order({ do: 'state' })) as { watched: boolean }).watched;
}

async function watch(t: TestContext): Promise<Watched> {
  const mount = await CachingMount.start(t);
  assert.equal(await isWatched(mount), false);
  const guardian = mount.guard();
  await until('the guardian watches', () => isWatched(mount));
  return { mount, guardian };
}

/** A reader that has seen everything the kernel can keep; all of it is different now. */
async function warm(t: TestContext, mount: CachingMount): Promise<HeldFile> {
  const file = await HeldFile.open(t, mount.path('one'), 'r');
  assert.equal((await file.ok(READ)).text, 'a');
  assert.equal((await file.ok({ call: 'size' })).size, 4096);
  assert.equal(await mount.exists('later'), false);
  await mount.order({ do: 'change' });
  await mount.order({ do: 'create', name: 'later' });
  return file;
}

async function assertStale(mount: CachingMount, file: HeldFile): Promise<void> {
  assert.equal((await file.ok(READ)).text, 'a');
  assert.equal((await file.ok({ call: 'size' })).size, 4096);
  assert.equal(await mount.exists('later'), false);
}

async function pastLease(mount: CachingMount): Promise<void> {
  const end = mount.word(LEASE_END_MS);
  await until('the lease ends', () => native.bootMs() > end);
}

/** How late, in milliseconds, the kernel was made to forget. */
async function untilPurged(mount: CachingMount): Promise<number> {
  const end = mount.word(LEASE_END_MS);
  while (mount.word(PURGED_LEASE_END_MS) !== end) {
    assert.ok(native.bootMs() < end + 10 * SECOND_MS, 'nothing is purged');
    await delay(1);
  }
  return native.bootMs() - end;
}

/** Descriptors of /dev/fuse in a process. */
function connections(pid: number | undefined): number {
  const dir = `/proc/${pid ?? 0}/fd`;
  return readdirSync(dir).filter((fd) => readlinkSync(join(dir, fd)) === '/dev/fuse').length;
}

/** A purge waits in the kernel. */
async function untilKept({ pid = 0 }: ChildProcess): Promise<void> {
  await until('the kernel keeps a thread of the guardian', () =>
    readdirSync(`/proc/${pid}/task`).some((task) => {
      const status = readFileSync(`/proc/${pid}/task/${task}/stat`, 'latin1');
      return status.includes('(dfs-purge-data) D');
    }),
  );
}

test('without a guardian a silent node is not missed: what was cached is served', {
  skip,
}, async (t) => {
  const mount = await CachingMount.start(t);
  const file = await warm(t, mount);
  await mount.order({ do: 'extend', ms: LEASE_MS });
  mount.node.kill('SIGSTOP');
  await pastLease(mount);
  await assertStale(mount, file);
  mount.node.kill('SIGCONT');
});

test('past the leases of a silent node the kernel asks it again', { skip }, async (t) => {
  const { mount } = await watch(t);
  const file = await warm(t, mount);
  await mount.order({ do: 'extend', ms: LEASE_MS });
  mount.node.kill('SIGSTOP');
  assert.ok(native.bootMs() < mount.word(LEASE_END_MS), 'this machine is too slow');
  await assertStale(mount, file);
  const lateMs = await untilPurged(mount);
  t.diagnostic(`purged ${lateMs.toFixed(1)} ms after the end of the lease`);
  assert.ok(lateMs < SECOND_MS, `${lateMs} ms late`);
  assert.equal(mount.word(PURGES), 1);
  const name = mount.exists('later');
  const size = file.ok({ call: 'size' });
  assert.ok(await isPending(Promise.race([name, size])));
  mount.node.kill('SIGCONT');
  assert.equal((await size).size, 4097);
  assert.equal(await name, true);
  assert.equal((await file.ok(READ)).text, 'b');
});

test('data alone is asked for again, too', { skip }, async (t) => {
  const { mount } = await watch(t);
  const file = await warm(t, mount);
  await mount.order({ do: 'extend', ms: LEASE_MS });
  mount.node.kill('SIGSTOP');
  await untilPurged(mount);
  const read = file.ok(READ);
  assert.ok(await isPending(read));
  mount.node.kill('SIGCONT');
  assert.equal((await read).text, 'b');
});

test('files with unanswered reads, however many, keep nothing from being forgotten', {
  skip,
}, async (t) => {
  const { mount } = await watch(t);
  const file = await warm(t, mount);
  const names = Array.from({ length: 30 }, (_, index) => `file-${index}`);
  for (const name of names) await mount.order({ do: 'create', name });
  await mount.order({ do: 'hold', op: 'READ' });
  for (const name of names) mount.cat(name);
  await mount.holds(names.length);
  // Told last, it stands behind all of them in the table.
  await mount.order({ do: 'relist', ino: 2 });
  await mount.order({ do: 'extend', ms: LEASE_MS });
  mount.node.kill('SIGSTOP');
  await pastLease(mount);
  let read: Promise<unknown> = Promise.resolve();
  await until('the data is forgotten', async () => {
    read = file.ok(READ);
    return isPending(read);
  });
  assert.equal(mount.word(PURGES), 0, 'it is not over');
  mount.node.kill('SIGCONT');
  await mount.order({ do: 'release' });
  await read;
  await untilPurged(mount);
});

test('a node that goes on extending its leases is left alone', { skip }, async (t) => {
  const { mount } = await watch(t);
  const file = await warm(t, mount);
  await mount.order({ do: 'extend', ms: SECOND_MS });
  for (let round = 0; round < 15; round++) {
    await delay(100);
    await mount.order({ do: 'extend', ms: SECOND_MS });
  }
  await assertStale(mount, file);
  assert.equal(mount.word(PURGES), 0);
  await untilPurged(mount);
  await mount.order({ do: 'extend', ms: 50 });
  await untilPurged(mount);
  assert.equal(mount.word(PURGES), 2);
});

test('a node that is killed is started again, and nobody reads what the kernel has of it', {
  skip,
}, async (t) => {
  const { mount } = await watch(t);
  const file = await warm(t, mount);
  await mount.order({ do: 'extend', ms: 60 * SECOND_MS });
  const first = mount.pid;
  mount.node.kill('SIGKILL');
  await until('data is gone', async () => (await file.call(READ)).outcome === 'ENOTCONN');
  await until('it is back', () => mount.pid !== first && isAlive(mount.pid));
  await until('it is mounted again', async () => (await mount.exists('one', SECOND_MS)) === true);
});

test('one that is killed while the kernel keeps a thread of it ends all the same', {
  skip,
}, async (t) => {
  const { mount } = await watch(t);
  await mount.order({ do: 'hold', op: 'READ' });
  const reader = mount.cat('one');
  await mount.holds(1);
  const blocked = mount.send({ do: 'invalInode', ino: 2, at: 0, length: 0 });
  assert.ok(await isPending(blocked));
  const first = mount.pid;
  mount.node.kill('SIGKILL');
  await within(reader.ended, 5 * SECOND_MS, 'the end of the reader');
  await until('it is back', () => mount.pid !== first && isAlive(mount.pid));
  await until('it is mounted again', async () => (await mount.exists('one', SECOND_MS)) === true);
});

test('one that is killed while the kernel keeps a thread of the guardian ends all the same', {
  skip,
}, async (t) => {
  const { mount, guardian } = await watch(t);
  await mount.order({ do: 'hold', op: 'READ' });
  const reader = mount.cat('one');
  await mount.holds(1);
  await mount.order({ do: 'extend', ms: 50 });
  mount.node.kill('SIGSTOP');
  await untilKept(guardian);
  const first = mount.pid;
  mount.node.kill('SIGKILL');
  await within(reader.ended, 5 * SECOND_MS, 'the end of the reader');
  await until('it is back', () => mount.pid !== first && isAlive(mount.pid));
  await until('it is mounted again', async () => (await mount.exists('one', SECOND_MS)) === true);
});

test('an orderly unmount is not held up, and the guardian lets go', { skip }, async (t) => {
  const { mount, guardian } = await watch(t);
  await mount.cat('one').ended;
  await mount.order({ do: 'extend', ms: 60 * SECOND_MS });
  assert.equal(connections(guardian.pid), 1);
  const { errno, ms } = (await mount.order({ do: 'unmount' })) as { errno: number; ms: number };
  t.diagnostic(`unmounted in ${ms.toFixed(1)} ms`);
  assert.equal(errno, 19);
  assert.ok(ms < SECOND_MS, `${ms} ms`);
  await until('it lets go', () => connections(guardian.pid) === 0, SECOND_MS);
});

test('the guardian lets go before the mount ends as soon as the node says so', {
  skip,
}, async (t) => {
  const { mount, guardian } = await watch(t);
  assert.equal(connections(guardian.pid), 1);
  await mount.order({ do: 'letGo' });
  await until('it lets go', () => connections(guardian.pid) === 0, SECOND_MS);
  assert.equal(await isWatched(mount), false);
  assert.equal(await mount.exists('one'), true, 'the node goes on');
});

test('a guardian that ends or hangs is missed, and the next one watches', { skip }, async (t) => {
  const { mount, guardian } = await watch(t);
  guardian.kill('SIGSTOP');
  await until('the node misses it', async () => !(await isWatched(mount)));
  guardian.kill('SIGCONT');
  await until('it is back', () => isWatched(mount));
  const gone = once(guardian, 'exit');
  guardian.kill('SIGTERM');
  assert.deepEqual(await gone, [0, null]);
  assert.equal(await isWatched(mount), false);
  mount.guard();
  await until('another one watches', () => isWatched(mount));
});

test('a guardian that is ended ends although the kernel keeps a thread of it', {
  skip,
}, async (t) => {
  const { mount, guardian } = await watch(t);
  await mount.order({ do: 'hold', op: 'READ' });
  mount.cat('one');
  await mount.holds(1);
  await mount.order({ do: 'extend', ms: 50 });
  mount.node.kill('SIGSTOP');
  await untilKept(guardian);
  const gone = once(guardian, 'exit');
  guardian.kill('SIGTERM');
  assert.deepEqual(await within(gone, 5 * SECOND_MS, 'the end of the guardian'), [0, null]);
  mount.node.kill('SIGCONT');
});
