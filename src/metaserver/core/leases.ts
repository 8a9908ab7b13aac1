/**
 * Who may remember or change which inode, and who waits for it: rules C1 to C6 of
 * docs/PROTOCOL.md. An operation runs at one instant, when nobody else has a lease in its way; it
 * waits in the order of arrival, holds nothing meanwhile, and keeps others from being granted what
 * it waits for. Messages to holders are collected as effects.
 */
import { assert } from '../../common/assert.ts';
import type { Ino, SessionId } from '../../common/ids.ts';
import { conflict, covers, type Grant, type Keep, type LeaseKind } from '../../common/lease.ts';
import type { WriteLease } from './glimpses.ts';

/** What an operation needs of an inode at the moment it runs. */
export interface Claim {
  readonly ino: Ino;
  readonly kind: LeaseKind;
}

/** An operation that wants to run. */
export interface Ticket {
  readonly sid: SessionId;
  readonly claims: readonly Claim[];
  /** It wants the lease itself, and so waits its turn. */
  readonly asks: boolean;
}

export interface Waiting extends Ticket {
  /** Its place; smaller came earlier. */
  readonly place: number;
}

/** To be sent to a holder. */
export interface RecallEffect {
  readonly sid: SessionId;
  readonly ino: Ino;
  readonly lseq: number;
  readonly keep: Keep;
}

export interface Release {
  readonly ino: Ino;
  readonly lseq: number;
  readonly keep: Keep;
  /** The session has the file open. */
  readonly open: boolean;
}

interface Recall {
  readonly keep: Keep;
  readonly sinceMs: number;
  readonly deadlineMs: number;
}

export interface Holder extends Grant {
  /** The reply that carries the grant has left: a recall sent now comes after it. */
  readonly told: boolean;
  readonly recall: Recall | undefined;
}

interface Entry extends InodeLeases {
  readonly holders: Map<SessionId, Holder>;
  readonly waiting: Waiting[];
  /** They gave up their lease with the file open. */
  readonly openers: Set<SessionId>;
}

/** Of one inode, to be looked at only. */
export interface InodeLeases {
  readonly holders: ReadonlyMap<SessionId, Holder>;
  /** By place. */
  readonly waiting: readonly Waiting[];
}

export const RECALL_MS = 10_000;
export const RECALL_MS_MAX = 60_000;
/** Grants of one life of the server; the shard epoch stands before them. */
const LSEQS_PER_EPOCH = 2 ** 33;

export class LeaseTable {
  readonly #entries = new Map<Ino, Entry>();
  readonly #held = new Map<SessionId, Set<Ino>>();
  /** Inodes whose lease was called back and not given up, by session. */
  readonly #recalled = new Map<SessionId, Set<Ino>>();
  /** Something changed here since the last look. */
  readonly #changed = new Set<Ino>();
  /** Sessions of an earlier life of the server: they may hold anything. */
  readonly #unsure: Set<SessionId>;
  /** Sessions that another process goes on with, and the last number the one before may hold. */
  readonly #handedOver = new Map<SessionId, number>();
  #effects: RecallEffect[] = [];
  #nextPlace = 1;
  #lseq: number;
  /** Until then they have time to settle. */
  readonly #settleMs: number;

