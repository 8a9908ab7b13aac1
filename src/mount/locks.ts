/**
 * The advisory locks of one mount: asked for at the metaserver, waited for here, and said again to
 * one that began anew. Rules L1 to L6 of docs/PROTOCOL.md.
 */
import { type Lock, type LockPlace, LockTable, WHOLE_FILE } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { type Deferred, deferred, delay } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { RequestContext } from './driver/driver.ts';

/** How a lock is asked for. */
export interface LockQuestion {
  /** Of this request alone: it is told when it is granted, and takes it back. */
  readonly ticket: bigint;
  /** It does not wait. */
  readonly tries?: boolean;
  /** It was granted by a metaserver that began anew since. */
  readonly again?: boolean;
}

/** What became of a lock that was asked for. */
export interface LockAnswer {
  readonly waits: boolean;
  /** This mount decides about locks of the file from now on, until it is called back. */
  readonly delegation: bigint | undefined;
}

/** What the metaserver is asked. */
export interface LockService {
  lock(lock: Lock, how: LockQuestion, waiter?: RequestContext): Promise<LockAnswer>;
  unlock(place: LockPlace): Promise<void>;
  testLock(lock: Lock, waiter: RequestContext): Promise<Lock | undefined>;
  /** @returns false when it does not wait */
  cancelLock(ticket: bigint): Promise<boolean>;
  /** @param delegation undefined: none that is known here */
  returnLocks(ino: Ino, delegation: bigint | undefined, locks: readonly Lock[]): Promise<void>;
}

/** Nothing of this must stay behind. */
interface Owed {
  readonly place: LockPlace;
  /** Of the request that it may be of; 0: of none. */
  readonly ticket: bigint;
}

interface Waiting {
  readonly lock: Lock;
  readonly ticket: bigint;
  readonly granted: Deferred<void>;
  /**
   * `asks`: its request has no answer. `asks, granted`: nor has that been read, but what comes
   * behind it. `leaves`: it is being taken back.
   */
  state: 'asks' | 'asks, granted' | 'waits' | 'leaves' | 'over';
  /** Nobody knows whether the metaserver knows of it. */
  isDoubtful: boolean;
}

/** With any other error nobody knows what became of it. */
const ANSWERS: ReadonlySet<string> = new Set(['EAGAIN', 'EDEADLK', 'EINVAL', 'ENOLCK']);
const RETRY_MS = 1_000;

export interface MountLocksOptions {
  readonly log: Logger;
  service(): LockService;
  /** The leases of this mount have not run out: what was delegated to it still is. */
  isValid(): boolean;
}

export class MountLocks {
  /** Programs that use this file rely on locks that are lost. */
  onLost: (ino: Ino) => void = () => undefined;
  readonly #options: MountLocksOptions;
  /** What is locked here; about files that are delegated it decides. */
  #held = new LockTable<never>();
  readonly #delegated = new Map<Ino, bigint>();
  /** Of these it does not decide any more: they are being given back. */
  readonly #returning = new Set<Ino>();
  /** Of one file one thing after another is asked: the answer may delegate it. */
  readonly #turns = new Map<Ino, Promise<unknown>>();
  readonly #waiting = new Map<bigint, Waiting>();
  /** To be unlocked before anything else is asked. */
  #owed: Owed[] = [];
  #settling: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #nextTicket = 1n;

  constructor(options: MountLocksOptions) {
    this.#options = options;
  }

  /** @throws FsError EAGAIN somebody has it, EDEADLK, EINTR, EIO the metaserver is away */
  async lock(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    await this.#settleOwed();
    await this.#ask(context, lock, waits);
    // This process was stopped for so long that what it was granted may be another's by now.
    while (!this.#options.isValid()) {
      await this.#ask(context, lock, false);
      if (this.#options.isValid()) break;
      await delay(RETRY_MS);
      if (!context.interrupted) continue;
      this.#owe(lock, 0n);
      throw new FsError('EINTR', 'interrupted while nobody knows whether a lock is had');
    }
  }

  async #ask(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    const ticket = this.#nextTicket++;
    const granted = deferred<void>();
    const waiting: Waiting = { lock, ticket, granted, state: 'asks', isDoubtful: false };
    // It may fail before anybody waits for it.
    granted.promise.catch(() => undefined);
    if (waits) this.#waiting.set(ticket, waiting);
    try {
      const isLater = await this.#inTurn(lock.ino, () => this.#acquire(context, waiting, waits));
      if (isLater) await this.#wait(context, waiting);
    } finally {
      this.#waiting.delete(ticket);
      context.waitsFor = undefined;
    }
  }

