import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Fh, ROOT_INO } from '../../../src/common/ids.ts';
import type { DirEntryResult } from '../../../src/mount/driver/driver.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

async function worldWith(names: readonly string[]): Promise<{ world: VfsWorld; dir: Fh }> {
  const world = await VfsWorld.create();
  for (const name of names) await world.fs.release((await world.create(name)).fh);
  const { fh: dir } = await world.fs.opendir(world.context(), ROOT_INO);
  return { world, dir };
}

async function list(world: VfsWorld, dir: Fh, cookie: number): Promise<readonly DirEntryResult[]> {
  return world.fs.readdir(world.context(), dir, { cookie, withAttrs: true });
}

const namesOf = (entries: readonly DirEntryResult[]): string[] => entries.map(({ name }) => name);

test('a listing under way goes on with the names as they are after a rename from here', async () => {
  const { world, dir } = await worldWith(['a', 'b', 'c', 'd']);
  const start = await list(world, dir, 0);
  const [b, d] = ['b', 'd'].map((wanted) => start.find(({ name }) => name === wanted));
  await world.rename('d', 'c');
  const rest = await list(world, dir, b?.cookie ?? 0);
  assert.deepEqual(namesOf(rest), ['c']);
  assert.equal(rest[0]?.ino, d?.ino);
});

test('a listing under way asks once for a page while nothing changes', async () => {
  const { world, dir } = await worldWith(['a', 'b', 'c']);
  const start = await list(world, dir, 0);
  const asked = world.log.length;
  for (const { cookie } of start.slice(2)) await list(world, dir, cookie);
  assert.equal(world.log.length, asked);
});
