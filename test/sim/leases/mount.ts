/**
 * The fake mount around the real LeaseHolder: answers its kernel from memory under a lease, else
 * asks; gives leases up as the holder says.
 */
import type { Ino } from '../../../src/common/ids.ts';
import type { Keep } from '../../../src/common/lease.ts';
import type { HolderEffect, LeaseHolder } from '../../../src/mount/core/lease-holder.ts';
import { KernelCopy } from '../../../src/mount/vfs/kernel-copy.ts';
import { Violation } from './checker.ts';
import { Epochs } from './epochs.ts';
import { Handles } from './handles.ts';
import { Kernel } from './kernel.ts';
import { Left } from './left.ts';
import { Link } from './link.ts';
import {
  type Attr,
  type Content,
  type Entry,
  isDirectory,
  type Known,
  type Reply,
} from './messages.ts';
import { Node } from './node.ts';
import { Publisher } from './publisher.ts';
import { proceed, serve } from './requests.ts';
import { type Answer, told, type Upcall } from './upcalls.ts';
import type { World } from './world.ts';

/** A kernel that takes longer than this to forget may wait for an answer from here. */
const SLOW_MS = 2;
const TURN_MS = 20;
const PROGRESS_MS = 3_000;

export class Mount {
  readonly world: World;
  readonly id: number;
  readonly life: number;
  readonly node = new Node();
  readonly link: Link;
  readonly kernel: Kernel;
  readonly handles = new Handles();
  readonly publisher: Publisher;
  readonly left = new Left(this);
  readonly epochs: Epochs;
  /** As the metaserver has told. */
  homeEpochs: number[] = [];
  /** Rises with each session. */
  generation = 1;
  /** Rises when the leases run out. */
  expiries = 0;
  holder: LeaseHolder<Upcall>;
  readonly attrs = new Map<Ino, Attr>();
  readonly names = new Map<Ino, Map<number, Entry>>();
  readonly pages = new Map<Ino, Map<number, Content>>();
  readonly #copies = new Map<Ino, KernelCopy>();
  /** Removals under way, and opens that wait for their outcome. */
  readonly removing = new Map<Ino, number>();
  /** What this mount has removed: its lease must not open it again. */
  readonly gone = new Set<Ino>();
  waitingOpens: Upcall[] = [];
  /** Changes by the metaserver that count as users of a lease meanwhile. */
  readonly relying = new Set<Extract<Upcall, { readonly kind: 'setattr' }>>();
  readonly unanswered = new Set<Upcall>();
  readonly #closing = new Set<Ino>();
  #settling = 0;
  #isWorking = false;

  constructor(world: World, id: number, life: number) {
    this.world = world;
    this.id = id;
    this.life = life;
    this.link = new Link(world, this);
    this.kernel = new Kernel(world, this);
    this.publisher = new Publisher(world, this);
    this.holder = this.#newHolder();
    this.epochs = new Epochs(world, this);
  }

  get name(): string {
    return `mount ${this.id}`;
  }

