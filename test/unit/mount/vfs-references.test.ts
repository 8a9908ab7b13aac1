import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { ROOT_INO } from '../../../src/common/ids.ts';
import { ScriptedStore } from '../../support/scripted-store.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

test('a failed answer to lookup, create or getattr leaves no reference behind', async () => {
  const store = new ScriptedStore();
  const world = await VfsWorld.create(store);
  const { ino, fh } = await world.create('a');
  await world.write(fh, 0, 'hello');
  await world.fs.release(fh);
  world.fs.forget(ino, 1);
  store.blocks = () => {
    throw new FsError('EIO', 'disk');
  };
  await assert.rejects(world.lookup('a'), { code: 'EIO' });
  await assert.rejects(world.create('a'), { code: 'EIO' });
  await assert.rejects(async () => world.fs.getattr(world.context(), ino), { code: 'EIO' });
  assert.equal(world.vfs.inodeCount, 0);
  assert.equal(world.vfs.openFiles, 0);
});

test('attributes of an old listing never decide where a file ends', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('a');
  await world.fs.release(fh);
  world.fs.forget(ino, 1);
  const { fh: dir } = await world.fs.opendir(world.context(), ROOT_INO);
  const listing = { cookie: 0, withAttrs: true };
  const listed = await world.fs.readdir(world.context(), dir, listing);
  const again = await world.open(await world.lookup('a'));
  await world.write(again, 0, 'hello');
  await world.fs.release(again);
  world.fs.forget(ino, 1);
  const stale = listed.find((entry) => entry.ino === ino)?.stat?.attr;
  assert.equal(stale?.size, 0);
  if (stale !== undefined) world.fs.remember(stale);
  const last = await world.open(ino);
  await world.write(last, 5, ' again');
  assert.equal(await world.read(last), 'hello again');
});
