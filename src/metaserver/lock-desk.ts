/**
 * Advisory locks of every mount: rules L1 to L6 of docs/PROTOCOL.md. Nothing of it is stored: after
 * a restart the mounts say what they have before anybody else is served.
 */
import type * as wire from '../../gen/meta.ts';
import type { Clock } from '../common/clock.ts';
import { type Lock, LockTable } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import type { Ino, NodeId, SessionId } from '../common/ids.ts';
import { type Delegation, LockDelegations } from './core/lock-delegations.ts';
import { lockFromWire, lockToWire, sidOf } from './lock-wire.ts';
import { isGone, type Session } from './session.ts';
import { EMPTY_RESULT, inoOf, type Result } from './wire.ts';

export type LockOp = Extract<
  NonNullable<wire.Request['op']>,
  { $case: 'lock' | 'unlock' | 'testLock' | 'cancelLock' | 'listLocks' | 'returnLocks' }
>;

const LOCK_OPS: ReadonlySet<string> = new Set<LockOp['$case']>([
  'lock',
  'unlock',
  'testLock',
  'cancelLock',
  'listLocks',
  'returnLocks',
]);

export function isLockOp(op: wire.Request['op']): op is LockOp {
  return op !== undefined && LOCK_OPS.has(op.$case);
}

export interface LockDeskOptions {
  readonly clock: Clock;
  find(sid: SessionId): Session | undefined;
  nameOf(nodeId: NodeId): string;
  /** It is in somebody's way, and nothing was heard of it for too long, or not what was asked for. */
  onOverdue(session: Session): void;
}

/** An operation of a mount, and where its outcome goes. */
export interface LockJob {
  readonly session: Session;
  readonly op: LockOp;
  done(outcome: Result | FsError): void;
}

/** Of all mounts together. */
const LOCKS_MAX = 1_000_000;
const LISTED_MAX = 1_000;

export class LockDesk {
  readonly #options: LockDeskOptions;
  /** Tickets have the session first. About files that are delegated it is not asked. */
  readonly #table = new LockTable<string>();
  readonly #delegations = new LockDelegations<LockJob>();
  /** Requests for locks that were not executed yet. */
  readonly #unexecuted = new Set<LockJob>();
  /** Of these, those that nobody wants any more. */
  readonly #takenBack = new WeakSet<LockJob>();
  /** They wait a moment for mounts to say what was delegated to them. */
  #lists: { readonly job: LockJob; readonly sinceMs: number }[] = [];

  constructor(options: LockDeskOptions) {
    this.#options = options;
  }

  /** It has come, and may have to wait before it is submitted. */
  arrived(job: LockJob): void {
    if (job.op.$case === 'lock') this.#unexecuted.add(job);
  }

