/**
 * Runs operations when the leases of others allow it, and carries messages about leases between
 * the table and the sessions. Everything is synchronous: an operation runs at one instant.
 */
import type { Clock } from '../common/clock.ts';
import type { Ino, SessionId } from '../common/ids.ts';
import { Glimpses, type Unpublished, type WriteLease } from './core/glimpses.ts';
import type { Claim, LeaseTable, Ticket, Waiting } from './core/leases.ts';
import type { ReleaseMessage, TakenGrant } from './lease-ops.ts';
import { isGone, type Session } from './session.ts';

/** An operation of a session. */
export interface Job {
  readonly session: Session;
  /** Of its request, on the stream of the session. */
  readonly id: bigint;
  /** It is after a lease. */
  readonly asks: boolean;
  /** It wants to know attributes only. */
  readonly looks: boolean;
  /** Worked out anew whenever it may run. */
  claims(): readonly Claim[];
  /**
   * Not called when its process is gone by then.
   * @param unpublished of the file it looks at: what somebody else has written
   */
  run(unpublished?: Unpublished): void;
}

export interface LeaseDeskOptions {
  readonly table: LeaseTable;
  readonly clock: Clock;
  find(sid: SessionId): Session | undefined;
  /** The session is in somebody's way and does not answer. */
  onOverdue(session: Session): void;
}

export class LeaseDesk {
  readonly table: LeaseTable;
  readonly #options: LeaseDeskOptions;
  readonly #jobs = new Map<number, Job>();
  readonly #glimpses = new Glimpses<Job>();
  #pumping = false;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
    this.table = options.table;
  }

  /** Operations that wait for a lease of somebody. */
  get waitingCount(): number {
    return this.#jobs.size + this.#glimpses.count;
  }

  /** An operation of a session that waits, as it stands at this moment. */
  waiting({ sid }: Session, id: bigint): Waiting | undefined {
    for (const [place, job] of this.#jobs) {
      if (job.id === id && job.session.sid === sid) return { ...ticketOf(job), place };
    }
    return undefined;
  }

  /** Runs it now, or when nobody is in its way any more. @returns whether it waits */
  submit(job: Job): boolean {
    const ticket = ticketOf(job);
    const lease = job.looks ? this.table.glimpse(ticket) : undefined;
    return (lease !== undefined && this.#glimpse(job, lease)) || this.#queue(job, ticket);
  }

  #queue(job: Job, ticket: Ticket): boolean {
    const admitted = this.table.admits(ticket, this.#nowMs);
    const place = admitted ? undefined : this.table.wait(ticket).place;
    if (place === undefined) job.run();
    else this.#jobs.set(place, job);
    this.pump();
    return place !== undefined && this.#jobs.has(place);
  }

  /** @returns false when nobody can be asked */
  #glimpse(job: Job, lease: WriteLease): boolean {
    const sink = this.#options.find(lease.sid)?.sink;
    if (sink === undefined) return false;
    const id = BigInt(this.#glimpses.ask(job, lease, this.#nowMs));
    const value = { id, ino: BigInt(lease.ino), lseq: BigInt(lease.lseq) };
    sink.push({ $case: 'glimpse', value });
    return true;
  }

  /** A session says what it has not published of a file; undefined: it is to be called. */
  glimpsed({ id, ...lease }: WriteLease & { id: number }, unpublished?: Unpublished): void {
    const job = this.#glimpses.answered(id, lease);
    if (job === undefined) return;
    const ticket = ticketOf(job);
    // Names may lead elsewhere by now, and the lease may be another one's.
    const held = this.table.glimpse(ticket);
    const isHeld = held?.sid === lease.sid && held.ino === lease.ino && held.lseq === lease.lseq;
    if (unpublished !== undefined && isHeld) job.run(unpublished);
    else this.#queue(job, ticket);
  }

  release(session: Session, releases: readonly ReleaseMessage[]): void {
    for (const release of releases) {
      if (release.progress) this.table.progress(session.sid, release.ino, this.#nowMs);
      else this.table.release(session.sid, release);
    }
    this.pump();
  }

  /** The reply with these has left, or never will. */
  told(session: Session, grants: readonly TakenGrant[]): void {
    for (const { ino, lseq } of grants) this.table.told(session.sid, ino, lseq);
    this.#send();
  }

  settled(session: Session, open: readonly Ino[]): void {
    this.table.settled(session.sid, open);
    this.pump();
  }

  closed(session: Session, inos: readonly Ino[]): void {
    for (const ino of inos) this.table.closed(session.sid, ino);
  }

  /** A stream of the session is open. */
  attach(session: Session): void {
    this.table.resend(session.sid);
    this.#send();
  }

  /** Another process goes on with the session. */
  handOver({ sid }: Session): void {
    for (const place of this.table.handOver(sid, this.#nowMs)) this.#jobs.delete(place);
    this.#glimpses.drop((job) => job.session.sid === sid);
    this.pump();
  }

  /** Nothing of the session can happen any more. */
  drop(sid: SessionId): void {
    this.table.drop(sid);
    this.pump();
  }

  /** To be called once a second. */
  sweep(): void {
    const nowMs = this.#nowMs;
    for (const job of this.#glimpses.overdue(nowMs)) this.#queue(job, ticketOf(job));
    const gone = (sid: SessionId): boolean => {
      const session = this.#options.find(sid);
      return session === undefined || isGone(session, nowMs);
    };
    for (const sid of this.table.overdue(nowMs, gone)) {
      const session = this.#options.find(sid);
      if (session !== undefined) this.#options.onOverdue(session);
    }
  }

  /** Runs whatever may run now. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const ready = this.table.next(this.#nowMs);
        if (ready === undefined) break;
        this.#retry(ready.place);
      }
    } finally {
      this.#pumping = false;
    }
    this.#send();
  }

  /** Names may lead elsewhere by now: an operation whose claims have grown waits on. */
  #retry(place: number): void {
    const job = this.#jobs.get(place);
    if (job === undefined) return;
    const ticket = ticketOf(job);
    if (!this.table.admits(ticket, this.#nowMs, place)) {
      this.table.wait(ticket, place);
      return;
    }
    this.#jobs.delete(place);
    job.run();
  }

  #send(): void {
    for (const { sid, ino, lseq, keep } of this.table.takeEffects()) {
      const value = { ino: BigInt(ino), lseq: BigInt(lseq), keepShared: keep === 'shared' };
      this.#options.find(sid)?.sink?.push({ $case: 'recall', value });
    }
  }

  get #nowMs(): number {
    return this.#options.clock.bootMs();
  }
}

function ticketOf(job: Job): Ticket {
  return { sid: job.session.sid, claims: job.claims(), asks: job.asks };
}
