/**
 * The leases of one mount: who may go on, who waits, and what has to be done before a lease is
 * given up. Rules C7 to C12 of docs/PROTOCOL.md. Without time and without effects of its own: what
 * is to be done is collected, and its outcome is told here.
 */
import { BoundedMap } from '../../common/core/bounded-map.ts';
import type { Ino } from '../../common/ids.ts';
import { covers, type Grant, type Keep, type LeaseKind } from '../../common/lease.ts';

/** What the owner of this object has to do. `T` is how it names requests of the kernel. */
export type HolderEffect<T> =
  /** Ask the metaserver. Answered by granted() or refused(). */
  | { readonly do: 'ask'; readonly ino: Ino; readonly need: LeaseKind }
  /** This request goes on; done() when it is answered. */
  | { readonly do: 'go'; readonly ticket: T }
  /** Make the kernel forget. Answered by purged(), and by slow() while it takes long. */
  | { readonly do: 'purge'; readonly ino: Ino; readonly what: 'attributes' | 'all' }
  /** Publish what was written. Answered by flushed(). */
  | { readonly do: 'flush'; readonly ino: Ino }
  /** Tell the metaserver. */
  | { readonly do: 'release'; readonly ino: Ino; readonly lseq: number; readonly keep: Keep };

interface Closing {
  readonly keep: Keep;
  readonly lseq: number;
  readonly phase: 'purging' | 'draining' | 'flushing';
  /** Requests answered while the kernel was forgetting: what they brought is to be forgotten too. */
  readonly served: number;
}

interface Parked<T> {
  readonly need: LeaseKind;
  readonly ticket: T;
}

interface Held<T> {
  kind: LeaseKind | undefined;
  lseq: number;
  /** Requests that rely on the lease. */
  users: number;
  /** A request relied on it since coldest() came by. */
  used: boolean;
  closing: Closing | undefined;
  /** Not answered yet. One that began before there was more to do is not enough. */
  purges: number;
  flushes: number;
  /** What the metaserver was asked for and has not answered. */
  asked: LeaseKind | undefined;
  parked: Parked<T>[];
}

/** More leases than a mount has at a time. */
const LOST_MAX = 200_000;

export class LeaseHolder<T> {
  readonly #held = new Map<Ino, Held<T>>();
  readonly #mayWrite: (ino: Ino) => boolean;
  /** Leases that ran out and were not given up since: what was written is published under them. */
  readonly #lost = new BoundedMap<Ino, Grant>(LOST_MAX);
  #count = 0;
  #effects: HolderEffect<T>[] = [];
  /** The youngest lease that was given up: a grant no younger may have been given up already. */
  #floor = 0;

  /** @param mayWrite whether the file is open for writing here: it is held exclusively or not at all */
  constructor(mayWrite: (ino: Ino) => boolean) {
    this.#mayWrite = mayWrite;
  }

  /** Leases held. */
  get count(): number {
    return this.#count;
  }

