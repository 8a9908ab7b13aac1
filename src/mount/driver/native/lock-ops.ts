/** Advisory locks: GETLK, SETLK and SETLKW. */
import type { Lock, LockPlace } from '../../../common/core/locks.ts';
import { FsError } from '../../../common/errno.ts';
import type { LockOperations } from '../driver.ts';
import { F_RDLCK, F_UNLCK, F_WRLCK, LK_FLOCK, LK_OUT_BYTES } from './abi.ts';
import type { Encode, FuseConnection, KernelRequest } from './connection.ts';

const nothing: Encode<void> = () => 0;

function locksOf({ fs }: FuseConnection): LockOperations {
  if (fs.locks === undefined) throw new FsError('ENOSYS', 'locks are the business of the kernel');
  return fs.locks;
}

/**
 * What fuse_lk_in is about. What is locked by flock(2) belongs to the handle: the kernel may number
 * an open file as one that was closed before, and say only later that the latter is released.
 */
function placeOf({ view }: FuseConnection): LockPlace {
  view.need(48);
  const isFlock = (view.u32(40) & LK_FLOCK) !== 0;
  return {
    ino: view.nodeid,
    kind: isFlock ? 'flock' : 'posix',
    owner: isFlock ? String(view.fh(0)) : String(view.big(8)),
    start: view.big(16),
    end: view.big(24),
  };
}

function lockOf(fuse: FuseConnection): Lock {
  const type = fuse.view.u32(32);
  if (type !== F_RDLCK && type !== F_WRLCK) throw new FsError('EINVAL', `a lock of type ${type}`);
  return {
    ...placeOf(fuse),
    type: type === F_WRLCK ? 'write' : 'read',
    pid: fuse.view.u32(36),
  };
}

/** fuse_lk_out */
const found: Encode<Lock | undefined> = (reply, lock) => {
  reply.zero(0, LK_OUT_BYTES);
  if (lock === undefined) reply.u32(16, F_UNLCK);
  else {
    reply.big(0, lock.start);
    reply.big(8, lock.end);
    reply.u32(16, lock.type === 'write' ? F_WRLCK : F_RDLCK);
    reply.u32(20, lock.pid);
  }
  return LK_OUT_BYTES;
};

export function getlk(fuse: FuseConnection, request: KernelRequest): void {
  fuse.finish(request, locksOf(fuse).getlk(request, lockOf(fuse)), found);
}

function set(fuse: FuseConnection, request: KernelRequest, waits: boolean): void {
  const locks = locksOf(fuse);
  if (fuse.view.u32(32) === F_UNLCK)
    fuse.finish(request, locks.unlock(request, placeOf(fuse)), nothing);
  else {
    const done = locks.setlk(request, fuse.view.fh(0), lockOf(fuse), waits);
    fuse.finish(request, done, nothing);
  }
}

export function setlk(fuse: FuseConnection, request: KernelRequest): void {
  set(fuse, request, false);
}

export function setlkw(fuse: FuseConnection, request: KernelRequest): void {
  set(fuse, request, true);
}