  /** @param unsure sessions that may hold leases of an earlier life of the server */
  constructor(options: {
    readonly epoch: number;
    readonly unsure: Iterable<SessionId>;
    readonly nowMs: number;
  }) {
    this.#lseq = options.epoch * LSEQS_PER_EPOCH;
    this.#unsure = new Set(options.unsure);
    this.#settleMs = options.nowMs + RECALL_MS_MAX;
    assert(Number.isSafeInteger(this.#lseq + LSEQS_PER_EPOCH), 'the shard epoch is too large');
  }

  get count(): number {
    let count = 0;
    for (const inos of this.#held.values()) count += inos.size;
    return count;
  }

  /** Sessions that have not said yet what they hold. */
  get unsure(): ReadonlySet<SessionId> {
    return this.#unsure;
  }

  /** Who has the inode and who waits for it; lease-waits.ts reads it. */
  at(ino: Ino): InodeLeases | undefined {
    return this.#entries.get(ino);
  }

  /** Messages to send since the last call. */
  takeEffects(): RecallEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Whether it may run now, at a place it had or at the end. Whoever is in its way is called. */
  admits(ticket: Ticket, nowMs: number, place = this.#nextPlace): boolean {
    return this.#admits({ ...ticket, place }, nowMs);
  }

  /** It waits, at a place it had before or at the end. */
  wait(ticket: Ticket, place = this.#nextPlace++): Waiting {
    const waiting: Waiting = { ...ticket, place };
    for (const ino of inosOf(waiting)) insert(this.#entry(ino).waiting, waiting);
    return waiting;
  }

  /** Takes out the first that may run now, if any. Who is in the way of others is called. */
  next(nowMs: number): Waiting | undefined {
    if (this.#unsure.size > 0) return undefined;
    for (const ino of this.#changed) {
      for (const waiting of this.#entries.get(ino)?.waiting ?? []) {
        if (!this.#admits(waiting, nowMs)) continue;
        this.#leaveQueue(waiting);
        return waiting;
      }
      this.#changed.delete(ino);
      this.#tidy(ino);
    }
    return undefined;
  }

  /**
   * Grants a lease at the moment an operation of the session runs.
   * @param turn the session waited for it, or asked when nobody waited
   * @returns undefined when it cannot be had now
   */
  grant(sid: SessionId, ino: Ino, kind: LeaseKind, turn: boolean): Grant | undefined {
    const entry = this.#entry(ino);
    const own = entry.holders.get(sid);
    if (own?.recall !== undefined || this.#unsure.size > 0) return undefined;
    for (const [other, holder] of entry.holders) {
      if (other !== sid && conflict(holder.kind, kind)) return undefined;
    }
    if (!turn && entry.waiting.some((waiting) => awaits(waiting, sid, ino))) return undefined;
    const granted: LeaseKind = own?.kind === 'exclusive' ? 'exclusive' : kind;
    this.#lseq += 1;
    entry.holders.set(sid, { kind: granted, lseq: this.#lseq, told: false, recall: undefined });
    inosOfSession(this.#held, sid).add(ino);
    return { kind: granted, lseq: this.#lseq };
  }

  /** The reply with this grant has left, or never will. */
  told(sid: SessionId, ino: Ino, lseq: number): void {
    const entry = this.#entries.get(ino);
    const holder = entry?.holders.get(sid);
    if (entry === undefined || holder?.lseq !== lseq || holder.told) return;
    entry.holders.set(sid, { ...holder, told: true });
    if (holder.recall !== undefined) this.#send(sid, ino, lseq, holder.recall.keep);
  }

  /** A holder gives up a lease, called or not. A late one, of an older grant, means nothing. */
  release(sid: SessionId, { ino, lseq, keep, open }: Release): void {
    const entry = this.#entries.get(ino);
    const holder = entry?.holders.get(sid);
    if (entry === undefined || holder?.lseq !== lseq) return;
    if (keep === 'shared') {
      const recall = holder.recall?.keep === 'nothing' ? holder.recall : undefined;
      entry.holders.set(sid, { ...holder, kind: 'shared', recall });
      if (recall === undefined) this.#recalled.get(sid)?.delete(ino);
    } else {
      entry.holders.delete(sid);
      this.#held.get(sid)?.delete(ino);
      this.#recalled.get(sid)?.delete(ino);
      if (open) entry.openers.add(sid);
    }
    this.#changed.add(ino);
  }

  /** The session has the file open no longer. */
  closed(sid: SessionId, ino: Ino): void {
    if (this.#entries.get(ino)?.openers.delete(sid) === true) this.#changed.add(ino);
  }

  /** Sessions that have the file open without a lease. */
  openers(ino: Ino): readonly SessionId[] {
    return [...(this.#entries.get(ino)?.openers ?? [])];
  }

  kindOf(sid: SessionId, ino: Ino): LeaseKind | undefined {
    return this.#entries.get(ino)?.holders.get(sid)?.kind;
  }

  /** Another session may be writing it, or may have been before the server started. */
  isWrittenElsewhere(sid: SessionId, ino: Ino): boolean {
    if (this.#unsure.size > 0) return true;
    for (const [other, { kind }] of this.#entries.get(ino)?.holders ?? []) {
      if (other !== sid && kind === 'exclusive') return true;
    }
    return false;
  }

  /** The one lease in the way of a look, if whoever has it may say what the look wants to know. */
  glimpse({ sid, claims }: Ticket): WriteLease | undefined {
    const [claim, ...more] = claims;
    if (claim === undefined || more.length > 0 || this.#unsure.size > 0) return undefined;
    const { ino, kind } = claim;
    const [held, ...others] = this.#entries.get(ino)?.holders ?? [];
    if (held === undefined || others.length > 0 || kind !== 'shared') return undefined;
    const [writer, holder] = held;
    if (writer === sid || holder.kind !== 'exclusive') return undefined;
    if (!holder.told || holder.recall !== undefined) return undefined;
    return { sid: writer, ino, lseq: holder.lseq };
  }

  /** Nobody else has a lease on what the session publishes. */
  mayPublish(sid: SessionId, ino: Ino): boolean {
    const holders = this.#entries.get(ino)?.holders ?? new Map<SessionId, Holder>();
    return holders.size === 0 || (holders.size === 1 && holders.has(sid));
  }

  /** Inodes the session may write. */
  exclusives(sid: SessionId): Ino[] {
    const held = [...(this.#held.get(sid) ?? [])];
    return held.filter((ino) => this.kindOf(sid, ino) === 'exclusive');
  }

  /**
   * A session has let go of every lease of an earlier life of the server, or of the process before;
   * these it has open. What this process was granted stays: the reply may be under way.
   */
  settled(sid: SessionId, open: readonly Ino[]): void {
    for (const ino of open) this.#entry(ino).openers.add(sid);
    this.#free(sid, this.#handedOver.get(sid) ?? 0);
    if (this.#unsure.delete(sid) && this.#unsure.size === 0) this.#changeAll();
  }

  /**
   * Another process goes on with the session: nothing is open in it, and what the one before waited
   * for is wanted by nobody. Its leases stay until the session has settled; who answers a recall
   * now has as much time as who works on it.
   * @returns the places of what waited
   */
  handOver(sid: SessionId, nowMs: number): number[] {
    this.#handedOver.set(sid, this.#lseq);
    this.#closeAll(sid);
    for (const ino of this.#recalled.get(sid) ?? []) this.progress(sid, ino, nowMs);
    const all = new Set([...this.#entries.values()].flatMap(({ waiting }) => waiting));
    const own = [...all].filter((waiting) => waiting.sid === sid);
    for (const waiting of own) this.#leaveQueue(waiting);
    return own.map(({ place }) => place);
  }

  /** The session is over: whatever it held is free. */
  drop(sid: SessionId): void {
    this.#free(sid, Number.POSITIVE_INFINITY);
    this.#handedOver.delete(sid);
    this.#held.delete(sid);
    this.#recalled.delete(sid);
    this.#closeAll(sid);
    if (this.#unsure.delete(sid) && this.#unsure.size === 0) this.#changeAll();
  }

  /** Its stream is a new one: calls that were under way are sent again. */
  resend(sid: SessionId): void {
    for (const ino of this.#held.get(sid) ?? []) {
      const holder = this.#entries.get(ino)?.holders.get(sid);
      if (holder === undefined) continue;
      if (!holder.told) this.told(sid, ino, holder.lseq);
      else if (holder.recall) this.#send(sid, ino, holder.lseq, holder.recall.keep);
    }
  }

  /** The holder works on a recall: it gets more time, within limits. */
  progress(sid: SessionId, ino: Ino, nowMs: number): void {
    const entry = this.#entries.get(ino);
    const holder = entry?.holders.get(sid);
    if (entry === undefined || holder?.recall === undefined) return;
    const { sinceMs } = holder.recall;
    const deadlineMs = Math.min(sinceMs + RECALL_MS_MAX, nowMs + RECALL_MS);
    entry.holders.set(sid, { ...holder, recall: { ...holder.recall, deadlineMs } });
  }

  /** Sessions in somebody's way that are gone, or did not answer in time. */
  overdue(nowMs: number, isGone: (sid: SessionId) => boolean): SessionId[] {
    const late = new Set<SessionId>();
    for (const [sid, inos] of this.#recalled) {
      if (inos.size === 0) continue;
      const recalls = [...inos].map((ino) => this.#entries.get(ino)?.holders.get(sid)?.recall);
      const isLate = recalls.some((recall) => recall !== undefined && recall.deadlineMs <= nowMs);
      if (isLate || isGone(sid)) late.add(sid);
    }
    const isLate = nowMs >= this.#settleMs && this.#isWaitedFor();
    for (const sid of this.#unsure) if (isLate || isGone(sid)) late.add(sid);
    return [...late];
  }

  #isWaitedFor(): boolean {
    for (const { waiting } of this.#entries.values()) if (waiting.length > 0) return true;
    return false;
  }

  /** What was granted to the session up to this number is not held any more. */
  #free(sid: SessionId, lseqMax: number): void {
    const held = this.#held.get(sid) ?? new Set<Ino>();
    for (const ino of held) {
      const holders = this.#entries.get(ino)?.holders;
      if ((holders?.get(sid)?.lseq ?? 0) > lseqMax) continue;
      holders?.delete(sid);
      held.delete(ino);
      this.#recalled.get(sid)?.delete(ino);
      this.#changed.add(ino);
    }
  }

  #closeAll(sid: SessionId): void {
    for (const [ino, { openers }] of this.#entries) if (openers.delete(sid)) this.#changed.add(ino);
  }

  #admits(ticket: Waiting, nowMs: number): boolean {
    if (ticket.claims.length > 0 && this.#unsure.size > 0) return false;
    let free = true;
    for (const claim of ticket.claims) if (!this.#isFree(ticket, claim, nowMs)) free = false;
    return free;
  }

  #isFree(ticket: Waiting, { ino, kind }: Claim, nowMs: number): boolean {
    const entry = this.#entries.get(ino);
    if (entry === undefined) return true;
    const { sid } = ticket;
    const own = entry.holders.get(sid);
    // A holder's own work never waits for who waits for the holder.
    if (covers(own?.kind, kind)) return !ticket.asks || own?.recall === undefined;
    const queues = ticket.asks || kind === 'exclusive';
    if (queues && entry.waiting.some((earlier) => comesFirst(earlier, ticket, ino, kind))) {
      return false;
    }
    let free = !(ticket.asks && own?.recall !== undefined);
    for (const [other, holder] of entry.holders) {
      if (other === sid || !conflict(holder.kind, kind)) continue;
      free = false;
      this.#call(entry, other, ino, kind === 'shared' ? 'shared' : 'nothing', nowMs);
    }
    return free;
  }

  #call(entry: Entry, sid: SessionId, ino: Ino, keep: Keep, nowMs: number): void {
    const holder = entry.holders.get(sid);
    if (holder === undefined) return;
    const { recall } = holder;
    if (recall !== undefined && (recall.keep === 'nothing' || keep === 'shared')) return;
    const sinceMs = recall?.sinceMs ?? nowMs;
    const called: Recall = { keep, sinceMs, deadlineMs: nowMs + RECALL_MS };
    entry.holders.set(sid, { ...holder, recall: called });
    inosOfSession(this.#recalled, sid).add(ino);
    if (holder.told) this.#send(sid, ino, holder.lseq, keep);
  }

  #send(sid: SessionId, ino: Ino, lseq: number, keep: Keep): void {
    this.#effects.push({ sid, ino, lseq, keep });
  }

  #leaveQueue(ticket: Waiting): void {
    for (const ino of inosOf(ticket)) {
      const waiting = this.#entries.get(ino)?.waiting;
      const at = waiting?.indexOf(ticket) ?? -1;
      if (at >= 0) waiting?.splice(at, 1);
      this.#changed.add(ino);
    }
  }

  #changeAll(): void {
    for (const ino of this.#entries.keys()) this.#changed.add(ino);
  }

  #entry(ino: Ino): Entry {
    const known = this.#entries.get(ino);
    if (known !== undefined) return known;
    const entry: Entry = { holders: new Map(), waiting: [], openers: new Set() };
    this.#entries.set(ino, entry);
    return entry;
  }

  #tidy(ino: Ino): void {
    const entry = this.#entries.get(ino);
    if (entry === undefined) return;
    const used = entry.holders.size + entry.waiting.length + entry.openers.size;
    if (used === 0) this.#entries.delete(ino);
  }
}

function inosOfSession(sessions: Map<SessionId, Set<Ino>>, sid: SessionId): Set<Ino> {
  const known = sessions.get(sid);
  if (known !== undefined) return known;
  const inos = new Set<Ino>();
  sessions.set(sid, inos);
  return inos;
}

function inosOf({ claims }: Ticket): Set<Ino> {
  return new Set(claims.map(({ ino }) => ino));
}

function insert(waiting: Waiting[], ticket: Waiting): void {
  const at = waiting.findIndex(({ place }) => place > ticket.place);
  if (at < 0) waiting.push(ticket);
  else waiting.splice(at, 0, ticket);
}

/** Another session waits to change the inode. */
function awaits(waiting: Waiting, sid: SessionId, ino: Ino): boolean {
  if (waiting.sid === sid) return false;
  return waiting.claims.some((claim) => claim.ino === ino && claim.kind === 'exclusive');
}

/** An operation of another session that stands before this one is in its way. */
export function comesFirst(earlier: Waiting, ticket: Waiting, ino: Ino, kind: LeaseKind): boolean {
  if (earlier.place >= ticket.place || earlier.sid === ticket.sid) return false;
  return earlier.claims.some((claim) => claim.ino === ino && conflict(claim.kind, kind));
}
