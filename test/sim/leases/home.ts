/** The home of some files: pages on its disk, and the real Fences before them. */
import type { Ino } from '../../../src/common/ids.ts';
import type { Fences } from '../../../src/peer/core/fences.ts';
import { Violation } from './checker.ts';
import { type Content, type DataCall, type DataReply, PAGES } from './messages.ts';
import { SERVER } from './server.ts';
import type { World } from './world.ts';

const UNWRITTEN: Content = { version: 0 };

export class Home {
  readonly id: number;
  readonly #world: World;
  readonly #pages = new Map<number, Content>();
  /** The last call of each process of a session that was carried out. */
  readonly #orders = new Map<string, number>();
  fences: Fences;
  /** Epoch of its group, as it knows it; 0: not registered. */
  epoch = 1;
  isUp = true;
  /** When its own lease ends, and when the metaserver has last heard of it. */
  leaseEndMs = 10_000;
  heardMs = 0;
  /** The metaserver counts on its having been gone. */
  needsEpoch = false;

  constructor(world: World, id: number) {
    this.id = id;
    this.#world = world;
    this.fences = world.parts.fences();
  }

  versionOf(ino: Ino, page: number): number {
    return this.#pages.get(ino * PAGES + page)?.version ?? 0;
  }

  /** As the metaserver sees it. */
  get isGone(): boolean {
    return this.#world.queue.nowMs >= this.heardMs + 14_000;
  }

  /** Every four seconds, and at its start. */
  keepAlive(): void {
    if (!this.isUp) return;
    const { network, queue, server } = this.#world;
    const sentMs = queue.nowMs;
    const { epoch } = this;
    network.send(this.id, SERVER, () => {
      if (!server.isUp || !this.isUp || this.epoch !== epoch) return;
      if (this.isGone) this.needsEpoch = true;
      this.heardMs = queue.nowMs;
      network.send(SERVER, this.id, () => {
        if (!this.isUp || this.epoch !== epoch) return;
        if (this.needsEpoch || epoch === 0) this.#begin();
        this.leaseEndMs = Math.max(this.leaseEndMs, sentMs + 10_000);
      });
    });
  }

  crash(): void {
    this.isUp = false;
  }

  restart(): void {
    this.isUp = true;
    this.epoch = 0;
    this.leaseEndMs = 0;
    this.keepAlive();
  }

  execute(call: DataCall): DataReply | undefined {
    if (!this.isUp) return undefined;
    const { tally } = this.#world;
    if (this.#world.queue.nowMs >= this.leaseEndMs) return this.#refuse('alone');
    if (call.homeEpoch !== this.epoch) return this.#refuse('epoch');
    if (this.fences.isEvicted(call)) return this.#refuse('evicted');
    this.#world.parts.meets(this.fences, call);
    if (call.content === undefined) {
      this.fences.follow(call.ino, call.lseq);
      tally.count('data read');
      return { ok: true, content: this.#pages.get(call.ino * PAGES + call.page) ?? UNWRITTEN };
    }
    if (this.fences.isLate(call)) return this.#refuse('late');
    // A connection keeps its order: of one session, a late copy meets its own younger call first.
    const life = `${call.sid}.${call.sepoch}`;
    if ((this.#orders.get(life) ?? 0) > call.order) {
      tally.count('copy after a younger call');
      return undefined;
    }
    this.#orders.set(life, call.order);
    this.fences.follow(call.ino, call.lseq);
    this.#write(call, call.content);
    return { ok: true, content: call.content };
  }

  #write(call: DataCall, content: Content): void {
    const { ino, page, sid } = call;
    const { server, tally } = this.#world;
    const known = this.versionOf(ino, page);
    this.#world.log(() => `home ${this.id} writes ${ino}.${page} v${content.version} of s${sid}`);
    tally.count('data write');
    if (content.version < known) {
      throw new Violation(
        `S6: ${ino}.${page} v${known} is overwritten with v${content.version} of s${sid}`,
      );
    }
    if (content.version > known && !server.table.mayPublish(sid, ino)) {
      throw new Violation(`S4: s${sid} writes ${ino}.${page} without a lease`);
    }
    this.#pages.set(ino * PAGES + page, content);
  }

  #refuse(refusal: 'epoch' | 'evicted' | 'late' | 'alone'): DataReply {
    this.#world.tally.count(`C14 refused: ${refusal}`);
    return { ok: false, refusal };
  }

  /** A new life of the group: fences are forgotten, and every call of before names it wrongly. */
  #begin(): void {
    this.needsEpoch = false;
    this.epoch = this.#world.nextEpoch(this);
    this.fences = this.#world.parts.fences();
    this.#world.tally.count('home with a new epoch');
  }
}
