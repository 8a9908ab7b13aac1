/** Rule L5 of docs/PROTOCOL.md: programs that relied on locks which are lost do not go on. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Lock, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import type { Ino } from '../../../src/common/ids.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { nextTurns } from '../../support/random.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

function lockOf(ino: Ino): Lock {
  return { ino, kind: 'posix', type: 'write', owner: '7', pid: 7, ...WHOLE_FILE };
}

it('a file whose locks were lost is read, written and locked again after all have closed it', async () => {
  const world = await VfsWorld.create();
  const { ino, fh } = await world.create('file');
  await world.write(fh, 0, 'before');
  await world.fs.locks?.setlk(world.context(), fh, lockOf(ino), true);
  world.locks.evicted();
  await assert.rejects(world.read(fh), { code: 'EIO' });
  await assert.rejects(world.write(fh, 0, 'after'), { code: 'EIO' });
  const locking = world.fs.locks?.setlk(world.context(), fh, lockOf(ino), true);
  await assert.rejects(async () => locking, { code: 'EIO' });
  await world.fs.release(fh);
  const again = await world.open(ino);
  assert.equal(await world.read(again), 'before');
  await world.fs.locks?.setlk(world.context(), again, lockOf(ino), true);
});

for (const how of ['read', 'written to'] as const) {
  it(`a file is not ${how} under a lease that came after its locks were lost`, async () => {
    const world = await VfsWorld.create();
    const { ino, fh } = await world.create('file');
    await world.write(fh, 0, 'before');
    await world.fs.locks?.setlk(world.context(), fh, lockOf(ino), true);
    // The machine was away for so long that its leases ran out. The session was ended meanwhile.
    world.leases.expire();
    const asked = deferred<void>();
    const answered = deferred<void>();
    world.before = (op) => {
      if (op.$case !== 'lease') return undefined;
      asked.resolve();
      return answered.promise;
    };
    const begun = how === 'read' ? world.read(fh) : world.write(fh, 0, 'after');
    const failed = assert.rejects(begun, { code: 'EIO' });
    await asked.promise;
    world.locks.evicted();
    await nextTurns(1);
    answered.resolve();
    await failed;
  });
}
