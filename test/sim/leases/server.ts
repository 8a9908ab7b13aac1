/**
 * The fake metaserver around the real LeaseTable: runs operations when the table admits them,
 * delays replies until their writes are on disk, evicts, and restarts.
 */
import type { Ino, SessionId } from '../../../src/common/ids.ts';
import type { Claim, LeaseTable, Ticket } from '../../../src/metaserver/core/leases.ts';
import { Violation } from './checker.ts';
import { Evictions } from './evictions.ts';
import { Glimpsing } from './glimpses.ts';
import type { ReleaseMessage, Reply, Request } from './messages.ts';
import type { Mount } from './mount.ts';
import type { Stream } from './network.ts';
import { claimsOf, grantsOf, isChange, leavesMs, runOp, touched } from './operations.ts';
import { newSession, type Session } from './sessions.ts';
import { Tree } from './tree.ts';
import type { World } from './world.ts';

export interface Job {
  readonly session: Session;
  readonly request: Request;
  /** What it waits for. */
  claims: readonly Claim[];
}

export const SERVER = 0;

/** The session a mount comes back to, and the lives that may have it. */
interface Following {
  readonly sid: SessionId | 0;
  readonly follows: readonly number[];
}

export class Server {
  readonly world: World;
  readonly tree: Tree;
  readonly sessions = new Map<SessionId, Session>();
  readonly evictions: Evictions;
  readonly #glimpsing: Glimpsing;
  table: LeaseTable;
  epoch = 1;
  isUp = true;
  #jobs = new Map<number, Job>();
  #nextSid = 1;
  #commitMs = 0;

  constructor(world: World) {
    this.world = world;
    this.tree = new Tree(world.checker);
    this.table = world.parts.table({ epoch: this.epoch, unsure: [], nowMs: 0 });
    this.evictions = new Evictions(world, this);
    this.#glimpsing = new Glimpsing(this);
  }

  // Sessions.

  /** A mount calls: its session goes on, or it gets a new one. */
  hello(mount: Mount, following: Following, stream: Stream): void {
    if (!this.isUp) return;
    const { world, epoch } = this;
    const known = this.#known(mount, following);
    if (known !== undefined) {
      if (known.evicting || known.ended) {
        stream.down(() => mount.node.run(() => mount.link.evicted(known.sid)));
        return;
      }
      world.tally.count('session resumed');
      known.heardMs = world.queue.nowMs;
      if (known.stream !== undefined) known.stream.isOpen = false;
      known.stream = stream;
      const told = { ...known };
      stream.down(() => mount.node.run(() => mount.link.welcome(stream, told, epoch)));
      this.table.resend(known.sid);
      this.push();
      return;
    }
    for (const old of this.sessions.values()) {
      if (old.mount === mount && !old.ended) {
        old.confirmed = true;
        this.evictions.begin(old, 'another life');
      }
    }
    const fresh = newSession(this.#nextSid as SessionId, mount, world.queue.nowMs);
    this.#nextSid += 1;
    this.sessions.set(fresh.sid, fresh);
    fresh.stream = stream;
    stream.down(() => mount.node.run(() => mount.link.welcome(stream, fresh, epoch)));
  }

  /** The session it comes back to or goes on with; that may be over. */
  #known(mount: Mount, { sid, follows }: Following): Session | undefined {
    const found = sid === 0 ? undefined : this.sessions.get(sid);
    if (found === undefined) return undefined;
    if (!follows.includes(found.life)) return found.life === mount.life ? found : undefined;
    return found.evicting || found.ended ? found : this.#handOver(found, mount);
  }

