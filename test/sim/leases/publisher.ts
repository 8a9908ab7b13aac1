/** What a mount has written and not published, and how it gets to the home and the metaserver. */
import type { Ino } from '../../../src/common/ids.ts';
import { type Content, type DataCall, type DataReply, PENDING } from './messages.ts';
import type { Mount } from './mount.ts';
import type { World } from './world.ts';

const CALL_MS = 1_000;

interface Dirty {
  readonly pages: Map<number, Content>;
  /** The size is to be told. */
  isSizeDirty: boolean;
  /** The lease it was last written under. */
  lseq: number;
}

export class Publisher {
  /** As large as local writes have made it. */
  readonly sizes = new Map<Ino, number>();
  readonly #world: World;
  readonly #mount: Mount;
  readonly #dirty = new Map<Ino, Dirty>();
  readonly #running = new Map<Ino, (() => void)[]>();
  #order = 1;

  constructor(world: World, mount: Mount) {
    this.#world = world;
    this.#mount = mount;
  }

  /** A write is taken. */
  accept(ino: Ino, page: number, content: Content, lseq: number): void {
    const { checker } = this.#world;
    if (content.version === PENDING) content.version = checker.nextVersion();
    const fresh: Dirty = { pages: new Map<number, Content>(), isSizeDirty: true, lseq };
    const dirty = this.#dirty.get(ino) ?? fresh;
    this.#dirty.set(ino, dirty);
    const known = dirty.pages.get(page);
    if (known === undefined || known.version < content.version) dirty.pages.set(page, content);
    // One publication of a file runs at a time.
    const mayBeSent = known !== undefined && !this.#running.has(ino);
    if (mayBeSent && this.#world.random.chance(0.2)) this.#sentLate(ino, page, known);
    dirty.isSizeDirty = true;
    dirty.lseq = Math.max(dirty.lseq, lseq);
    this.sizes.set(ino, checker.nextVersion());
  }

  /** What the process before this one has left in its journal (C16). */
  adopt(before: Publisher, lseqOf: (ino: Ino, written: number) => number): void {
    for (const [ino, { pages, lseq }] of before.#dirty) {
      this.#dirty.set(ino, { pages: new Map(pages), isSizeDirty: true, lseq: lseqOf(ino, lseq) });
      this.sizes.set(ino, before.sizes.get(ino) ?? 0);
    }
  }

  /** The bytes are at their home: the size is to be told. */
  left(ino: Ino, lseq: number): void {
    const dirty = this.#dirty.get(ino) ?? { pages: new Map<number, Content>(), lseq };
    this.#dirty.set(ino, { ...dirty, isSizeDirty: true });
    this.sizes.set(ino, this.sizes.get(ino) ?? 0);
  }

  page(ino: Ino, page: number): Content | undefined {
    return this.#dirty.get(ino)?.pages.get(page);
  }

  has(ino: Ino): boolean {
    return this.#dirty.has(ino);
  }

  inos(): Ino[] {
    return [...this.#dirty.keys()];
  }

  /** `done` when all of it is published; never, when the session ends before. */
  publish(ino: Ino, done: () => void): void {
    const running = this.#running.get(ino);
    if (running !== undefined) {
      running.push(done);
      return;
    }
    if (!this.#dirty.has(ino)) {
      done();
      return;
    }
    this.#running.set(ino, [done]);
    this.#next(ino, this.#mount.generation);
  }

  /** All of it is lost with a word. */
  clear(): void {
    this.#dirty.clear();
    this.#running.clear();
    this.sizes.clear();
  }

  #next(ino: Ino, generation: number): void {
    const dirty = this.#dirty.get(ino);
    if (generation !== this.#mount.generation || dirty === undefined) return;
    const first = dirty.pages.entries().next();
    if (first.done !== true) {
      const [page, content] = first.value;
      this.call(ino, page, content, dirty.lseq, () => {
        if (dirty.pages.get(page) === content) dirty.pages.delete(page);
        this.#next(ino, generation);
      });
      return;
    }
    dirty.isSizeDirty = false;
    const size = this.sizes.get(ino) ?? 0;
    this.#mount.link.request({ op: 'flush', ino, size }, () => {
      if (dirty.pages.size > 0 || dirty.isSizeDirty) {
        this.#next(ino, generation);
        return;
      }
      this.#dirty.delete(ino);
      this.#world.tally.count('published');
      const waiters = this.#running.get(ino) ?? [];
      this.#running.delete(ino);
      for (const waiter of waiters) waiter();
      this.#mount.work();
    });
  }

  /** A call to the home of the file, until it is answered in this session. */
  call(
    ino: Ino,
    page: number,
    content: Content | undefined,
    lseqMin: number,
    done: (content: Content) => void,
  ): void {
    const { generation } = this.#mount;
    const call = this.#newCall({ ino, page, content }, lseqMin);
    if (call === undefined) return;
    let isOver = false;
    const again = (): void => {
      if (isOver || generation !== this.#mount.generation) return;
      isOver = true;
      this.call(ino, page, content, lseqMin, done);
    };
    this.#deliver(call, (reply) => {
      if (isOver || generation !== this.#mount.generation) return;
      if (reply.ok) {
        isOver = true;
        done(reply.content);
      } else this.#world.queue.after(40, () => this.#mount.node.run(again));
    });
    this.#world.queue.after(CALL_MS, () => this.#mount.node.run(again));
  }

  /** Written to the home by age just before it was overwritten here, and long under way. */
  #sentLate(ino: Ino, page: number, content: Content): void {
    const call = this.#newCall({ ino, page, content }, 0);
    if (call === undefined) return;
    const { queue, random, tally } = this.#world;
    tally.fault('late data call');
    queue.after(3_000 * random.next(), () => this.#world.homeOf(ino).execute(call));
  }

  #newCall(
    what: Pick<DataCall, 'ino' | 'page' | 'content'>,
    lseqMin: number,
  ): DataCall | undefined {
    const { link, holder, homeEpochs } = this.#mount;
    const { sid, sepoch } = link;
    if (sid === 0) return undefined;
    const lseq = Math.max(lseqMin, holder.lseqOf(what.ino));
    const homeEpoch = homeEpochs[this.#world.homeOf(what.ino).id] ?? 0;
    const order = this.#order;
    this.#order += 1;
    return { ...what, sid, sepoch, lseq, homeEpoch, order };
  }

  #deliver(call: DataCall, answered: (reply: DataReply) => void): void {
    const { network, random, tally, queue } = this.#world;
    const home = this.#world.homeOf(call.ino);
    const arrive = (): void => {
      const reply = home.execute(call);
      if (reply === undefined) return;
      const send = (): void => {
        network.send(home.id, this.#mount.id, () => this.#mount.node.run(() => answered(reply)));
      };
      if (!random.chance(0.08)) send();
      else {
        tally.fault('slow answer of a home');
        queue.after(60 * random.next(), send);
      }
    };
    network.send(this.#mount.id, home.id, arrive);
    if (call.content === undefined || !random.chance(0.1)) return;
    tally.fault('late copy of a data call');
    queue.after(random.chance(0.2) ? 20_000 * random.next() : 40 * random.next(), arrive);
  }
}
