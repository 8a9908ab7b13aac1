import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attr, S_IFDIR, S_IFREG } from '../../../src/common/attr.ts';
import { FsError } from '../../../src/common/errno.ts';
import { type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { nameToBytes } from '../../../src/common/name.ts';
import { attrFromWire } from '../../../src/common/rpc/codec.ts';
import { Random } from '../../support/random.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

const STEPS = 600;
const NAMES = ['a', 'b', 'c', 'd'];

/** The inode under a name as the metaserver has it. */
async function truth(world: VfsWorld, parent: Ino, name: string): Promise<Attr | 'absent'> {
  const value = { parent: BigInt(parent), name: nameToBytes(name) };
  try {
    const reply = await world.ask({ $case: 'lookup', value });
    assert.ok(reply.$case === 'attr' && reply.value.attr !== undefined);
    return attrFromWire(reply.value.attr);
  } catch (error) {
    if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
    return 'absent';
  }
}

/** One random operation; failures are answers like others. */
async function step(world: VfsWorld, random: Random, dirs: Ino[]): Promise<void> {
  const { meta } = world;
  const context = world.context();
  const parent = random.pick(dirs);
  const name = random.pick(NAMES);
  const newParent = random.pick(dirs);
  const newName = random.pick(NAMES);
  const known = { ino: undefined, open: false };
  const seen = meta.cache.lookup(parent, name);
  const ino = seen === undefined || seen === 'absent' ? parent : seen.ino;
  const actions: (() => Promise<unknown>)[] = [
    () => meta.lookup(context, parent, name),
    () => meta.make(context, { parent, name, mode: S_IFREG | 0o644, rdev: 0 }),
    async () => {
      const made = await meta.make(context, { parent, name, mode: S_IFDIR | 0o755, rdev: 0 });
      if (dirs.length < 4) dirs.push(made.attr.ino);
    },
    () => meta.remove(context, { parent, name, directory: false }, known),
    () => meta.remove(context, { parent, name, directory: true }, known),
    () => meta.rename(context, { parent, name, newParent, newName, flags: 0 }, known),
    () => meta.rename(context, { parent, name, newParent, newName, flags: 2 }, known),
    () => meta.link(context, { ino, newParent, newName }),
    () => meta.setattr(context, ino, { mode: random.below(0o777), killSuidGid: false }),
    () => meta.readdir(context, parent, { cookie: 0, entriesMax: 10, withAttrs: true }),
    () => meta.getattr(context, ino),
  ];
  await random
    .pick(actions)()
    .catch((error: unknown) => {
      if (!(error instanceof FsError)) throw error;
    });
}

test('what the cache answers is what the metaserver would say, after anything', async () => {
  const random = Random.fromEnvironment();
  const world = await VfsWorld.create();
  const dirs: Ino[] = [ROOT_INO];
  let hits = 0;
  for (let at = 0; at < STEPS; at++) {
    const inFlight = 1 + random.below(4);
    await Promise.all(Array.from({ length: inFlight }, () => step(world, random, dirs)));
    for (const dir of dirs) {
      for (const name of NAMES) {
        const cached = world.meta.cache.lookup(dir, name);
        if (cached === undefined) continue;
        hits++;
        const note = `seed ${random.seed} step ${at}: ${dir}/${name}`;
        assert.deepEqual(cached, await truth(world, dir, name), note);
      }
    }
  }
  assert.ok(hits > STEPS, `the cache knew next to nothing: ${hits}`);
});

test('a change whose outcome nobody knows empties the cache', async () => {
  const world = await VfsWorld.create();
  const context = world.context();
  await world.meta.getattr(context, ROOT_INO);
  assert.notEqual(world.meta.cache.attr(ROOT_INO), undefined);
  world.before = () => {
    throw new FsError('EIO', 'the metaserver did not answer');
  };
  await assert.rejects(world.meta.getattr(context, ROOT_INO));
  assert.notEqual(world.meta.cache.attr(ROOT_INO), undefined);
  const changes = { mode: 0o700, killSuidGid: false };
  await assert.rejects(world.meta.setattr(context, ROOT_INO, changes));
  assert.equal(world.meta.cache.attr(ROOT_INO), undefined);
});

test('a name is remembered only while its directory is held', async () => {
  const world = await VfsWorld.create();
  const { meta, leases } = world;
  const context = world.context();
  const names = (): string[] => meta.cache.names(ROOT_INO);
  const { ino } = await world.create('file');
  assert.deepEqual([leases.holds(ROOT_INO), names()], [false, []]);
  await meta.lookup(context, ROOT_INO, 'file');
  await assert.rejects(meta.lookup(context, ROOT_INO, 'none'), { code: 'ENOENT' });
  assert.deepEqual([leases.holds(ROOT_INO), names()], [false, []]);
  await assert.rejects(meta.lookup(context, ROOT_INO, 'none', { grantParent: true }));
  await meta.lookup(context, ROOT_INO, 'file');
  assert.deepEqual([leases.holds(ROOT_INO), names()], [true, ['none', 'file']]);
  assert.equal(meta.cache.lookup(ROOT_INO, 'none'), 'absent');
  const found = meta.cache.lookup(ROOT_INO, 'file');
  assert.ok(found !== undefined && found !== 'absent' && found.ino === ino);
  leases.expire();
  assert.deepEqual([leases.holds(ROOT_INO), names()], [false, []]);
  assert.equal(meta.cache.lookup(ROOT_INO, 'none'), undefined);
  assert.equal(meta.cache.attr(ino), undefined);
});
