/**
 * The leases of one mount at work: requests wait here for theirs, recalls are carried out, and
 * what runs out is forgotten. What is right to do is decided in core/lease-holder.ts.
 */
import type { Glimpse, ServerFrame } from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino, safeInteger } from '../common/ids.ts';
import type { Grant, Keep, LeaseKind } from '../common/lease.ts';
import { type Deferred, deferred, delay } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ToldName } from './core/kept-names.ts';
import { type HolderEffect, LeaseHolder } from './core/lease-holder.ts';
import { LeaseTurns, TURN_MS } from './core/lease-turns.ts';
import type { RequestContext, Result } from './driver/driver.ts';
import type { KernelCache } from './kernel-cache.ts';
import type { LeaseRelease, Unpublished } from './meta-client.ts';

/** What the leases are about, as the vfs knows it. */
export interface LeasedFiles {
  isOpen(ino: Ino): boolean;
  /** It is open for writing here. */
  mayWrite(ino: Ino): boolean;
  isDirectory(ino: Ino): boolean;
  /**
   * Everything written under the lease it has is at its home and the metaserver.
   * @throws FsError
   */
  publish(ino: Ino): Promise<void>;
  /** What may be told to others who look at it; undefined: nothing, or not now. */
  unpublished(ino: Ino): Unpublished | undefined;
  /** Its lease is given up: nothing of it may be answered from memory. */
  forget(ino: Ino): void;
  /** The kernel begins to forget its pages, for somebody else wants to change it or to write. */
  dropping(ino: Ino): void;
  /** The metaserver was told that it is open here. */
  toldOpen(ino: Ino): void;
}

export interface LeasesOptions {
  readonly kernel: KernelCache;
  readonly log: Logger;
  /** A request waits no longer for a lease, milliseconds. */
  readonly waitMs: number;
  bootMs(): number;
  /** Boot milliseconds when the leases of this node end. */
  endMs(): number;
  /** Waits its turn for a lease. @throws FsError */
  ask(ino: Ino, kind: LeaseKind): Promise<unknown>;
  release(releases: readonly LeaseRelease[]): Promise<void>;
  /** Answers a glimpse (rule C19). */
  glimpsed(glimpse: Glimpse, unpublished: Unpublished | undefined): Promise<void>;
}

interface Ticket {
  readonly go: Deferred<void>;
}

/** A recall that waits for the end of a turn. */
interface Deferral {
  readonly lseq: number;
  readonly keep: Keep;
  /** How often it was looked whether the turn is over. */
  readonly looks: number;
}

export type Recall = Extract<NonNullable<ServerFrame['body']>, { $case: 'recall' }>['value'];

/** A kernel that takes longer to forget may wait for an answer from here. */
const SLOW_MS = 2;
const RETRY_MS = 1_000;
/** Told while a recall takes long, so that the metaserver waits on. */
const PROGRESS_MS = 3_000;
/** Nothing new is told to the kernel so shortly before the end of the leases. */
const JEOPARDY_MS = 3_000;
const RELAX_MS = 250;
/** How often it is looked whether a turn is over. */
const TURN_LOOK_MS = 1;
/** A turn is over then, whatever the clock says. */
const TURN_LOOKS_MAX = TURN_MS / TURN_LOOK_MS;
export const LEASES_MAX = 100_000;
/** Given up at a time when there are too many. */
const TRIM = 1_000;