  takeEffects(): HolderEffect<T>[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** What may be answered from memory; also while the lease is being given up. */
  kindOf(ino: Ino): LeaseKind | undefined {
    return this.#held.get(ino)?.kind;
  }

  /** The youngest lease had, also when it has run out. */
  lseqOf(ino: Ino): number {
    return Math.max(this.#held.get(ino)?.lseq ?? 0, this.#lost.get(ino)?.lseq ?? 0);
  }

  /** The kernel may keep what it is told about this inode now. */
  mayCache(ino: Ino): boolean {
    const held = this.#held.get(ino);
    return held?.kind !== undefined && held.closing === undefined;
  }

  /** What the metaserver was asked for and has not answered; the grant, if any, comes before. */
  askedFor(ino: Ino): LeaseKind | undefined {
    return this.#held.get(ino)?.asked;
  }

  isClosing(ino: Ino): boolean {
    return this.#held.get(ino)?.closing !== undefined;
  }

  /**
   * A request needs a lease. @returns whether it goes on at once; done() when it is answered. Else
   * it waits for its `go`.
   */
  use(ino: Ino, need: LeaseKind, ticket: T): boolean {
    const held = this.#of(ino);
    held.used = true;
    if (held.closing === undefined && covers(held.kind, need)) {
      held.users += 1;
      return true;
    }
    held.parked.push({ need, ticket });
    this.#ask(ino, held);
    return false;
  }

  /** A request that went on is answered. */
  done(ino: Ino): void {
    const held = this.#of(ino);
    held.users -= 1;
    if (held.closing?.phase === 'draining') this.#drained(ino, held);
    this.#tidy(ino, held);
  }

  /** A reply of the metaserver brought a lease, asked for or not. */
  granted(ino: Ino, { kind, lseq }: Grant): void {
    const held = this.#of(ino);
    // A late reply: what it grants was given up, or replaced, since.
    if (lseq <= this.#floor || lseq <= held.lseq || held.closing !== undefined) return;
    held.lseq = lseq;
    this.#lost.delete(ino);
    if (kind === 'shared' && this.#mayWrite(ino)) {
      // Nobody asked for it: a request to write would wait for itself when it is called back.
      this.#setKind(held, undefined);
      this.#floor = lseq;
      this.#effects.push({ do: 'release', ino, lseq, keep: 'nothing' });
      return;
    }
    this.#setKind(held, kind);
    this.#release(held);
  }

  /** The metaserver answered what it was asked; the grant, if any, came before. */
  answered(ino: Ino): void {
    const held = this.#of(ino);
    held.asked = undefined;
    this.#ask(ino, held);
    this.#tidy(ino, held);
  }

  /** It could not be had: whoever waits for it is to be told. */
  refused(ino: Ino): T[] {
    const held = this.#of(ino);
    const tickets = held.parked.map(({ ticket }) => ticket);
    held.parked = [];
    held.asked = undefined;
    this.#tidy(ino, held);
    return tickets;
  }

  /** The request is not wanted any more. @returns false when it has gone on already */
  cancel(ino: Ino, ticket: T): boolean {
    const held = this.#of(ino);
    const rest = held.parked.filter((parked) => parked.ticket !== ticket);
    const found = rest.length < held.parked.length;
    held.parked = rest;
    return found;
  }

  /** The metaserver wants a lease back. */
  recalled(ino: Ino, lseq: number, keep: Keep): void {
    const held = this.#of(ino);
    if (held.kind === undefined) {
      // Lost, or forgotten: what was written under it is published all the same.
      held.lseq = Math.max(held.lseq, lseq);
      if (held.closing === undefined) this.#flush(ino, held, { keep: 'nothing', lseq });
      else held.closing = { ...held.closing, lseq: held.lseq };
      return;
    }
    if (lseq < held.lseq) return;
    if (keep === 'shared' && held.kind === 'shared' && held.lseq === lseq && !held.closing) {
      this.#effects.push({ do: 'release', ino, lseq, keep });
      return;
    }
    // Called by the number of a grant that was not taken over: none of what is held stays.
    const known = held.lseq === lseq;
    held.lseq = lseq;
    this.#close(ino, held, known ? keep : 'nothing');
  }

  /** Gives up a lease nobody called for. */
  giveUp(ino: Ino, keep: Keep): void {
    const held = this.#held.get(ino);
    if (held?.kind === undefined || (keep === 'shared' && held.kind === 'shared')) return;
    if (held.closing === undefined) this.#close(ino, held, keep);
  }

  /** The kernel takes long to forget: it may wait for an answer to a request that waits here. */
  slow(ino: Ino): void {
    const held = this.#held.get(ino);
    if (held?.closing?.phase !== 'purging') return;
    const before = held.users;
    this.#release(held);
    const served = held.closing.served + held.users - before;
    held.closing = { ...held.closing, served };
  }

  /** The kernel has forgotten. */
  purged(ino: Ino): void {
    const held = this.#held.get(ino);
    if (held === undefined || held.purges === 0) return;
    held.purges -= 1;
    this.#tidy(ino, held);
    if (held.purges > 0 || held.closing?.phase !== 'purging') return;
    if (held.closing.served > 0) {
      held.closing = { ...held.closing, served: 0 };
      this.#purge(ino, held, held.closing);
      return;
    }
    held.closing = { ...held.closing, phase: 'draining' };
    this.#drained(ino, held);
  }

  /** What was written is published, or lost with a word. */
  flushed(ino: Ino): void {
    const held = this.#held.get(ino);
    if (held === undefined || held.flushes === 0) return;
    held.flushes -= 1;
    this.#tidy(ino, held);
    if (held.flushes > 0 || held.closing?.phase !== 'flushing') return;
    const { lseq, keep } = held.closing;
    held.closing = undefined;
    this.#setKind(held, keep === 'shared' ? 'shared' : undefined);
    if (keep === 'nothing') this.#floor = Math.max(this.#floor, lseq);
    this.#lost.delete(ino);
    this.#effects.push({ do: 'release', ino, lseq, keep });
    if (keep === 'shared') this.#release(held);
    this.#ask(ino, held);
    this.#tidy(ino, held);
  }

  /** Nothing may be relied on any more. @returns what was held */
  expire(): Ino[] {
    const lost: Ino[] = [];
    for (const [ino, held] of this.#held) {
      if (held.kind !== undefined) {
        lost.push(ino);
        this.#lose(ino, { kind: held.kind, lseq: held.lseq });
      }
      this.#setKind(held, undefined);
      if (held.closing !== undefined) this.#cut(ino, held, held.closing);
      this.#ask(ino, held);
      this.#tidy(ino, held);
    }
    return lost;
  }

  /**
   * The metaserver began anew: it knows of no lease, and of no recall. @returns what was held and
   * not given up, so that the kernel may still know of it
   */
  restarted(): Ino[] {
    this.#dropRecalls();
    this.expire();
    return [...this.#lost.keys()];
  }

  /** The session is over, and its recalls with it: others may have what was held. @returns that */
  evicted(): Ino[] {
    this.#dropRecalls();
    const lost = this.expire();
    this.endLost();
    return lost;
  }

  /**
   * Requests that wait go on under leases that ran out. Only while a metaserver that began anew
   * waits for this mount: until then nobody has what was not given up. @returns where some did
   */
  serveLost(): Ino[] {
    const served: Ino[] = [];
    for (const [ino, held] of this.#held) {
      const lost = this.#lost.get(ino);
      if (lost === undefined) continue;
      const before = held.users;
      this.#release(held, lost.kind);
      if (held.users > before) served.push(ino);
    }
    return served;
  }

  /** Others may have by now what ran out here. */
  endLost(): void {
    this.#lost.clear();
  }

  /**
   * What to give up first, at most `max`: whatever no request relied on since the last time, oldest
   * first. What is being given up already counts among them.
   */
  coldest(max: number): Ino[] {
    const inos: Ino[] = [];
    for (const [ino, held] of this.#held) {
      if (inos.length === max) break;
      if (held.kind === undefined) continue;
      if (!held.used || held.closing !== undefined) {
        inos.push(ino);
        continue;
      }
      // A second chance: behind all others, where this loop may come by again.
      held.used = false;
      this.#held.delete(ino);
      this.#held.set(ino, held);
    }
    return inos;
  }

  /**
   * Who called for it is answered all the same. The kernel forgets everything at the end of the
   * leases; it is not waited for: it may hold a page for a request that waits for a lease.
   */
  #cut(ino: Ino, held: Held<T>, closing: Closing): void {
    const phase = closing.phase === 'flushing' ? 'flushing' : 'draining';
    held.closing = { ...closing, keep: 'nothing', phase };
    if (phase === 'draining') this.#drained(ino, held);
  }

  #dropRecalls(): void {
    for (const held of this.#held.values()) held.closing = undefined;
  }

  #lose(ino: Ino, lease: Grant): void {
    this.#lost.delete(ino);
    this.#lost.set(ino, lease);
  }

  #setKind(held: Held<T>, kind: LeaseKind | undefined): void {
    this.#count += Number(kind !== undefined) - Number(held.kind !== undefined);
    held.kind = kind;
  }

  #close(ino: Ino, held: Held<T>, wanted: Keep): void {
    const keep = wanted === 'shared' && !this.#mayWrite(ino) ? 'shared' : 'nothing';
    const { closing, lseq } = held;
    if (closing === undefined) {
      held.closing = { keep, lseq, phase: 'purging', served: 0 };
    } else if (closing.keep === 'shared' && keep === 'nothing') {
      // More is to be forgotten than was begun with.
      held.closing = { ...closing, keep, lseq, phase: 'purging' };
    } else {
      held.closing = { ...closing, lseq };
      return;
    }
    this.#purge(ino, held, held.closing);
  }

