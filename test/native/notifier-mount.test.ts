/** What the kernel forgets when it is told to, and what telling it waits for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { within } from '../../src/common/lifecycle.ts';
import { CachingMount, isPending, WHILE_MS } from '../support/caching-mount.ts';
import { HeldFile } from '../support/held-file.ts';

const skip = existsSync('/dev/fuse') ? false : 'this machine has no /dev/fuse';
const ENOENT = 2;
const ENODEV = 19;
const ONE = 2;
const ATTRIBUTES = -1;
const NAMES = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const MORE = ['ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen'];

const attributes = { do: 'invalInode', ino: ONE, at: ATTRIBUTES, length: 0 } as const;
const data = { do: 'invalInode', ino: ONE, at: 0, length: 0 } as const;

test('attributes are asked for again once they are invalidated', { skip }, async (t) => {
  const mount = await CachingMount.start(t);
  const file = await HeldFile.open(t, mount.path('one'), 'r');
  const size = async (): Promise<number | undefined> => (await file.ok({ call: 'size' })).size;
  assert.equal(await size(), 4096);
  await mount.order({ do: 'change' });
  const asked = await mount.count('GETATTR');
  assert.equal(await size(), 4096, 'the kernel keeps them');
  assert.equal(await mount.count('GETATTR'), asked);
  assert.equal(await mount.order(attributes), 0);
  assert.equal(await size(), 4097);
  assert.equal(await mount.count('GETATTR'), asked + 1);
});

test('data is read again once it is invalidated, and an unknown inode is said to be', {
  skip,
}, async (t) => {
  const mount = await CachingMount.start(t);
  const file = await HeldFile.open(t, mount.path('one'), 'r');
  const byte = async (): Promise<string | undefined> =>
    (await file.ok({ call: 'read', at: 7, length: 1 })).text;
  assert.equal(await byte(), 'a');
  await mount.order({ do: 'change' });
  const asked = await mount.count('READ');
  assert.equal(await byte(), 'a', 'the kernel keeps it');
  assert.equal(await mount.order(attributes), 0);
  assert.equal(await byte(), 'a', 'attributes are not data');
  assert.equal(await mount.count('READ'), asked);
  assert.equal(await mount.order(data), 0);
  assert.equal(await byte(), 'b');
  assert.equal(await mount.count('READ'), asked + 1);
  assert.equal(await mount.order({ ...data, ino: 2 ** 53 - 1 }), ENOENT);
});

for (const how of ['one by one', 'all at once']) {
  test(`names are looked up again once they are invalidated ${how}`, { skip }, async (t) => {
    const mount = await CachingMount.start(t);
    const looked = async (name: string, there: boolean): Promise<number> => {
      assert.equal(await mount.exists(name), there);
      return mount.count('LOOKUP');
    };
    await looked('one', true);
    const asked = await looked('later', false);
    await mount.order({ do: 'create', name: 'later' });
    await looked('one', true);
    assert.equal(await looked('later', false), asked, 'the kernel keeps them');
    if (how === 'one by one') {
      assert.equal(await mount.order({ do: 'invalEntry', name: 'one' }), 0);
      assert.equal(await mount.order({ do: 'invalEntry', name: 'later' }), 0);
      assert.equal(await mount.order({ do: 'invalEntry', name: 'never seen' }), ENOENT);
    } else assert.equal(await mount.order({ do: 'incEpoch' }), 0);
    assert.equal(await looked('one', true), asked + 1);
    assert.equal(await looked('later', true), asked + 2);
  });
}

test('data that is being read is waited for; nothing else waits with it', { skip }, async (t) => {
  const mount = await CachingMount.start(t);
  await mount.order({ do: 'hold', op: 'READ' });
  mount.cat('one');
  await mount.holds(1);
  const invalidated = mount.send(data);
  assert.ok(await isPending(invalidated));
  assert.equal(await mount.order(attributes), 0);
  assert.equal(await mount.order({ do: 'incEpoch' }), 0);
  assert.equal(await mount.order({ do: 'invalEntry', name: 'one' }), 0);
  assert.equal(await mount.exists('two'), true, 'requests are answered meanwhile');
  const waiting = (await mount.order({ do: 'busy' })) as { busy: number; oldestMs: number };
  assert.equal(waiting.busy, 1);
  assert.ok(waiting.oldestMs >= WHILE_MS - 1, String(waiting.oldestMs));
  assert.ok(await isPending(invalidated));
  await mount.order({ do: 'release' });
  assert.equal(await within(invalidated, 5_000, 'the invalidation'), 0);
  assert.deepEqual(await mount.order({ do: 'busy' }), { busy: 0, oldestMs: 0 });
});

test('a name waits for any lookup in its directory; all names at once do not', {
  skip,
}, async (t) => {
  const mount = await CachingMount.start(t);
  assert.equal(await mount.exists('one'), true);
  await mount.order({ do: 'hold', op: 'LOOKUP' });
  const other = mount.exists('two');
  await mount.holds(1);
  const invalidated = mount.send({ do: 'invalEntry', name: 'one' });
  assert.ok(await isPending(invalidated));
  assert.equal(await mount.order({ do: 'incEpoch' }), 0);
  assert.equal(await mount.order(attributes), 0);
  await mount.order({ do: 'release' });
  assert.equal(await within(invalidated, 5_000, 'the invalidation'), 0);
  assert.equal(await other, true);
});

test('behind sixteen that wait a seventeenth waits its turn, and attributes do not', {
  skip,
}, async (t) => {
  const mount = await CachingMount.start(t);
  for (const name of MORE) await mount.order({ do: 'create', name });
  const names = [...NAMES, ...MORE];
  await mount.order({ do: 'hold', op: 'READ' });
  for (const name of names.slice(0, 16)) mount.cat(name);
  await mount.holds(16);
  const inos = names.map((_, index) => ONE + index);
  const all = inos.map((ino) => mount.send({ ...data, ino }));
  // Nobody reads it, and it could be done at once.
  const last = all.at(-1) ?? Promise.reject(new Error('none'));
  assert.ok(await isPending(last));
  for (const ino of inos.slice(0, 16)) {
    assert.equal(await mount.order({ ...attributes, ino }), 0);
  }
  await mount.order({ do: 'release' });
  const errnos = await within(Promise.all(all), 5_000, 'the invalidations');
  assert.deepEqual(new Set(errnos.slice(0, 16)), new Set([0]));
  assert.equal(errnos[16], ENOENT);
});

test('closing does not wait for what the kernel has, and the process ends with the mount', {
  skip,
}, async (t) => {
  const mount = await CachingMount.start(t);
  await mount.order({ do: 'hold', op: 'READ' });
  const reader = mount.cat('one');
  await mount.holds(1);
  const blocked = mount.send(data);
  assert.ok(await isPending(blocked));
  const start = performance.now();
  await mount.order({ do: 'closeNotifier' });
  assert.equal(await blocked, ENODEV);
  assert.ok(performance.now() - start < 1_000);
  assert.equal(await mount.order({ do: 'incEpoch' }), ENODEV);
  assert.equal(await mount.exists('two'), true, 'the node goes on');
  reader.kill();
  await reader.ended;
  // umount(2) waits for the notification, which waits for the answer.
  const unmounted = mount.send({ do: 'unmount' });
  assert.ok(await isPending(unmounted));
  assert.equal(await mount.order({ do: 'abort' }), true);
  await within(unmounted, 5_000, 'unmounting');
  const exit = once(mount.node, 'exit');
  mount.node.disconnect();
  assert.deepEqual(await within(exit, 5_000, 'the end of the process'), [0, null]);
});