export class Leases {
  /** Bound when the vfs is made. */
  files: LeasedFiles | undefined;
  readonly #options: LeasesOptions;
  readonly #holder: LeaseHolder<Ticket>;
  readonly #turns = new LeaseTurns();
  /** Recalls that wait for the end of a turn. */
  readonly #deferred = new Map<Ino, Deferral>();
  #releases: LeaseRelease[] = [];
  /** May be held exclusively for nothing. */
  readonly #idle = new Set<Ino>();
  /** Leases that are being given up. */
  readonly #closing = new Set<Ino>();
  /** One for each request that is parked. */
  readonly #waits = new Set<NodeJS.Timeout>();
  #telling: NodeJS.Timeout | undefined;
  #relaxing: NodeJS.Timeout | undefined;
  #isWorking = false;
  #isClosed = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#holder = new LeaseHolder((ino) => this.files?.mayWrite(ino) ?? false);
  }

  get count(): number {
    return this.#holder.count;
  }

  /** What is known of the inode may be answered from memory now. */
  holds(ino: Ino): boolean {
    return this.#holder.kindOf(ino) !== undefined && this.#isValid();
  }

  /** It is held exclusively, also while it is being given up. */
  mayWrite(ino: Ino): boolean {
    return this.#holder.kindOf(ino) === 'exclusive';
  }

  lseqOf(ino: Ino): number {
    return this.#holder.lseqOf(ino);
  }

  /** How long the kernel may keep what it is told of the inode at this moment, milliseconds. */
  validMs(ino: Ino): number {
    if (!this.#holder.mayCache(ino)) return 0;
    const { bootMs, endMs, kernel } = this.#options;
    const restMs = endMs() - bootMs();
    return restMs < JEOPARDY_MS ? 0 : kernel.keepMs(ino, restMs);
  }

  /** As validMs, for a name in a directory. */
  nameValidMs(dir: Ino, told: ToldName): number {
    const validMs = this.validMs(dir);
    return validMs === 0 ? 0 : this.#options.kernel.nameMs(dir, told, validMs);
  }

  /** A name has gone from one directory to the other. Resolves when nobody is told it unduly. */
  nameMoved(from: Ino, to: Ino, newName: string): Promise<void> | undefined {
    return this.#options.kernel.moved(from, to, { newName, held: this.validMs(to) > 0 });
  }

  /** `work` runs under a lease, which is not given up before its result is there. */
  run<T>(
    context: RequestContext | undefined,
    ino: Ino,
    need: LeaseKind,
    work: () => Result<T>,
  ): Result<T> {
    const ready = this.use(context, ino, need);
    if (ready === undefined) return this.#under(ino, work);
    return ready.then(() => {
      if (this.#isValid()) return this.#under(ino, work);
      // This process was stopped for so long that what it was granted has run out.
      this.done(ino);
      return this.run(context, ino, need, work);
    });
  }

  /** Resolves, or returns, when the lease is held; done() is owed then. @throws FsError */
  use(context: RequestContext | undefined, ino: Ino, need: LeaseKind): Promise<void> | undefined {
    if (!this.#isValid() && this.#holder.kindOf(ino) !== undefined) this.expire();
    const ticket: Ticket = { go: deferred() };
    if (this.#holder.use(ino, need, ticket)) {
      this.#used(ino);
      return undefined;
    }
    const cancel = (error: FsError): void => {
      if (this.#holder.cancel(ino, ticket)) ticket.go.reject(error);
    };
    if (context !== undefined) {
      context.waitsFor = { lease: ino };
      context.interrupt = () => {
        cancel(new FsError('EINTR', 'interrupted while waiting for a lease'));
      };
      if (context.interrupted) context.interrupt();
    }
    this.#work();
    const { waitMs } = this.#options;
    const timer = setTimeout(() => {
      cancel(new FsError('EIO', `no lease on ino ${ino} within ${Math.round(waitMs / 1_000)} s`));
    }, waitMs);
    this.#waits.add(timer);
    return ticket.go.promise.finally(() => {
      clearTimeout(timer);
      this.#waits.delete(timer);
      if (context !== undefined) context.waitsFor = undefined;
    });
  }

  done(ino: Ino): void {
    this.#used(ino);
    this.#holder.done(ino);
    this.#work();
  }

  #used(ino: Ino): void {
    if (this.#turns.has(ino)) this.#turns.used(ino, this.#options.bootMs());
  }

  /** A reply brought a lease. */
  granted(ino: Ino, grant: Grant): void {
    this.#holder.granted(ino, grant);
    if (grant.kind === 'exclusive') this.relaxSoon(ino);
    const wasAsked = grant.kind === 'exclusive' && this.#holder.askedFor(ino) === 'exclusive';
    if (wasAsked) this.#turns.began(ino, grant.lseq, this.#options.bootMs());
    this.#work();
    if (this.#holder.count > LEASES_MAX) this.#trim();
  }

  recalled({ ino: wireIno, keepShared, lseq: wireLseq }: Recall): void {
    const ino = asIno(wireIno);
    const lseq = safeInteger(wireLseq);
    const keep = keepShared ? 'shared' : 'nothing';
    const waiting = this.#deferred.get(ino);
    if (waiting !== undefined) this.#deferred.set(ino, { ...waiting, lseq, keep });
    else this.#recallAfterTurn(ino, { lseq, keep, looks: 0 });
  }

  /** Looks whether the turn is over, from time to time. */
  #recallAfterTurn(ino: Ino, { keep, looks, lseq }: Deferral): void {
    const lasts = this.#turns.lasts(ino, lseq, this.#options.bootMs());
    if (!lasts || looks === TURN_LOOKS_MAX) {
      this.#deferred.delete(ino);
      this.#holder.recalled(ino, lseq, keep);
      this.#work();
      return;
    }
    this.#deferred.set(ino, { lseq, keep, looks: looks + 1 });
    setTimeout(() => {
      const waiting = this.#deferred.get(ino);
      if (waiting !== undefined && !this.#isClosed) this.#recallAfterTurn(ino, waiting);
    }, TURN_LOOK_MS);
  }

  /** Somebody looks at a file that may be written here. Where nothing is, it need not be. */
  glimpsed(glimpse: Glimpse): void {
    const ino = asIno(glimpse.ino);
    const isHeld = this.#isValid() && this.mayWrite(ino) && !this.#holder.isClosing(ino);
    const told = isHeld ? this.files?.unpublished(ino) : undefined;
    this.#options.glimpsed(glimpse, told).catch((error: unknown) => {
      this.#options.log.debug('a glimpse was not answered', { error });
    });
    if (told !== undefined) return;
    this.#holder.giveUp(ino, 'shared');
    this.#work();
  }

  /**
   * The right to write what nobody writes any more is given up, a moment later and many at a time,
   * so that others who look need not ask for it back.
   */
  relaxSoon(ino: Ino): void {
    this.#idle.add(ino);
    this.#relaxing ??= setTimeout(() => this.#relax(), RELAX_MS);
  }

  #relax(): void {
    this.#relaxing = undefined;
    const idle = [...this.#idle];
    this.#idle.clear();
    for (const ino of idle) {
      const isIdle = this.#holder.kindOf(ino) === 'exclusive' && !this.files?.mayWrite(ino);
      if (isIdle) this.#holder.giveUp(ino, 'shared');
    }
    this.#work();
  }

  /** The end of all leases: nothing is answered from memory, and the kernel forgets. */
  expire(): void {
    this.#forgetAll(this.#holder.expire());
  }

  /** The session is over: nothing of it is held, or called back, any more. */
  evicted(): void {
    this.#deferred.clear();
    this.#forgetAll(this.#holder.evicted());
  }

  #forgetAll(lost: readonly Ino[]): void {
    for (const ino of lost) this.files?.forget(ino);
    if (lost.length > 0) this.#options.log.warn('leases ran out', { count: lost.length });
    this.#background(this.#options.kernel.forgetEverything());
    this.#work();
  }

  /**
   * The metaserver began anew, and waits until the kernel has forgotten what was held here (C13): it
   * has when this resolves. What was given up before was forgotten before.
   */
  async letGo(): Promise<void> {
    this.#deferred.clear();
    const names = this.#options.kernel.forgetNames();
    let inos = this.#holder.restarted();
    this.#options.log.info('the metaserver began anew', { leases: inos.length });
    for (const ino of inos) this.files?.forget(ino);
    this.#work();
    while (inos.length > 0) inos = await this.#letGoOf(inos);
    await names;
  }

  /** From now on others may have what ran out here. */
  endLost(): void {
    this.#holder.endLost();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#relaxing);
    clearInterval(this.#telling);
    for (const timer of this.#waits) clearTimeout(timer);
  }

  #isValid(): boolean {
    return this.#options.bootMs() < this.#options.endMs();
  }

  #under<T>(ino: Ino, work: () => Result<T>): Result<T> {
    let result: Result<T>;
    try {
      result = work();
    } catch (error) {
      this.done(ino);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.done(ino));
    this.done(ino);
    return result;
  }

  /**
   * As with C9, the kernel may wait for an answer to a request that waits for a lease.
   * @returns what it was told of meanwhile, and has to forget once more
   */
  async #letGoOf(inos: readonly Ino[]): Promise<Ino[]> {
    const served = new Set<Ino>();
    const slow = setInterval(() => {
      if (!this.#isValid()) return;
      for (const ino of this.#holder.serveLost()) served.add(ino);
      this.#work();
    }, SLOW_MS);
    const forgotten = inos.flatMap((ino) => this.#options.kernel.forget(ino, false) ?? []);
    await Promise.all(forgotten).finally(() => clearInterval(slow));
    return [...served];
  }

  #trim(): void {
    for (const ino of this.#holder.coldest(TRIM)) this.#holder.giveUp(ino, 'nothing');
    this.#work();
  }

  #work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      for (;;) {
        const effects = this.#holder.takeEffects();
        if (effects.length === 0) break;
        for (const effect of effects) this.#do(effect);
      }
    } finally {
      this.#isWorking = false;
    }
  }

  #do(effect: HolderEffect<Ticket>): void {
    switch (effect.do) {
      case 'go':
        effect.ticket.go.resolve();
        return;
      case 'ask':
        this.#background(this.#ask(effect.ino, effect.need));
        return;
      case 'purge':
        this.#tellWhile(effect.ino);
        this.#background(this.#purge(effect.ino, effect.what));
        return;
      case 'flush':
        this.#tellWhile(effect.ino);
        this.#background(this.#flush(effect.ino));
        return;
      case 'release':
        this.#release(effect);
        return;
    }
  }

  async #ask(ino: Ino, kind: LeaseKind): Promise<void> {
    try {
      await this.#options.ask(ino, kind);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      for (const { go } of this.#holder.refused(ino)) go.reject(error);
      this.#work();
      return;
    }
    this.#holder.answered(ino);
    this.#work();
  }

  async #purge(ino: Ino, what: 'attributes' | 'all'): Promise<void> {
    const { kernel } = this.#options;
    const directory = this.files?.isDirectory(ino) ?? false;
    // Attributes alone stay right: none are told with a validity while something is unpublished.
    if (what === 'all') this.files?.dropping(ino);
    const forgotten = what === 'all' ? kernel.forget(ino, directory) : undefined;
    if (forgotten !== undefined) {
      const slow = setInterval(() => {
        this.#holder.slow(ino);
        this.#work();
      }, SLOW_MS);
      await forgotten.finally(() => clearInterval(slow));
    }
    this.#holder.purged(ino);
    this.#work();
  }

  /** Until it is published, or nobody wants it any more. */
  async #flush(ino: Ino): Promise<void> {
    while (!(await this.#published(ino)) && !this.#isClosed) await delay(RETRY_MS);
    this.#holder.flushed(ino);
    this.#work();
  }

  async #published(ino: Ino): Promise<boolean> {
    try {
      await this.files?.publish(ino);
      return true;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#options.log.warn('another machine waits for what cannot be published', { ino, error });
      return false;
    }
  }

  /** While leases are being given up, the metaserver is told from time to time to wait on. */
  #tellWhile(ino: Ino): void {
    this.#closing.add(ino);
    this.#telling ??= setInterval(() => this.#tellProgress(), PROGRESS_MS);
  }

  #tellProgress(): void {
    const inos = [...this.#closing].filter((ino) => this.#holder.isClosing(ino));
    this.#closing.clear();
    for (const ino of inos) this.#closing.add(ino);
    if (inos.length > 0) {
      const telling = { keep: 'nothing', open: true, progress: true } as const;
      this.#send(inos.map((ino) => ({ ino, lseq: this.#holder.lseqOf(ino), ...telling })));
      return;
    }
    clearInterval(this.#telling);
    this.#telling = undefined;
  }

  /** Forgotten at once; the message takes along what is given up in the same turn. */
  #release({ ino, lseq, keep }: Extract<HolderEffect<Ticket>, { do: 'release' }>): void {
    const { files } = this;
    const open = files?.isOpen(ino) ?? false;
    if (keep === 'nothing') {
      files?.forget(ino);
      if (open) files?.toldOpen(ino);
    }
    this.#releases.push({ ino, lseq, keep, open, progress: false });
    if (this.#releases.length > 1) return;
    queueMicrotask(() => {
      const releases = this.#releases;
      this.#releases = [];
      this.#send(releases);
    });
  }

  #send(releases: readonly LeaseRelease[]): void {
    this.#options.release(releases).catch((error: unknown) => {
      this.#options.log.debug('a lease was not given back', { error });
    });
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.log.error('a lease met a bug', { error }));
  }
}