  #purge(ino: Ino, held: Held<T>, closing: Closing): void {
    held.purges += 1;
    this.#effects.push({ do: 'purge', ino, what: what(closing) });
  }

  #drained(ino: Ino, held: Held<T>): void {
    if (held.users > 0 || held.closing === undefined) return;
    if (held.closing.keep === 'shared' && this.#mayWrite(ino)) {
      // An open was served meanwhile: what may be written is held exclusively or not at all.
      held.closing = { ...held.closing, keep: 'nothing', phase: 'purging' };
      this.#purge(ino, held, held.closing);
      return;
    }
    this.#flush(ino, held, held.closing);
  }

  #flush(ino: Ino, held: Held<T>, { keep, lseq }: Pick<Closing, 'keep' | 'lseq'>): void {
    held.closing = { keep, lseq, phase: 'flushing', served: 0 };
    held.flushes += 1;
    this.#effects.push({ do: 'flush', ino });
  }

  /** Whoever waits for what is held goes on. */
  #release(held: Held<T>, kind = held.kind): void {
    const waiting = held.parked;
    held.parked = waiting.filter(({ need }) => !covers(kind, need));
    for (const { need, ticket } of waiting) {
      if (!covers(kind, need)) continue;
      held.users += 1;
      this.#effects.push({ do: 'go', ticket });
    }
  }

  #ask(ino: Ino, held: Held<T>): void {
    if (held.closing !== undefined || held.parked.length === 0) return;
    if (held.asked !== undefined) return;
    // A shared lease would not be kept, though it may have been enough when the request came.
    const exclusive = this.#mayWrite(ino) || held.parked.some(({ need }) => need === 'exclusive');
    const need: LeaseKind = exclusive ? 'exclusive' : 'shared';
    held.asked = need;
    this.#effects.push({ do: 'ask', ino, need });
  }

  #of(ino: Ino): Held<T> {
    const known = this.#held.get(ino);
    if (known !== undefined) return known;
    const held: Held<T> = {
      kind: undefined,
      lseq: 0,
      users: 0,
      used: false,
      closing: undefined,
      purges: 0,
      flushes: 0,
      asked: undefined,
      parked: [],
    };
    this.#held.set(ino, held);
    return held;
  }

  #tidy(ino: Ino, held: Held<T>): void {
    const idle = held.users === 0 && held.parked.length === 0 && held.closing === undefined;
    const waits = held.purges > 0 || held.flushes > 0 || held.asked !== undefined;
    if (idle && held.kind === undefined && !waits) this.#held.delete(ino);
  }
}

function what({ keep }: Closing): 'attributes' | 'all' {
  return keep === 'shared' ? 'attributes' : 'all';
}
