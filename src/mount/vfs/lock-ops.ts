/** Advisory locks: flock(2) and fcntl(2). They are the metaserver's; see ../locks.ts. */
import type { Lock, LockPlace } from '../../common/core/locks.ts';
import { FsError } from '../../common/errno.ts';
import type { Fh } from '../../common/ids.ts';
import type { LockOperations, RequestContext } from '../driver/driver.ts';
import type { FileOps } from './file-ops.ts';
import type { VfsShared } from './shared.ts';

export class LockOps implements LockOperations {
  readonly #shared: VfsShared;
  readonly #files: FileOps;

  constructor(shared: VfsShared, files: FileOps) {
    this.#shared = shared;
    this.#files = files;
  }

  getlk(context: RequestContext, lock: Lock): Promise<Lock | undefined> {
    return this.#shared.locks.test(context, lock);
  }

  async setlk(context: RequestContext, fh: Fh, lock: Lock, waits: boolean): Promise<void> {
    const inode = this.#shared.inodes.get(lock.ino);
    if (inode?.locksLost === true) {
      throw new FsError('EIO', `locks on ino ${lock.ino} were lost: close it first`);
    }
    if (lock.kind === 'posix') this.#files.lockedBy(fh, lock.owner);
    await this.#shared.locks.lock(context, lock, waits);
  }

  unlock(_context: RequestContext, place: LockPlace): Promise<void> {
    return this.#shared.locks.unlock(place);
  }
}
