/**
 * The advisory locks of one mount: asked for at the metaserver, waited for here, and said again to
 * one that began anew. Rules L1 to L6 of docs/PROTOCOL.md.
 */
import { type Lock, type LockPlace, LockTable, WHOLE_FILE } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { type Deferred, deferred } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { RequestContext } from './driver/driver.ts';

/** How a lock is asked for. */
export interface LockQuestion {
  /** It waits, and this is told when it is granted; 0: it does not wait. */
  readonly ticket: bigint;
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
  /** What may wait; 0: nothing. */
  readonly ticket: bigint;
}

interface Waiting {
  readonly lock: Lock;
  readonly granted: Deferred<void>;
}

/** With any other error nobody knows what became of it. */
const ANSWERS: ReadonlySet<string> = new Set(['EAGAIN', 'EDEADLK', 'EINVAL', 'ENOLCK']);

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
  /** Of one file one thing after another is asked: the answer may delegate it. */
  readonly #turns = new Map<Ino, Promise<unknown>>();
  readonly #waiting = new Map<bigint, Waiting>();
  /** To be unlocked before anything else is asked. */
  #owed: Owed[] = [];
  #settling: Promise<void> | undefined;
  #nextTicket = 1n;

  constructor(options: MountLocksOptions) {
    this.#options = options;
  }

  /** @throws FsError EAGAIN somebody has it, EDEADLK, EINTR, EIO the metaserver is away */
  async lock(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    await this.#settleOwed();
    const ticket = waits ? this.#nextTicket++ : 0n;
    const waiting: Waiting = { lock, granted: deferred() };
    if (waits) this.#waiting.set(ticket, waiting);
    try {
      const isLater = await this.#inTurn(lock.ino, () => this.#acquire(context, lock, ticket));
      if (!isLater) return;
      await this.#wait(context, ticket, waiting);
      this.#held.put(lock);
    } finally {
      this.#waiting.delete(ticket);
      context.waitsFor = undefined;
    }
  }

  /** @returns whether it has to be waited for */
  async #acquire(context: RequestContext, lock: Lock, ticket: bigint): Promise<boolean> {
    if (this.#decides(lock.ino)) {
      if (this.#held.acquire(lock) === 'granted') return false;
      if (ticket === 0n) throw new FsError('EAGAIN', `ino ${lock.ino} is locked here`);
    }
    // Who waits does so at the metaserver, which knows of everybody who waits.
    if (this.#delegated.has(lock.ino)) await this.#giveBack(lock.ino);
    // A conversion of flock(2) gives up what it had, also when it fails.
    if (lock.kind === 'flock') this.#held.release(lock);
    const { delegation, waits } = await this.#ask(lock, ticket, context);
    if (delegation !== undefined) this.#delegated.set(lock.ino, delegation);
    if (!waits) this.#held.put(lock);
    return waits;
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

  /** The metaserver began anew: it has delegated nothing. */
  restarted(): void {
    this.#delegated.clear();
  }

  granted(ticket: bigint): void {
    this.#waiting.get(ticket)?.granted.resolve();
  }

  /** The metaserver may have said something that did not arrive. */
  resumed(): void {
    this.#settleOwed().catch((error: unknown) => {
      this.#log.debug('what is unlocked was not told', { error });
    });
    for (const [ticket, waiting] of this.#waiting) {
      this.#askAgain(ticket, waiting).catch((error: unknown) => {
        if (error instanceof FsError && error.code === 'EDEADLK') waiting.granted.reject(error);
        else this.#log.debug('a lock was not asked for again', { error });
      });
    }
  }

  /** Says to a metaserver that began anew what is locked here. @throws FsError it is away */
  async say(): Promise<void> {
    await this.#settleOwed();
    for (const { lock } of [...this.#held.all()]) {
      try {
        await this.#service().lock(lock, { ticket: 0n, again: true });
      } catch (error) {
        if (!(error instanceof FsError && error.code === 'EAGAIN')) throw error;
        this.#lose([lock.ino]);
      }
    }
  }

  /** The session they belong to is over. */
  evicted(): void {
    const inos = [...this.#held.all()].map(({ lock }) => lock.ino);
    this.#held = new LockTable();
    this.#delegated.clear();
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
    return this.#delegated.has(ino) && this.#options.isValid();
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
    this.#delegated.delete(ino);
    const locks = [...this.#held.all()].map(({ lock }) => lock).filter((lock) => lock.ino === ino);
    await this.#service().returnLocks(ino, delegation, locks);
  }

  get #log(): Logger {
    return this.#options.log;
  }

  #service(): LockService {
    return this.#options.service();
  }

  /** One after the other: what is locked once more meanwhile must not be unlocked by an old one. */
  #settleOwed(): Promise<void> {
    if (this.#owed.length === 0) return Promise.resolve();
    this.#settling ??= this.#unlockOwed().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #unlockOwed(): Promise<void> {
    for (let [owed] = this.#owed; owed !== undefined; [owed] = this.#owed) {
      if (owed.ticket !== 0n) await this.#service().cancelLock(owed.ticket);
      await this.#service().unlock(owed.place);
      if (this.#owed[0] === owed) this.#owed.shift();
    }
  }

  /** Without an answer it may have been granted. */
  async #ask(lock: Lock, ticket: bigint, context: RequestContext): Promise<LockAnswer> {
    try {
      return await this.#service().lock(lock, { ticket }, context);
    } catch (error) {
      const isAnswer = error instanceof FsError && ANSWERS.has(error.code);
      if (!isAnswer) this.#owe(lock, ticket);
      throw error;
    }
  }

  #owe(place: LockPlace, ticket: bigint): void {
    // Programs would rely on what they had of it before.
    if (this.#held.owns(place)) this.onLost(place.ino);
    this.#held.release(place);
    this.#owed.push({ place, ticket });
  }

  async #askAgain(ticket: bigint, { lock, granted }: Waiting): Promise<void> {
    const { waits } = await this.#service().lock(lock, { ticket });
    if (!waits) granted.resolve();
    // Interrupted meanwhile, and asked after that all the same.
    if (this.#waiting.has(ticket) || this.#held.owns(lock)) return;
    this.#owed.push({ place: lock, ticket });
    await this.#settleOwed();
  }

  async #wait(context: RequestContext, ticket: bigint, { lock, granted }: Waiting): Promise<void> {
    context.waitsFor = { lock: lock.ino };
    let isCancelled = false;
    context.interrupt = () => {
      if (isCancelled) return;
      isCancelled = true;
      this.#cancel(ticket, lock, granted).catch((error: unknown) => {
        this.#owe(lock, ticket);
        granted.reject(error);
      });
    };
    if (context.interrupted) context.interrupt();
    await granted.promise;
  }

  async #cancel(ticket: bigint, lock: Lock, granted: Deferred<void>): Promise<void> {
    const cancelled = await this.#service().cancelLock(ticket);
    // What was granted before is said before. Else nobody knows: nothing must stay behind.
    if (!cancelled && !(await isSettled(granted.promise))) this.#owe(lock, ticket);
    granted.reject(new FsError('EINTR', 'interrupted while waiting for a lock'));
  }
}

async function isSettled(promise: Promise<void>): Promise<boolean> {
  const open = Symbol('open');
  return (await Promise.race([promise, Promise.resolve(open)])) !== open;
}
