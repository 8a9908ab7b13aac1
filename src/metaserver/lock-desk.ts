/**
 * Advisory locks of every mount: rules L1 to L5 of docs/PROTOCOL.md. Nothing of it is stored: after
 * a restart the mounts say what they have before anybody else is served.
 */
import type * as wire from '../../gen/meta.ts';
import type { Clock } from '../common/clock.ts';
import { type Lock, LockTable, WHOLE_FILE } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import type { NodeId, SessionId } from '../common/ids.ts';
import { isGone, type Session } from './session.ts';
import { EMPTY_RESULT, inoOf, type Result } from './wire.ts';

export type LockOp = Extract<
  NonNullable<wire.Request['op']>,
  { $case: 'lock' | 'unlock' | 'testLock' | 'cancelLock' | 'listLocks' }
>;

export interface LockDeskOptions {
  readonly clock: Clock;
  find(sid: SessionId): Session | undefined;
  nameOf(nodeId: NodeId): string;
  /** It is in somebody's way, and nothing was heard of it for too long. */
  onOverdue(session: Session): void;
}

/** Of all mounts together. */
const LOCKS_MAX = 1_000_000;
const LISTED_MAX = 1_000;

export class LockDesk {
  readonly #options: LockDeskOptions;
  /** Tickets have the session first. */
  readonly #table = new LockTable<string>();

  constructor(options: LockDeskOptions) {
    this.#options = options;
  }

  /** @throws FsError EAGAIN, EDEADLK, EINVAL, ENOLCK */
  run(session: Session, op: LockOp): Result {
    if (session.kind !== 'mount') throw new FsError('EINVAL', 'only a mount has locks');
    try {
      return this.#run(session, op);
    } finally {
      this.#send();
    }
  }

  /** To be called once a second: who has what others wait for, and is gone, is noticed then. */
  sweep(): void {
    const sids = new Set([...this.#table.waitedFor()].map(sidOf));
    for (const sid of sids) {
      const session = this.#options.find(sid);
      if (session !== undefined && isGone(session, this.#options.clock.bootMs())) {
        this.#options.onOverdue(session);
      }
    }
  }

  /** Nothing of the session is locked any more. */
  drop(sid: SessionId): void {
    const prefix = `${sid} `;
    this.#table.drop((owner) => owner.startsWith(prefix));
    this.#send();
  }

  #run(session: Session, op: LockOp): Result {
    const { sid } = session;
    switch (op.$case) {
      case 'lock':
        return this.#lock(lockOf(sid, op.value.lock), `${sid} ${op.value.ticket}`, op.value);
      case 'unlock':
        this.#table.release(lockOf(sid, { ...op.value, write: false, pid: 0 }));
        return EMPTY_RESULT;
      case 'testLock':
        return this.#test(sid, lockOf(sid, op.value.lock));
      case 'cancelLock': {
        const cancelled = this.#table.cancel(`${sid} ${op.value.ticket}`);
        return { $case: 'cancelLock', value: { cancelled } };
      }
      case 'listLocks':
        return this.#list();
    }
  }

  #lock(lock: Lock, ticket: string, request: wire.LockRequest): Result {
    if (this.#table.count >= LOCKS_MAX) throw new FsError('ENOLCK', `over ${LOCKS_MAX} locks`);
    const waits = request.ticket !== 0n;
    const outcome = this.#table.acquire(lock, waits ? ticket : undefined);
    if (outcome === 'conflict') throw new FsError('EAGAIN', `ino ${lock.ino} is locked`);
    if (outcome === 'deadlock') {
      throw new FsError('EDEADLK', `a lock on ino ${lock.ino} would be waited for in a circle`);
    }
    return { $case: 'lock', value: { waits: outcome === 'waits' } };
  }

  #test(sid: SessionId, lock: Lock): Result {
    const found = this.#table.test(lock);
    if (found === undefined) return { $case: 'testLock', value: { lock: undefined, own: false } };
    const own = sidOf(found.owner) === sid;
    return { $case: 'testLock', value: { lock: toWire(found), own } };
  }

  #list(): Result {
    const locks: wire.ListedLock[] = [];
    let truncated = false;
    for (const { lock, waits } of this.#table.all()) {
      truncated = locks.length === LISTED_MAX;
      if (truncated) break;
      const nodeId = this.#options.find(sidOf(lock.owner))?.nodeId;
      const nodeName = nodeId === undefined ? '' : this.#options.nameOf(nodeId);
      locks.push({ lock: toWire(lock), nodeName, waits });
    }
    return { $case: 'listLocks', value: { locks, truncated } };
  }

  /** Whoever has a lock now is told; whom that does not reach asks once more. */
  #send(): void {
    for (const granted of this.#table.takeGranted()) {
      const ticket = BigInt(granted.slice(granted.indexOf(' ') + 1));
      const sink = this.#options.find(sidOf(granted))?.sink;
      sink?.push({ $case: 'lockGranted', value: { ticket } });
    }
  }
}

/** Of an owner, or of a ticket. */
function sidOf(text: string): SessionId {
  return Number(text.slice(0, text.indexOf(' '))) as SessionId;
}

function lockOf(sid: SessionId, lock: wire.FileLock | undefined): Lock {
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

function toWire({ end, ino, kind, owner, pid, start, type }: Lock): wire.FileLock {
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
