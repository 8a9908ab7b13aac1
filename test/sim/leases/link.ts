/**
 * A mount's session with the metaserver: its stream, its keepalives and the end of its leases
 * (rule C12), by the clock of its machine.
 */
import type { SessionId } from '../../../src/common/ids.ts';
import type { WriteLease } from '../../../src/metaserver/core/glimpses.ts';
import type { Op, ReleaseMessage, Reply } from './messages.ts';
import type { Mount } from './mount.ts';
import { Stream } from './network.ts';
import { SERVER } from './server.ts';
import type { Session } from './sessions.ts';
import type { World } from './world.ts';

const CLIENT_LEASE_MS = 10_000;
const KEEPALIVE_MS = 4_000;

type Recall = Pick<ReleaseMessage, 'ino' | 'lseq' | 'keep'>;

interface Outstanding {
  readonly body: Op;
  readonly answer: (reply: Reply) => void;
}

export class Link {
  sid: SessionId | 0 = 0;
  sepoch = 0;
  leaseEndMs = 0;
  isExpired = false;
  readonly #world: World;
  readonly #mount: Mount;
  /** Fake milliseconds per millisecond of this machine's clock. */
  readonly #rate: number;
  /** Lives that may have the session this process is to go on with. */
  #follows: readonly number[] = [];
  readonly #outstanding = new Map<number, Outstanding>();
  #serverEpoch = 0;
  #stream: Stream | undefined;
  #connecting: { readonly stream: Stream; readonly sentMs: number } | undefined;
  #nextId = 1;
  #answeredMs = 0;
  #watching = false;

  constructor(world: World, mount: Mount) {
    this.#world = world;
    this.#mount = mount;
    this.#rate = 0.97 + 0.06 * world.random.next();
  }

  /** What is remembered may be answered. */
  get isValid(): boolean {
    return this.sid !== 0 && !this.isExpired && this.#nowMs < this.leaseEndMs;
  }

  get stream(): Stream | undefined {
    return this.#stream;
  }

  get isConnected(): boolean {
    return this.#stream?.isOpen === true;
  }

  request(body: Op, answer: (reply: Reply) => void): void {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#outstanding.set(id, { body, answer });
    this.#submit(id, body);
  }

  release(release: ReleaseMessage): void {
    const { server } = this.#world;
    const { sid } = this;
    if (sid !== 0) this.#stream?.up(() => server.release(sid, release));
  }

  progress(ino: ReleaseMessage['ino']): void {
    const { server } = this.#world;
    const { sid } = this;
    if (sid !== 0) this.#stream?.up(() => server.progress(sid, ino));
  }

  /** A stream of before the end of the leases may still have something to say: too late. */
  #isLate(stream: Stream): boolean {
    this.expire();
    if (stream === this.#stream) return false;
    this.#world.tally.count('frame of an old stream');
    return true;
  }

