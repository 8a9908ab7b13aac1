/** Advisory locks: flock(2) and fcntl(2). They are the metaserver's; see ../locks.ts. */
import type { Lock, LockPlace } from '../../common/core/locks.ts';
import { FsError } from '../../common/errno.ts';
import type { LockOperations, RequestContext } from '../driver/driver.ts';
import type { VfsShared } from './shared.ts';

export class LockOps implements LockOperations {
  readonly #shared: VfsShared;

  constructor(shared: VfsShared) {
    this.#shared = shared;
  }

  getlk(context: RequestContext, lock: Lock): Promise<Lock | undefined> {
    return this.#shared.locks.test(context, lock);
  }

  async setlk(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    const inode = this.#shared.inodes.get(lock.ino);
    if (inode?.locksLost === true) {
      throw new FsError('EIO', `locks on ino ${lock.ino} were lost: close it first`);
    }
    await this.#shared.locks.lock(context, lock, waits);
  }

  unlock(_context: RequestContext, place: LockPlace): Promise<void> {
    return this.#shared.locks.unlock(place);
  }
}
