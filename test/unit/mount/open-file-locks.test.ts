import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Lock, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import type { Fh, Ino } from '../../../src/common/ids.ts';
import { VfsWorld } from '../../support/vfs-world.ts';

const [PROCESS, DESCRIPTION, OTHER] = ['1', '2', '3'];

/** A file that is locked by fcntl(2), as the kernel asks for it. */
class LockedFile {
  readonly #world: VfsWorld;
  readonly #ino: Ino;

  private constructor(world: VfsWorld, ino: Ino) {
    this.#world = world;
    this.#ino = ino;
  }

  static async create(): Promise<LockedFile> {
    const world = await VfsWorld.create();
    const { ino, fh } = await world.create('file');
    await world.fs.release(fh);
    return new LockedFile(world, ino);
  }

  open(): Promise<Fh> {
    return this.#world.open(this.#ino);
  }

  async lock(fh: Fh, owner: string): Promise<void> {
    await this.#world.fs.locks?.setlk(this.#world.context(), fh, this.#lock(owner), false);
  }

  /** One descriptor of it is closed by a process. */
  async close(fh: Fh, owner: string): Promise<void> {
    await this.#world.fs.flush(this.#world.context(), fh, owner);
  }

  /** The last one was closed. */
  async release(fh: Fh): Promise<void> {
    await this.#world.fs.release(fh);
  }

  async isLocked(): Promise<boolean> {
    const found = await this.#world.fs.locks?.getlk(this.#world.context(), this.#lock(OTHER));
    return found !== undefined;
  }

  #lock(owner: string): Lock {
    return { ino: this.#ino, kind: 'posix', type: 'write', owner, pid: 1, ...WHOLE_FILE };
  }
}

test('what an open file description has locked ends with its last descriptor', async () => {
  const file = await LockedFile.create();
  const fh = await file.open();
  const other = await file.open();
  await file.lock(fh, DESCRIPTION);
  await file.close(fh, PROCESS);
  await file.close(other, PROCESS);
  await file.release(other);
  assert.equal(await file.isLocked(), true);
  await file.release(fh);
  assert.equal(await file.isLocked(), false);
});

test('what the next open file has locked under the same number is not given up', async () => {
  const file = await LockedFile.create();
  const killed = await file.open();
  await file.lock(killed, DESCRIPTION);
  const next = await file.open();
  await file.lock(next, DESCRIPTION);
  await file.release(killed);
  assert.equal(await file.isLocked(), true);
  await file.release(next);
  assert.equal(await file.isLocked(), false);
});

test('what a process locks again is not given up with what it has closed before', async () => {
  const file = await LockedFile.create();
  const first = await file.open();
  const second = await file.open();
  await file.lock(first, PROCESS);
  await file.close(first, PROCESS);
  assert.equal(await file.isLocked(), false);
  await file.lock(second, PROCESS);
  await file.release(first);
  assert.equal(await file.isLocked(), true);
  await file.close(second, PROCESS);
  assert.equal(await file.isLocked(), false);
  await file.release(second);
});
