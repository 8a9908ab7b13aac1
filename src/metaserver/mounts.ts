/**
 * Rule L1: a mount answers from memory only while it is alone. Mounts are admitted one after the
 * other; before one enters, every other that may remember something is told to share, and is waited
 * for until it has forgotten or is gone. Without timers of its own: `wake` is called whenever
 * something changed, and every second.
 */
import type { Clock } from '../common/clock.ts';
import { type Deferred, deferred } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { isGone, type Session } from './session.ts';

/** One that is heard of but does not answer is cut off after so long. */
const SHARE_MS_MAX = 15_000;

export interface Admission {
  /** False once nobody waits for the Welcome any more. */
  wanted(): boolean;
  /** Opens the session's stream and says Welcome, all at once. */
  enter(alone: boolean): void;
}

export interface MountsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly mounts: () => readonly Session[];
}

export class Mounts {
  readonly #options: MountsOptions;
  /** Those that were told that they are alone, and have not forgotten since. */
  readonly #remember: Set<Session>;
  /** Those that owe an answer to Share. They may still send it over their next stream. */
  readonly #asked = new WeakSet<Session>();
  /** The one that was last told to come back, once until it is not the only one again. */
  #told: Session | undefined;
  #admitting = 0;
  #turn: Promise<void> = Promise.resolve();
  #waiter: Deferred<void> | undefined;

  /** What mounts of an earlier life of the server were told is not known: each may remember. */
  constructor(options: MountsOptions) {
    this.#options = options;
    this.#remember = new Set(options.mounts());
  }

  /** It has forgotten, as it was asked to. A repeat of an older answer means nothing. */
  shared(session: Session): void {
    if (this.#asked.delete(session)) this.#forgot(session);
  }

  /** Looks again at what an admission waits for, and whether a mount has become the only one. */
  wake(): void {
    this.#waiter?.resolve();
    this.#waiter = undefined;
    if (this.#admitting === 0) this.#tellLast();
  }

  /** The one that is left may remember again: its next Welcome tells it so. */
  #tellLast(): void {
    const nowMs = this.#options.clock.bootMs();
    const live = this.#options.mounts().filter((other) => this.#isLive(other, nowMs));
    const [last] = live;
    if (live.length !== 1 || last?.sink === undefined) return;
    if (this.#remember.has(last) || this.#asked.has(last) || this.#told === last) return;
    this.#told = last;
    last.sink.close('unavailable', 'this mount is alone now: it starts anew');
  }

  #isLive(session: Session, nowMs: number): boolean {
    return session.sink !== undefined || !isGone(session, nowMs);
  }

  /** Resolves when the mount has entered, or is not wanted any more. */
  admit(session: Session, admission: Admission): Promise<void> {
    this.#admitting += 1;
    if (this.#told !== session) this.#told = undefined;
    // A Hello comes from a mount without a stream.
    this.#forgot(session);
    const admitted = this.#turn
      .then(() => this.#admit(session, admission))
      .finally(() => {
        this.#admitting -= 1;
      });
    this.#turn = admitted.catch(() => undefined);
    return admitted;
  }

  async #admit(session: Session, { wanted, enter }: Admission): Promise<void> {
    const { clock, log, mounts } = this.#options;
    const deadlineMs = clock.bootMs() + SHARE_MS_MAX;
    for (let others = this.#rememberers(session); others.length > 0; ) {
      if (!wanted()) return;
      for (const other of others) this.#ask(other);
      if (clock.bootMs() >= deadlineMs) {
        log.warn('mounts did not stop remembering in time', { nodes: others.map(nodeOf) });
        for (const other of others) this.#cutOff(other);
        break;
      }
      this.#waiter = deferred();
      await this.#waiter.promise;
      others = this.#rememberers(session);
    }
    if (!wanted()) return;
    const nowMs = clock.bootMs();
    const others = mounts().some((other) => other !== session && this.#isLive(other, nowMs));
    const alone = !others && !this.#asked.has(session);
    if (alone) this.#remember.add(session);
    enter(alone);
  }

  /** Others that may remember something; whoever is gone is cut off, so that it finds out. */
  #rememberers(session: Session): Session[] {
    const nowMs = this.#options.clock.bootMs();
    for (const other of this.#remember) {
      if (other.ended) this.#remember.delete(other);
      else if (isGone(other, nowMs)) this.#cutOff(other);
    }
    return [...this.#remember].filter((other) => other !== session);
  }

  #ask(session: Session): void {
    if (session.sink === undefined || this.#asked.has(session)) return;
    this.#asked.add(session);
    session.sink.push({ $case: 'share', value: {} });
  }

  #forgot(session: Session): void {
    this.#remember.delete(session);
    this.wake();
  }

  #cutOff(session: Session): void {
    this.#remember.delete(session);
    session.sink?.close('unavailable', 'this mount did not answer in time: it starts anew');
  }
}

function nodeOf({ nodeId }: Session): string {
  return nodeId;
}
