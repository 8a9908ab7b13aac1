/**
 * The advisory locks of one mount: asked for at the metaserver, waited for here, and said again to
 * one that began anew. Rules L1 to L5 of docs/PROTOCOL.md.
 */
import { type Lock, type LockPlace, LockTable, WHOLE_FILE } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { type Deferred, deferred } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { RequestContext } from './driver/driver.ts';
import type { LockQuestion } from './meta-client.ts';

/** What the metaserver is asked. */
export interface LockService {
  /** @returns whether it waits */
  lock(lock: Lock, how: LockQuestion, waiter?: RequestContext): Promise<boolean>;
  unlock(place: LockPlace): Promise<void>;
  testLock(lock: Lock, waiter: RequestContext): Promise<Lock | undefined>;
  /** @returns false when it does not wait */
  cancelLock(ticket: bigint): Promise<boolean>;
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

export class MountLocks {
  /** Programs that use this file rely on locks that are lost. */
  onLost: (ino: Ino) => void = () => undefined;
  readonly #service: () => LockService;
  readonly #log: Logger;
  #held = new LockTable<never>();
  readonly #waiting = new Map<bigint, Waiting>();
  /** To be unlocked before anything else is asked. */
  #owed: Owed[] = [];
  #settling: Promise<void> | undefined;
  #nextTicket = 1n;

  constructor(options: { service(): LockService; readonly log: Logger }) {
    this.#service = () => options.service();
    this.#log = options.log;
  }

  /** @throws FsError EAGAIN somebody has it, EDEADLK, EINTR, EIO the metaserver is away */
  async lock(context: RequestContext, lock: Lock, waits: boolean): Promise<void> {
    await this.#settleOwed();
    // A conversion of flock(2) gives up what it had, also when it fails.
    if (lock.kind === 'flock') this.#held.release(lock);
    const ticket = waits ? this.#nextTicket++ : 0n;
    const waiting: Waiting = { lock, granted: deferred() };
    if (waits) this.#waiting.set(ticket, waiting);
    try {
      if (await this.#ask(lock, ticket, context)) await this.#wait(context, ticket, waiting);
      this.#held.put(lock);
    } finally {
      this.#waiting.delete(ticket);
      context.waitsFor = undefined;
    }
  }

  /** What is not locked here need not be unlocked. Others may see it a while later. */
  async unlock(place: LockPlace): Promise<void> {
    if (!this.#held.owns(place)) return;
    // A metaserver that begins anew meanwhile must not hear of it.
    this.#held.release(place);
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
  test(context: RequestContext, lock: Lock): Promise<Lock | undefined> {
    return this.#service().testLock(lock, context);
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
    this.#owed = [];
    this.#lose(inos);
  }

  #lose(inos: readonly Ino[]): void {
    for (const ino of new Set(inos)) {
      this.#log.warn('locks are lost', { ino });
      this.onLost(ino);
    }
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
  async #ask(lock: Lock, ticket: bigint, context: RequestContext): Promise<boolean> {
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
    if (!(await this.#service().lock(lock, { ticket }))) granted.resolve();
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
