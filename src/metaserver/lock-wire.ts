/** Locks as messages have them, checked. An owner of the table has its session first. */
import type * as wire from '../../gen/meta.ts';
import { type Lock, WHOLE_FILE } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import { asSessionId, type SessionId } from '../common/ids.ts';
import { inoOf } from './wire.ts';

/** Of an owner, or of a ticket. */
export function sidOf(text: string): SessionId {
  return asSessionId(Number(text.slice(0, text.indexOf(' '))));
}

/** @throws FsError EPROTO, EINVAL */
export function lockFromWire(sid: SessionId, lock: wire.FileLock | undefined): Lock {
  if (lock === undefined) throw new FsError('EPROTO', 'a lock is missing');
  const { end, flock, owner, pid, start, write } = lock;
  if (start > end || end > WHOLE_FILE.end) throw new FsError('EINVAL', `a range ${start}-${end}`);
  return {
    ino: inoOf(lock.ino),
    kind: flock ? 'flock' : 'posix',
    type: write ? 'write' : 'read',
    owner: `${sid} ${owner}`,
    start,
    end,
    pid,
  };
}

export function lockToWire({ end, ino, kind, owner, pid, start, type }: Lock): wire.FileLock {
  return {
    ino: BigInt(ino),
    flock: kind === 'flock',
    write: type === 'write',
    owner: BigInt(owner.slice(owner.indexOf(' ') + 1)),
    start,
    end,
    pid,
  };
}