  /** C16: another process of the node goes on with the session. */
  #handOver(before: Session, mount: Mount): Session {
    this.world.tally.count('C16 handed over');
    const { sid, sepoch } = before;
    const session: Session = {
      ...newSession(sid, mount, this.world.queue.nowMs),
      sepoch: sepoch + 1,
    };
    before.ended = true;
    this.sessions.set(sid, session);
    for (const place of this.table.handOver(sid, this.world.queue.nowMs)) this.#jobs.delete(place);
    this.#glimpsing.drop(sid);
    for (const [ino, inode] of this.tree.inodes) {
      inode.openers.delete(sid);
      this.#reap(ino);
    }
    this.pump();
    return session;
  }

  /** @returns whether the session is alive; undefined while nobody answers */
  keepAlive(sid: SessionId): boolean | undefined {
    const session = this.sessions.get(sid);
    if (!this.isUp || session === undefined) return undefined;
    if (session.evicting || session.ended) return false;
    session.heardMs = this.world.queue.nowMs;
    return true;
  }

  isGone(sid: SessionId): boolean {
    const session = this.sessions.get(sid);
    if (session === undefined || session.ended) return true;
    return this.world.queue.nowMs >= session.heardMs + this.world.parts.serverLeaseMs;
  }

  /** Once a second. */
  sweep(): void {
    if (!this.isUp) return;
    const nowMs = this.world.queue.nowMs;
    this.#glimpsing.sweep();
    for (const sid of this.table.overdue(nowMs, (sid) => this.isGone(sid))) {
      const session = this.sessions.get(sid);
      if (session === undefined || session.evicting) continue;
      if (!this.isGone(sid)) this.world.expectNoEviction(session.mount);
      this.evictions.begin(session, this.isGone(sid) ? 'gone' : 'no answer');
    }
    this.evictions.sweep();
  }

  /** The leases of an evicted session fall. */
  drop(session: Session): void {
    session.ended = true;
    this.table.drop(session.sid);
    for (const [ino, inode] of this.tree.inodes) {
      if (inode.openers.delete(session.sid)) this.#reap(ino);
    }
    for (const ino of this.tree.inodes.keys()) this.#reap(ino);
    this.pump();
  }

  crash(): void {
    this.isUp = false;
    for (const session of this.sessions.values()) {
      if (session.stream !== undefined) this.world.breakStream(session.stream);
      session.stream = undefined;
      session.pending.clear();
    }
    this.#jobs.clear();
  }

  restart(): void {
    this.isUp = true;
    this.epoch += 1;
    this.#glimpsing.restart();
    const live = [...this.sessions.values()].filter(({ ended }) => !ended);
    for (const session of live) {
      session.heardMs = this.world.queue.nowMs;
      // What it held is not known any more.
      if (session.evicting) this.evictions.everywhere(session);
    }
    this.table = this.world.parts.table({
      epoch: this.epoch,
      unsure: live.map(({ sid }) => sid),
      nowMs: this.world.queue.nowMs,
    });
    this.world.tally.count(live.length > 0 ? 'C13 unsure phase' : 'restart without sessions');
  }

  // Operations.

  submit(sid: SessionId, request: Request): void {
    const session = this.sessions.get(sid);
    if (session === undefined || !this.isUp || session.evicting || session.ended) return;
    if (session.pending.has(request.id)) return;
    const cached = session.replies.get(request.id);
    if (cached !== undefined) {
      // Grants of an earlier life of the server are not known to this one.
      const isOld = cached.epoch !== this.epoch;
      this.world.tally.count(isOld ? 'reply of an earlier life' : 'reply of the cache');
      this.#send(session, isOld ? { ...cached, grants: [] } : cached);
      return;
    }
    session.pending.add(request.id);
    const job: Job = { session, request, claims: [] };
    if (request.body.op === 'glimpsed') this.#glimpsing.answered(sid, request.body);
    if (!this.#glimpsing.ask(job)) this.wait(job);
  }

  /** Runs it now, or when nobody is in its way any more. */
  wait(job: Job): void {
    const ticket = this.ticket(job);
    if (this.table.admits(ticket, this.world.queue.nowMs)) this.run(job);
    else {
      this.world.tally.count('waits');
      this.#jobs.set(this.table.wait(ticket).place, job);
    }
    this.pump();
  }

  release(sid: SessionId, release: ReleaseMessage): void {
    const session = this.sessions.get(sid);
    if (session === undefined || !this.isUp || session.evicting || session.ended) return;
    const kind = this.table.kindOf(session.sid, release.ino);
    this.table.release(session.sid, release);
    const gone = kind !== undefined && this.table.kindOf(session.sid, release.ino) !== kind;
    this.world.tally.count(gone ? `release keep ${release.keep}` : 'release without effect');
    this.pump();
  }

  progress(sid: SessionId, ino: Ino): void {
    if (!this.isUp) return;
    this.world.tally.count('progress');
    this.table.progress(sid, ino, this.world.queue.nowMs);
  }

  pump(): void {
    for (;;) {
      const ready = this.table.next(this.world.queue.nowMs);
      if (ready === undefined) break;
      const job = this.#jobs.get(ready.place);
      if (job === undefined) throw new Error('an operation nobody waits for');
      const ticket = this.ticket(job);
      if (!this.table.admits(ticket, this.world.queue.nowMs, ready.place)) {
        this.world.tally.count('claims have grown');
        this.table.wait(ticket, ready.place);
        continue;
      }
      this.#jobs.delete(ready.place);
      this.run(job);
    }
    this.push();
    this.world.checkHolders();
  }

  /** C3: what is granted out of turn must not stand in the way of who waits to change it. */
  checkTurn(sid: SessionId, ino: Ino): void {
    for (const job of this.#jobs.values()) {
      if (job.session.sid === sid || job.session.ended) continue;
      if (!job.claims.some((claim) => claim.ino === ino && claim.kind === 'exclusive')) continue;
      throw new Violation(
        `S5: ${ino} is granted to s${sid} while s${job.session.sid} waits for it`,
      );
    }
  }

  /** Sends what the table wants back. */
  push(): void {
    for (const { sid, ino, lseq, keep } of this.table.takeEffects()) {
      const session = this.sessions.get(sid);
      if (session?.stream === undefined) {
        this.world.tally.count('recall without a stream');
        continue;
      }
      const { mount, stream } = session;
      this.world.log(() => `M recalls ${ino} lseq ${lseq} of s${sid}, keep ${keep}`);
      this.world.tally.count(`recall keep ${keep}`);
      stream.down(() => mount.node.run(() => mount.link.recalled(stream, { ino, lseq, keep })));
    }
  }

  ticket(job: Job): Ticket {
    const { session, request } = job;
    job.claims = session.ended ? [] : claimsOf(this.tree, request.body);
    return { sid: session.sid, claims: job.claims, asks: request.body.op === 'ask' };
  }

  /** @param size what its writer has told, when it looks at a file */
  run({ session, request }: Job, size = 0): void {
    if (session.evicting || session.ended) return;
    const { world, tree } = this;
    const outcome = world.parts.look(runOp(this, session, request.body), size);
    const grants =
      outcome.error === undefined ? grantsOf(this, session, request.body, outcome) : [];
    const reply: Reply = { ...outcome, id: request.id, epoch: this.epoch, grants };
    world.log(() => `M runs ${JSON.stringify(request.body)} of s${session.sid}: ${shown(reply)}`);
    world.tally.count(`M ${request.body.op} ${outcome.error ?? 'done'}`);
    for (const ino of touched(request.body, outcome)) this.#reap(ino);
    if (isChange(request.body)) {
      this.#commitMs = Math.max(this.#commitMs, world.queue.nowMs + 3 * world.random.next() ** 2);
      for (const ino of touched(request.body, outcome)) {
        const inode = tree.inode(ino);
        if (inode !== undefined) inode.durableMs = this.#commitMs;
      }
      session.replies.set(request.id, reply);
    }
    const leaveMs = isChange(request.body) ? this.#commitMs : leavesMs(tree, request.body, outcome);
    if (leaveMs <= world.queue.nowMs) this.#leave(session, reply);
    else {
      const { epoch } = this;
      world.queue.at(leaveMs, () => {
        if (this.epoch === epoch && this.isUp) this.#leave(session, reply);
      });
    }
  }

  #leave(session: Session, reply: Reply): void {
    session.pending.delete(reply.id);
    this.#send(session, reply);
  }

  #send(session: Session, reply: Reply): void {
    const { mount, stream } = session;
    if (stream !== undefined) {
      stream.down(() => mount.node.run(() => mount.link.replied(stream, reply)));
    }
    for (const { ino, grant } of reply.grants) this.table.told(session.sid, ino, grant.lseq);
    this.push();
  }

  /** An inode without a name goes when nobody has it open. */
  #reap(ino: Ino): void {
    const inode = this.tree.inode(ino);
    if (inode === undefined || inode.links > 0) return;
    if (inode.openers.size > 0 || this.table.openers(ino).length > 0) return;
    if (this.table.unsure.size > 0) return;
    for (const { mount, sid, ended, evicting } of this.sessions.values()) {
      if (ended || evicting || mount.link.sid !== sid || !mount.handles.isOpen(ino)) continue;
      throw new Violation(`S7: inode ${ino} goes while ${mount.name} has it open`);
    }
    this.world.tally.count('inode gone');
    this.tree.inodes.delete(ino);
  }
}

function shown({ error, ino, grants, attr }: Reply): string {
  const given = grants.map(({ ino: of, grant }) => `${of} ${grant.kind} ${grant.lseq}`).join(' ');
  return `${error ?? 'done'} ino ${ino} ${attr ? `m${attr.mode} s${attr.size}` : ''} [${given}]`;
}