  #newHolder(): LeaseHolder<Upcall> {
    return this.world.parts.holder<Upcall>((ino) => this.handles.mayWrite(ino));
  }

  // Requests of the kernel.

  arrived(upcall: Upcall): void {
    this.unanswered.add(upcall);
    this.world.tally.count(`upcall ${upcall.kind}`);
    this.world.log(() => `${this.name} gets ${told(upcall)}`);
    serve(this, upcall);
    this.work();
  }

  answer(upcall: Upcall, answer: Answer): void {
    if (!this.unanswered.delete(upcall)) return;
    this.world.log(() => `${this.name} answers ${told(upcall)}: ${answer.error ?? 'done'}`);
    upcall.answer?.(answer);
  }

  /** From memory, or from the reply that brought it. */
  holds(ino: Ino): boolean {
    return this.link.isValid && this.holder.kindOf(ino) !== undefined;
  }

  /** What the kernel has of a file. */
  copy(ino: Ino): KernelCopy {
    const known = this.#copies.get(ino);
    if (known !== undefined) return known;
    const copy = new KernelCopy();
    this.#copies.set(ino, copy);
    return copy;
  }

  /** How long the kernel may keep what it is told of the inode now. */
  ttlMs(ino: Ino): number {
    if (!this.link.isValid || !this.holder.mayCache(ino)) return 0;
    return Math.min(5_000, this.link.leaseEndMs - this.world.queue.nowMs);
  }

  /** As ttlMs, for attributes: what is written here changes them (C17). */
  attrMs(ino: Ino): number {
    return this.publisher.has(ino) ? 0 : this.ttlMs(ino);
  }

  /** The reply is what the lease held now has begun with. */
  isCurrent(ino: Ino, reply: Reply): boolean {
    if (!this.link.isValid || !this.holder.mayCache(ino)) return false;
    return reply.grants.some((given) => {
      return given.ino === ino && given.grant.lseq === this.holder.lseqOf(ino);
    });
  }

  /** With what was written here. */
  withLocal(ino: Ino, attr: Attr): Attr {
    return { mode: attr.mode, size: Math.max(attr.size, this.publisher.sizes.get(ino) ?? 0) };
  }

  expects(ino: Ino | 0): Known {
    return { ino, open: ino !== 0 && this.handles.isOpen(ino) };
  }

  // Leases.

  granted(reply: Reply): void {
    for (const { ino, grant, attr } of reply.grants) {
      const before = this.holder.lseqOf(ino);
      this.holder.granted(ino, grant);
      if (this.isCurrent(ino, reply)) {
        if (attr !== undefined) this.attrs.set(ino, attr);
        this.world.tally.count(`grant ${grant.kind}`);
      } else this.world.tally.count(grant.lseq <= before ? 'C11 old grant' : 'C11 void grant');
    }
  }

  recalled(ino: Ino, lseq: number, keep: Keep): void {
    const { holder, world } = this;
    world.tally.count(holder.kindOf(ino) ? 'recalled' : 'recalled without a lease');
    const settling = this.#settling;
    const call = (): void => {
      if (holder !== this.holder || settling !== this.#settling) return;
      holder.recalled(ino, lseq, keep);
      this.work();
    };
    const turn = holder.kindOf(ino) === 'exclusive' && world.random.chance(0.3);
    if (!turn) call();
    else {
      world.tally.count('C21 a turn lasts');
      world.queue.after(TURN_MS * world.random.next(), () => this.node.run(call));
    }
  }

  work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (;;) {
      const effects = this.holder.takeEffects();
      if (effects.length === 0) break;
      for (const effect of effects) this.#do(effect);
    }
    this.#isWorking = false;
  }

  #do(effect: HolderEffect<Upcall>): void {
    const { holder } = this;
    switch (effect.do) {
      case 'go':
        this.world.tally.count('C7 goes on');
        proceed(this, effect.ticket);
        break;
      case 'ask':
        this.#ask(effect.ino, effect.need);
        break;
      case 'purge':
        this.#purge(effect.ino, effect.what);
        break;
      case 'flush': {
        this.#isClosing(effect.ino);
        const { ino } = effect;
        this.left.flush(ino, () => {
          if (holder !== this.holder) return;
          holder.flushed(ino);
          this.work();
        });
        break;
      }
      case 'release':
        this.#release(effect.ino, effect.lseq, effect.keep);
    }
  }

  #ask(ino: Ino, need: 'shared' | 'exclusive'): void {
    const { holder } = this;
    this.world.log(() => `${this.name} asks for ${ino} ${need}`);
    this.link.request({ op: 'ask', ino, kind: need }, (reply) => {
      if (holder !== this.holder) return;
      if (reply.error === undefined) holder.answered(ino);
      else {
        for (const upcall of holder.refused(ino)) this.answer(upcall, { error: 'ESTALE' });
        this.closedOne(ino);
      }
    });
  }

  #purge(ino: Ino, what: 'attributes' | 'all'): void {
    const { holder, world } = this;
    this.#isClosing(ino);
    if (what === 'all') this.copy(ino).forgot(world.queue.nowMs);
    world.tally.count(`C8 purge ${what}`);
    world.log(() => `${this.name} purges ${what} of ${ino}`);
    let isDone = false;
    let slowMs = SLOW_MS;
    const watch = (): void => {
      if (isDone || holder !== this.holder) return;
      world.tally.count('C9 slow');
      holder.slow(ino);
      this.work();
      slowMs = Math.min(32, 2 * slowMs);
      world.queue.after(slowMs, () => this.node.run(watch));
    };
    let parts = 2;
    const forgotten = (): void => {
      parts -= 1;
      if (parts > 0) return;
      isDone = true;
      const task = (): void => {
        if (holder !== this.holder) return;
        world.log(() => `${this.name} has purged ${ino}`);
        holder.purged(ino);
        this.work();
      };
      world.queue.after(0.05 * world.random.next(), () => this.node.run(task));
    };
    this.tellKernel(() => world.parts.forget(this.kernel, ino, what, forgotten));
    this.epochs.purge(ino, forgotten);
    world.queue.after(SLOW_MS, () => this.node.run(watch));
  }

  /** The thread that tells the kernel is busy at times. */
  tellKernel(task: () => void): void {
    const { random, queue } = this.world;
    const startMs = random.chance(0.03) ? 6 : 0.2;
    queue.after(0.01 + startMs * random.next(), () => {
      if (!this.node.isDead) task();
    });
  }

  #release(ino: Ino, lseq: number, keep: Keep): void {
    const open = this.handles.isOpen(ino);
    this.world.log(() => `${this.name} releases ${ino} lseq ${lseq}, keep ${keep}, open ${open}`);
    if (keep === 'nothing') {
      const left = this.kernel.remembers(ino);
      if (left !== undefined) {
        throw new Violation(`S3: ${this.name} gives up ${ino}, its kernel keeps ${left}`);
      }
      this.forget(ino);
      if (open) this.handles.told.add(ino);
    }
    if (keep === 'shared' && this.handles.mayWrite(ino)) {
      throw new Violation(`C10: ${this.name} keeps ${ino} shared, which it has open for writing`);
    }
    if (this.publisher.has(ino)) {
      throw new Violation(`S6: ${this.name} gives up ${ino} before it has published`);
    }
    this.#closing.delete(ino);
    this.link.release({ ino, lseq, keep, open });
  }

  /**
   * The metaserver is told when it may count this mount among the openers and nothing is open or
   * about to be. The lease goes too: another open has to ask whether the inode is still there.
   */
  closedOne(ino: Ino): void {
    if (this.handles.isOpen(ino) || !this.handles.told.has(ino)) return;
    for (const upcall of this.unanswered) {
      if (upcall.kind === 'open' && upcall.ino === ino) return;
      if (upcall.made?.ino === ino) return;
    }
    this.handles.told.delete(ino);
    this.world.tally.count('CloseUnlinked');
    this.link.request({ op: 'closed', ino }, () => {});
    this.holder.giveUp(ino, 'nothing');
  }

  forget(ino: Ino): void {
    this.attrs.delete(ino);
    this.pages.delete(ino);
    this.copy(ino).forgot(this.world.queue.nowMs);
    if (isDirectory(ino)) this.world.parts.forgetNames(this, ino);
  }

  #isClosing(ino: Ino): void {
    if (this.#closing.has(ino)) return;
    this.#closing.add(ino);
    this.#tellProgress(ino);
  }

  #tellProgress(ino: Ino): void {
    const { holder } = this;
    this.world.queue.after(PROGRESS_MS, () =>
      this.node.run(() => {
        if (holder !== this.holder || !this.#closing.has(ino)) return;
        this.link.progress(ino);
        this.#tellProgress(ino);
      }),
    );
  }

  // The session.

  /** A stream is there again. */
  resumed(): void {
    this.homeEpochs = this.world.homes.reduce<number[]>((epochs, home) => {
      epochs[home.id] = this.world.knownEpoch(home);
      return epochs;
    }, []);
    this.work();
  }

  /** The metaserver has lost its table: everything is forgotten and published (C13). */
  settle(): void {
    this.#settling += 1;
    this.world.tally.count('settles');
    this.epochs.forgotten();
    this.kernel.forgetNames();
    const inos = this.holder.restarted();
    this.#forgetAll();
    this.#letGoOf(inos, this.#settling);
    this.work();
  }

  /** What the process before has left is published (C16): this one's kernel has nothing of then. */
  settleLeft(): void {
    this.#settling += 1;
    this.world.tally.count('settles');
    this.#publishAll(this.#settling, () => this.#settled());
    this.work();
  }

  #letGoOf(inos: readonly Ino[], settling: number): void {
    const { world, holder } = this;
    if (inos.length === 0) {
      this.#publishAll(settling, () => this.#hasLetGo());
      return;
    }
    const served = new Set<Ino>();
    let left = inos.length;
    const isOver = (): boolean => settling !== this.#settling || left === 0;
    const watch = (): void => {
      if (isOver()) return;
      for (const ino of this.link.isValid ? holder.serveLost() : []) {
        world.tally.count('C13 served');
        served.add(ino);
      }
      this.work();
      world.queue.after(SLOW_MS, () => this.node.run(watch));
    };
    const forgotten = (): void => {
      left -= 1;
      if (left > 0) return;
      this.node.run(() => {
        if (settling === this.#settling) this.#letGoOf([...served], settling);
      });
    };
    for (const ino of inos) {
      world.queue.after(0.2 * world.random.next(), () => {
        if (!this.node.isDead) world.parts.forget(this.kernel, ino, 'all', forgotten);
      });
    }
    world.queue.after(SLOW_MS, () => this.node.run(watch));
  }

  #publishAll(settling: number, published: () => void): void {
    const [first] = this.publisher.inos();
    if (first === undefined) {
      published();
      return;
    }
    this.publisher.publish(first, () => {
      if (settling === this.#settling) this.#publishAll(settling, published);
    });
  }

  #hasLetGo(): void {
    for (const ino of this.world.server.tree.inodes.keys()) {
      const left = this.kernel.remembers(ino);
      if (left === undefined) continue;
      throw new Violation(`S3: ${this.name} has settled, its kernel keeps ${left} of ${ino}`);
    }
    this.holder.endLost();
    this.#settled();
  }

  #settled(): void {
    const open = this.handles.inos();
    for (const ino of open) this.handles.told.add(ino);
    this.link.request({ op: 'settled', open }, () => {});
  }

  expire(): void {
    this.expiries += 1;
    this.holder.expire();
    this.#forgetAll();
    if (this.world.parts.purgesAtExpiry) this.kernel.forgetEverything();
    this.work();
  }

  /** The node is stopped; the guardian has its kernel forget. */
  guardianForgets(): void {
    this.world.tally.count('C12 guardian');
    if (this.world.parts.purgesAtExpiry) this.kernel.forgetEverything();
  }

  #forgetAll(): void {
    this.epochs.forgotten();
    for (const copy of this.#copies.values()) copy.forgot(this.world.queue.nowMs);
    this.attrs.clear();
    this.names.clear();
    this.pages.clear();
  }

  /** It was evicted: a new session begins with nothing. */
  reset(): void {
    this.generation += 1;
    this.holder = this.#newHolder();
    this.#forgetAll();
    this.left.take(this.publisher.inos());
    this.loseWritten();
    this.handles.clear();
    this.removing.clear();
    this.relying.clear();
    this.waitingOpens = [];
    this.#closing.clear();
    this.#settling += 1;
    const waiting = [...this.unanswered];
    for (const upcall of waiting) this.#redo(upcall);
    this.kernel.forgetEverything();
    this.work();
  }

  /** The session it was written in is over. */
  loseWritten(): void {
    if (this.publisher.inos().length > 0) this.world.tally.count('C15 written and lost');
    this.publisher.clear();
  }

  #redo(upcall: Upcall): void {
    const { kind } = upcall;
    if (kind === 'lookup' || kind === 'getattr' || kind === 'readdir' || kind === 'open') {
      serve(this, upcall);
    } else if (kind === 'release') this.answer(upcall, {});
    else this.answer(upcall, { error: 'EIO' });
  }
}