  recalled(stream: Stream, { ino, lseq, keep }: Recall): void {
    if (!this.#isLate(stream)) this.#mount.recalled(ino, lseq, keep);
  }

  glimpsed(stream: Stream, { id, ino, lseq }: WriteLease & { readonly id: number }): void {
    if (this.#isLate(stream)) return;
    const { holder, publisher } = this.#mount;
    const isHeld = this.isValid && holder.kindOf(ino) === 'exclusive' && !holder.isClosing(ino);
    const size = isHeld && publisher.has(ino) ? publisher.sizes.get(ino) : undefined;
    this.request({ op: 'glimpsed', id, ino, lseq, size }, () => {});
    if (size === undefined) holder.giveUp(ino, 'shared');
    this.#mount.work();
  }

  replied(stream: Stream, reply: Reply): void {
    if (this.#isLate(stream)) return;
    const outstanding = this.#outstanding.get(reply.id);
    if (outstanding === undefined) return;
    this.#outstanding.delete(reply.id);
    this.#mount.granted(reply);
    outstanding.answer(reply);
    this.#mount.work();
  }

  // The stream.

  /** Instead of a new session, that of a process that has died. */
  follow({ link, life }: Mount): void {
    this.sid = link.sid;
    // One that died before it was welcomed may have the session already, or not.
    this.#follows = [...link.#follows, life];
  }

  start(): void {
    this.connect();
    this.#keepAlive();
  }

  connect(): void {
    if (this.#connecting !== undefined || this.isConnected || this.#mount.node.isDead) return;
    const { network, queue, server } = this.#world;
    const stream = new Stream(network, this.#mount.id, SERVER);
    const { sid } = this;
    this.#connecting = { stream, sentMs: queue.nowMs };
    const follows = this.#follows;
    stream.up(() => server.hello(this.#mount, { sid, follows }, stream));
    queue.after(700, () => this.#mount.node.run(() => this.down(stream)));
  }

  /** A stream is gone, or has not come about. */
  down(stream: Stream): void {
    if (this.#connecting?.stream === stream) {
      stream.isOpen = false;
      this.#connecting = undefined;
    } else if (this.#stream === stream && !stream.isOpen) this.#stream = undefined;
    this.connect();
  }

  welcome(stream: Stream, { sid, sepoch }: Session, serverEpoch: number): void {
    if (this.#connecting?.stream !== stream) return;
    const { sentMs } = this.#connecting;
    this.#connecting = undefined;
    this.#stream = stream;
    this.#extend(sentMs);
    if (!this.isValid && sid === this.sid && this.#nowMs >= this.leaseEndMs) {
      stream.isOpen = false;
      this.#stream = undefined;
      this.connect();
      return;
    }
    this.isExpired = false;
    const isNew = sid !== this.sid;
    const isRestarted = !isNew && serverEpoch !== this.#serverEpoch;
    if (isNew && this.#follows.length > 0) this.#mount.loseWritten();
    this.#follows = [];
    this.sid = sid;
    this.sepoch = sepoch;
    const isFirst = this.#serverEpoch === 0;
    this.#serverEpoch = serverEpoch;
    this.#world.log(() => `${this.#mount.name} has session s${sid}`);
    for (const [id, { body }] of this.#outstanding) this.#submit(id, body);
    if (isRestarted && isFirst) this.#mount.settleLeft();
    else if (isRestarted) this.#mount.settle();
    this.#mount.resumed();
  }

  evicted(sid: SessionId): void {
    if (sid !== this.sid) return;
    this.#world.log(() => `${this.#mount.name} learns that s${sid} was evicted`);
    this.#world.tally.count('learns of its eviction');
    this.sid = 0;
    this.#follows = [];
    this.isExpired = false;
    this.leaseEndMs = 0;
    this.#outstanding.clear();
    if (this.#connecting !== undefined) this.#connecting.stream.isOpen = false;
    this.#connecting = undefined;
    if (this.#stream !== undefined) this.#stream.isOpen = false;
    this.#stream = undefined;
    this.#mount.reset();
    this.connect();
  }

  #submit(id: number, body: Op): void {
    const { server } = this.#world;
    const { sid } = this;
    if (sid !== 0) this.#stream?.up(() => server.submit(sid, { id, body }));
  }

  // The lease.

  #keepAlive(): void {
    if (this.#mount.node.isDead) return;
    const { network, queue, server } = this.#world;
    queue.after(KEEPALIVE_MS * this.#rate, () => this.#mount.node.run(() => this.#keepAlive()));
    const { sid } = this;
    if (sid === 0) return;
    const sentMs = queue.nowMs;
    network.send(this.#mount.id, SERVER, () => {
      const isAlive = server.keepAlive(sid);
      if (isAlive === undefined) return;
      network.send(SERVER, this.#mount.id, () =>
        this.#mount.node.run(() => this.#kept(sid, sentMs, isAlive)),
      );
    });
    if (this.isConnected && sentMs - this.#answeredMs > 2 * KEEPALIVE_MS && this.#stream) {
      this.#world.tally.count('K1 stream started anew');
      this.#world.breakStream(this.#stream);
    }
  }

  #kept(sid: SessionId, sentMs: number, isAlive: boolean): void {
    if (sid !== this.sid) return;
    if (!isAlive) this.evicted(sid);
    else this.#extend(sentMs);
  }

  #extend(sentMs: number): void {
    this.#answeredMs = this.#nowMs;
    this.leaseEndMs = Math.max(this.leaseEndMs, sentMs + CLIENT_LEASE_MS * this.#rate);
    if (this.#watching) return;
    this.#watching = true;
    this.#watch();
  }

  /** The guardian looks too: it does not stop with the node. */
  #watch(): void {
    const { queue } = this.#world;
    queue.at(this.leaseEndMs, () => {
      if (this.#mount.node.isDead || this.sid === 0) this.#watching = false;
      else if (this.#nowMs < this.leaseEndMs) this.#watch();
      else {
        this.#watching = false;
        if (this.#mount.node.isPaused) this.#mount.guardianForgets();
        else this.expire();
      }
    });
  }

  expire(): void {
    if (this.isExpired || this.sid === 0 || this.#nowMs < this.leaseEndMs) return;
    this.#world.log(() => `${this.#mount.name} is out of time`);
    this.#world.tally.count('C12 expired');
    this.isExpired = true;
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined) this.#world.breakStream(stream);
    this.#mount.expire();
    this.connect();
  }

  get #nowMs(): number {
    return this.#world.queue.nowMs;
  }
}