  /** @returns whether it has to be waited for */
  async #acquire(context: RequestContext, waiting: Waiting, waits: boolean): Promise<boolean> {
    const { lock, ticket } = waiting;
    const hasAll = this.#held.covers(lock);
    if (hasAll && this.#options.isValid()) return false;
    if (this.#decides(lock.ino)) {
      if (this.#held.acquire(lock) === 'granted') return false;
      if (!waits) throw new FsError('EAGAIN', `ino ${lock.ino} is locked here`);
    }
    // Who waits does so at the metaserver, which knows of everybody who waits.
    if (this.#delegated.has(lock.ino)) await this.#giveBack(lock.ino);
    // A conversion of flock(2) gives up what it had, also when it fails.
    if (lock.kind === 'flock' && !hasAll) this.#held.release(lock);
    const answer = await this.#request(lock, { ticket, tries: !waits }, context);
    if (answer.delegation !== undefined) this.#delegated.set(lock.ino, answer.delegation);
    if (!answer.waits || waiting.state === 'asks, granted') this.#grant(waiting);
    else waiting.state = 'waits';
    return answer.waits;
  }

  /** What is not locked here need not be unlocked. Others may see it a while later. */
  async unlock(place: LockPlace): Promise<void> {
    if (!this.#held.owns(place)) return;
    const isOurs = this.#decides(place.ino);
    // A metaserver that begins anew meanwhile must not hear of it.
    this.#held.release(place);
    if (isOurs) return;
    this.#owed.push({ place, ticket: 0n });
    try {
      await this.#settleOwed();
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#log.warn('the metaserver is told later what is unlocked', { ino: place.ino, error });
    }
  }

  /** Somebody here has locked it, or a part of it. */
  has(ino: Ino): boolean {
    return this.#held.isLocked(ino);
  }

  /** The owner has closed the file. */
  closed(owner: Pick<LockPlace, 'ino' | 'kind' | 'owner'>): Promise<void> {
    return this.unlock({ ...owner, ...WHOLE_FILE });
  }

  /** A lock in the way of this one. */
  async test(context: RequestContext, lock: Lock): Promise<Lock | undefined> {
    if (this.#decides(lock.ino)) return this.#held.test(lock);
    return this.#service().testLock(lock, context);
  }

  /** Somebody else asks about locks of this file. */
  recalled(ino: Ino): void {
    this.#inTurn(ino, () => this.#giveBack(ino)).catch((error: unknown) => {
      // It calls again on the next stream.
      this.#log.debug('locks were not given back', { ino, error });
    });
  }

  /** On a new stream requests without an answer are sent again: that answer says what is so now. */
  reconnected(): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.state === 'asks, granted') waiting.state = 'asks';
    }
  }

  /** The metaserver began anew: it has delegated nothing. */
  restarted(): void {
    this.#delegated.clear();
    this.#returning.clear();
  }

  granted(ticket: bigint): void {
    const waiting = this.#waiting.get(ticket);
    if (waiting?.state === 'asks') waiting.state = 'asks, granted';
    else if (waiting?.state !== 'asks, granted' && waiting !== undefined) this.#grant(waiting);
  }

  /** The metaserver may have said something that did not arrive. */
  resumed(): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.state === 'waits') waiting.isDoubtful = true;
    }
    this.#catchUp();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  /** Says to a metaserver that began anew what is locked here. @throws FsError it is away */
  async say(): Promise<void> {
    await this.#settleOwed();
    const said = new Set<Lock>();
    for (let locks = this.#unsaid(said); locks.length > 0; locks = this.#unsaid(said)) {
      for (const lock of locks) {
        said.add(lock);
        // What was unlocked meanwhile was told before this.
        if (this.#held.has(lock)) await this.#sayOne(lock);
      }
    }
  }

  #unsaid(said: ReadonlySet<Lock>): Lock[] {
    return [...this.#held.all()].map(({ lock }) => lock).filter((lock) => !said.has(lock));
  }

  async #sayOne(lock: Lock): Promise<void> {
    try {
      await this.#service().lock(lock, { ticket: 0n, again: true, tries: true });
    } catch (error) {
      if (!(error instanceof FsError && error.code === 'EAGAIN')) throw error;
      this.#held.release(lock);
      this.#lose([lock.ino]);
    }
  }

  /** The session they belong to is over. */
  evicted(): void {
    const inos = [...this.#held.all()].map(({ lock }) => lock.ino);
    this.#held = new LockTable();
    this.restarted();
    this.#owed = [];
    this.#lose(inos);
  }

  #lose(inos: readonly Ino[]): void {
    for (const ino of new Set(inos)) {
      this.#log.warn('locks are lost', { ino });
      this.onLost(ino);
    }
  }

  #decides(ino: Ino): boolean {
    return this.#delegated.has(ino) && !this.#returning.has(ino) && this.#options.isValid();
  }

  #inTurn<T>(ino: Ino, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(ino) ?? Promise.resolve();
    const done = before.then(work);
    const turn = done
      .catch(() => undefined)
      .finally(() => {
        if (this.#turns.get(ino) === turn) this.#turns.delete(ino);
      });
    this.#turns.set(ino, turn);
    return done;
  }

  async #giveBack(ino: Ino): Promise<void> {
    const delegation = this.#delegated.get(ino);
    const locks = [...this.#held.all()].map(({ lock }) => lock).filter((lock) => lock.ino === ino);
    // Without an answer it may have been given back, or not: it is once more before anything else.
    this.#returning.add(ino);
    try {
      await this.#service().returnLocks(ino, delegation, delegation === undefined ? [] : locks);
    } catch (error) {
      this.#retrySoon();
      throw error;
    }
    this.#returning.delete(ino);
    if (this.#delegated.get(ino) === delegation) this.#delegated.delete(ino);
  }

  get #log(): Logger {
    return this.#options.log;
  }

  #service(): LockService {
    return this.#options.service();
  }

  /** One after the other: what is locked once more meanwhile must not be unlocked by an old one. */
  async #settleOwed(): Promise<void> {
    // More may be owed when what was begun has ended.
    while (this.#owed.length > 0) {
      this.#settling ??= this.#unlockOwed().finally(() => {
        this.#settling = undefined;
      });
      await this.#settling;
    }
  }

  async #unlockOwed(): Promise<void> {
    for (let [owed] = this.#owed; owed !== undefined; [owed] = this.#owed) {
      if (owed.ticket !== 0n) await this.#service().cancelLock(owed.ticket);
      await this.#service().unlock(owed.place);
      if (this.#owed[0] === owed) this.#owed.shift();
    }
  }

  /** What the metaserver was to be told, and may not have heard. */
  #catchUp(): void {
    this.#settleOwed().catch((error: unknown) => {
      this.#log.debug('what is unlocked was not told', { error });
      this.#retrySoon();
    });
    for (const ino of this.#returning) this.recalled(ino);
    for (const waiting of this.#waiting.values()) {
      if (!waiting.isDoubtful) continue;
      this.#inTurn(waiting.lock.ino, () => this.#askAgain(waiting)).catch((error: unknown) => {
        this.#log.debug('a lock was not asked for again', { error });
        this.#retrySoon();
      });
    }
  }

  /** A stream may be there before a request fails that had waited for it. */
  #retrySoon(): void {
    if (this.#isClosed) return;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#catchUp();
    }, RETRY_MS);
  }

  /** Without an answer it may have been granted. */
  async #request(lock: Lock, how: LockQuestion, context: RequestContext): Promise<LockAnswer> {
    try {
      return await this.#service().lock(lock, how, context);
    } catch (error) {
      const isAnswer = error instanceof FsError && ANSWERS.has(error.code);
      if (!isAnswer) this.#owe(lock, how.ticket);
      throw error;
    }
  }

  #owe(place: LockPlace, ticket: bigint): void {
    // Programs would rely on what they had of it before.
    if (this.#held.owns(place)) this.onLost(place.ino);
    this.#held.release(place);
    this.#owed.push({ place, ticket });
    this.#retrySoon();
  }

  /** In the turn of its file. */
  async #askAgain(waiting: Waiting): Promise<void> {
    const { lock, ticket } = waiting;
    const isWanted = (): boolean => waiting.isDoubtful && waiting.state === 'waits';
    if (!isWanted()) return;
    // A metaserver that does not know who waits may have let this mount decide.
    if (this.#delegated.has(lock.ino)) await this.#giveBack(lock.ino);
    if (!isWanted()) return;
    try {
      const { delegation, waits } = await this.#service().lock(lock, { ticket });
      if (delegation !== undefined) this.#delegated.set(lock.ino, delegation);
      waiting.isDoubtful = false;
      if (!waits) this.#grant(waiting);
    } catch (error) {
      if (!(error instanceof FsError && error.code === 'EDEADLK')) throw error;
      waiting.state = 'over';
      waiting.granted.reject(error);
    }
  }

  async #wait(context: RequestContext, waiting: Waiting): Promise<void> {
    context.waitsFor = { lock: waiting.lock.ino };
    context.interrupt = () => {
      if (waiting.state !== 'waits') return;
      waiting.state = 'leaves';
      this.#cancel(waiting).catch((error: unknown) => this.#fail(waiting, error));
    };
    if (context.interrupted) context.interrupt();
    await waiting.granted.promise;
  }

  /** What was granted before is said before. Else nobody knows: nothing must stay behind. */
  async #cancel(waiting: Waiting): Promise<void> {
    const cancelled = await this.#service().cancelLock(waiting.ticket);
    const error = new FsError('EINTR', 'interrupted while waiting for a lock');
    if (!cancelled) this.#fail(waiting, error);
    else if (waiting.state !== 'over') {
      waiting.state = 'over';
      waiting.granted.reject(error);
    }
  }

  /** In the turn of the message: what comes behind it may ask for all that is locked here. */
  #grant(waiting: Waiting): void {
    if (waiting.state === 'over') return;
    waiting.state = 'over';
    this.#held.put(waiting.lock);
    waiting.granted.resolve();
  }

  #fail(waiting: Waiting, error: unknown): void {
    if (waiting.state === 'over') return;
    waiting.state = 'over';
    this.#owe(waiting.lock, waiting.ticket);
    waiting.granted.reject(error);
  }
}