  /** @returns whether it waits for another mount */
  submit(job: LockJob): boolean {
    const { op, session } = job;
    if (session.kind !== 'mount') {
      job.done(new FsError('EINVAL', 'only a mount has locks'));
      return false;
    }
    try {
      // It was answered then.
      if (this.#takenBack.has(job)) return false;
      if (this.#isQueued(job)) return true;
      this.#unexecuted.delete(job);
      return this.#run(job);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      job.done(error);
      return false;
    } finally {
      if (op.$case === 'returnLocks') this.#returned(inoOf(op.value.ino));
      this.#send();
    }
  }

  /** How many locks of a file are known here, and who decides about it alone. */
  of(ino: Ino): { held: number; waiting: number; decider: SessionId | undefined } {
    return { ...this.#table.countOf(ino), decider: this.#delegations.of(ino)?.sid };
  }

  /** A stream of the session is open: what it may not have heard is said again. */
  attach({ sid }: Session): void {
    for (const delegation of this.#delegations.called(sid)) this.#call(delegation);
  }

  /** To be called once a second: who has what others wait for, and is gone, is noticed then. */
  sweep(): void {
    const nowMs = this.#options.clock.bootMs();
    const lists = this.#lists;
    this.#lists = lists.filter(({ sinceMs }) => sinceMs === nowMs);
    for (const { job, sinceMs } of lists) if (sinceMs < nowMs) job.done(this.#list());
    const holders = new Set([...this.#table.waitedFor()].map(sidOf));
    for (const sid of [...holders, ...this.#delegations.waitedFor()]) {
      const session = this.#options.find(sid);
      if (session !== undefined && isGone(session, nowMs)) this.#options.onOverdue(session);
    }
    for (const sid of this.#delegations.overdue(nowMs)) {
      const session = this.#options.find(sid);
      if (session !== undefined) this.#options.onOverdue(session);
    }
  }

  /** Nothing of the session is locked any more. */
  drop(sid: SessionId): void {
    const prefix = `${sid} `;
    this.#table.drop((owner) => owner.startsWith(prefix));
    for (const ino of this.#delegations.drop(sid)) this.#returned(ino);
    this.#lists = this.#lists.filter(({ job }) => job.session.sid !== sid);
    for (const job of this.#unexecuted) if (job.session.sid === sid) this.#unexecuted.delete(job);
    this.#send();
  }

  /** It asks about a file whose locks another mount decides about. */
  #isQueued(job: LockJob): boolean {
    const { op, session } = job;
    if (op.$case !== 'lock' && op.$case !== 'testLock') return false;
    const ino = op.value.lock === undefined ? undefined : inoOf(op.value.lock.ino);
    const delegation = ino === undefined ? undefined : this.#delegations.of(ino);
    if (ino === undefined || delegation === undefined || delegation.sid === session.sid)
      return false;
    this.arrived(job);
    const isFirst = this.#delegations.queue(ino, job, this.#options.clock.bootMs());
    if (isFirst) this.#call(delegation);
    return true;
  }

  #run(job: LockJob): boolean {
    const { op, session } = job;
    const { sid } = session;
    switch (op.$case) {
      case 'lock':
        job.done(this.#lock(session, op.value));
        return false;
      case 'unlock':
        this.#table.release(lockFromWire(sid, { ...op.value, write: false, pid: 0 }));
        job.done(EMPTY_RESULT);
        return false;
      case 'testLock':
        job.done(this.#test(sid, lockFromWire(sid, op.value.lock)));
        return false;
      case 'cancelLock': {
        const { ticket } = op.value;
        const isBack = this.#takeBack(sid, ticket);
        const cancelled = this.#table.cancel(`${sid} ${ticket}`) || isBack;
        job.done({ $case: 'cancelLock', value: { cancelled } });
        return false;
      }
      case 'returnLocks':
        this.#take(sid, op.value);
        job.done(EMPTY_RESULT);
        return false;
      case 'listLocks':
        return this.#listSoon(job);
    }
  }

  #lock(session: Session, request: wire.LockRequest): Result {
    const { sid } = session;
    const lock = lockFromWire(sid, request.lock);
    if (this.#table.count >= LOCKS_MAX) throw new FsError('ENOLCK', `over ${LOCKS_MAX} locks`);
    const ticket = request.tries ? undefined : `${sid} ${request.ticket}`;
    const outcome = this.#table.acquire(lock, ticket);
    // Before its mount is let decide: it has to know of all that its programs have.
    this.#send();
    if (outcome === 'conflict') throw new FsError('EAGAIN', `ino ${lock.ino} is locked`);
    if (outcome === 'deadlock') {
      throw new FsError('EDEADLK', `a lock on ino ${lock.ino} would be waited for in a circle`);
    }
    const waits = outcome === 'waits';
    // After a restart others may not have said yet what they have.
    const isSure = !waits && !request.again;
    const delegation = isSure ? this.#delegate(session, lock.ino) : undefined;
    return { $case: 'lock', value: { waits, delegation: BigInt(delegation ?? 0) } };
  }

  /** A mount that alone has locked a file decides about it, until somebody else asks. */
  #delegate({ sid }: Session, ino: Ino): number | undefined {
    const prefix = `${sid} `;
    const isAlone = this.#table.areAll(ino, (owner) => owner.startsWith(prefix));
    return isAlone ? this.#delegations.give(ino, sid, this.#options.clock.bootMs()) : undefined;
  }

  /** All that a mount has locked of a file about which it decided. */
  #take(sid: SessionId, { delegation, ino: wireIno, locks }: wire.ReturnLocksRequest): void {
    const ino = inoOf(wireIno);
    const taken = locks.map((lock) => lockFromWire(sid, lock));
    if (!this.#delegations.take(ino, sid, Number(delegation))) return;
    // Who does not know of it has decided nothing.
    if (delegation === 0n) return;
    const prefix = `${sid} `;
    const own = taken.filter((lock) => lock.ino === ino);
    this.#table.replace(ino, (owner) => owner.startsWith(prefix), own);
  }

  /** It is never executed, and answered now: unanswered it would come again. */
  #takeBack(sid: SessionId, ticket: bigint): boolean {
    let found = false;
    for (const job of this.#unexecuted) {
      const isIt = job.op.$case === 'lock' && job.op.value.ticket === ticket;
      if (!isIt || job.session.sid !== sid) continue;
      this.#unexecuted.delete(job);
      this.#takenBack.add(job);
      job.done(new FsError('EINTR', 'the request was taken back'));
      found = true;
    }
    return found;
  }

  /** What waited for a mount to say what it has goes on. */
  #returned(ino: Ino): void {
    if (this.#delegations.of(ino) !== undefined) return;
    for (const job of this.#delegations.takeQueue(ino)) {
      if (!job.session.ended) this.submit(job);
    }
    if (this.#delegations.count === 0) {
      for (const { job } of this.#lists) job.done(this.#list());
      this.#lists = [];
    }
  }

  #test(sid: SessionId, lock: Lock): Result {
    const found = this.#table.test(lock);
    if (found === undefined) return { $case: 'testLock', value: { lock: undefined, own: false } };
    const own = sidOf(found.owner) === sid;
    return { $case: 'testLock', value: { lock: lockToWire(found), own } };
  }

  /** Mounts say what was delegated to them; who does not soon is shown as it was. */
  #listSoon(job: LockJob): boolean {
    const nowMs = this.#options.clock.bootMs();
    for (const delegation of this.#delegations.all()) {
      if (this.#delegations.queue(delegation.ino, undefined, nowMs)) this.#call(delegation);
    }
    if (this.#delegations.count > 0) {
      this.#lists.push({ job, sinceMs: nowMs });
      return true;
    }
    job.done(this.#list());
    return false;
  }

  #list(): Result {
    const locks: wire.ListedLock[] = [];
    let truncated = false;
    for (const { lock, waits } of this.#table.all()) {
      truncated = locks.length === LISTED_MAX;
      if (truncated) break;
      const nodeId = this.#options.find(sidOf(lock.owner))?.nodeId;
      const nodeName = nodeId === undefined ? '' : this.#options.nameOf(nodeId);
      locks.push({ lock: lockToWire(lock), nodeName, waits });
    }
    return { $case: 'listLocks', value: { locks, truncated } };
  }

  #call({ ino, sid }: Delegation): void {
    const value = { ino: BigInt(ino) };
    this.#options.find(sid)?.sink?.push({ $case: 'lockRecall', value });
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
