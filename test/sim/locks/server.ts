/**
 * The metaserver as far as locks go: the real LockDesk, LeaseDesk and Evictions, and sessions as
 * SessionTable has them. Sessions, and those that ended, are durable; nothing else is.
 */
import type { ClientFrame, Hello, KeepAliveReply, Request } from '../../../gen/meta.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asEpoch, asSessionId, type Epoch, type SessionId } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { Operation } from '../../../src/common/rpc/session-client.ts';
import { WIRE_VERSION } from '../../../src/common/rpc/wire-version.ts';
import { LeaseTable } from '../../../src/metaserver/core/leases.ts';
import { type EndedMount, Evictions } from '../../../src/metaserver/evictions.ts';
import { LeaseDesk } from '../../../src/metaserver/lease-desk.ts';
import { isLockOp, type LockDesk, type LockJob } from '../../../src/metaserver/lock-desk.ts';
import { ReplyCache } from '../../../src/metaserver/reply-cache.ts';
import { GONE_MS, isGone, type Session } from '../../../src/metaserver/session.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import { EMPTY_RESULT, inosOf, type Result } from '../../../src/metaserver/wire.ts';
import type { Connection } from './connection.ts';
import type { Homes } from './homes.ts';
import type { SimMount } from './mount.ts';
import type { World } from './world.ts';

/** What lives as long as the process. */
interface Life {
  readonly epoch: Epoch;
  readonly desk: LeaseDesk;
  readonly locks: LockDesk;
  readonly evictions: Evictions;
}

export class Server {
  readonly connections = new Set<Connection>();
  readonly #world: World;
  readonly #homes: Homes;
  readonly #sessions = new Map<number, Session>();
  readonly #ended = new Map<SessionId, EndedMount>();
  readonly #of = new Map<Connection, Session>();
  /** Homes an ended session may have written to. */
  readonly #written = new Map<SessionId, Homes['all']>();
  #life: Life | undefined;
  #epoch = 0;
  #nextSid = 1;
  #turnMs = 0;

  constructor(world: World, homes: Homes) {
    this.#world = world;
    this.#homes = homes;
    this.start();
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** It knows of every lock, and of none that is about to fall. */
  get isSettled(): boolean {
    return this.#life?.desk.table.unsure.size === 0 && this.#ended.size === 0;
  }

  // Its lives.

  start(): void {
    const { parts, queue, tally } = this.#world;
    const clock = {
      bootMs: () => queue.nowMs,
      realtime: () => ({ sec: 0, nsec: 0 }),
    };
    this.#epoch += 1;
    for (const [id, session] of this.#sessions) {
      const { sepoch, instance } = session;
      this.#sessions.set(id, this.#made(session, { sepoch, instance, follows: [] }));
    }
    const unsure = [...this.#sessions.values(), ...this.#ended.values()].map(({ sid }) => sid);
    if (unsure.length > 0) tally.count('L5 unsure');
    const find = (sid: SessionId): Session | undefined => this.#find(sid);
    const onOverdue = (session: Session): void => this.#evict(session);
    const nowMs = queue.nowMs;
    const desk = new LeaseDesk({
      table: new LeaseTable({ epoch: asEpoch(this.#epoch), unsure, nowMs }),
      ...{ clock, find, onOverdue },
    });
    const locks = parts.lockDesk({ clock, find, nameOf: () => '', onOverdue });
    const evictions: Evictions = new Evictions({
      clock,
      log: silentLogger,
      peer: (nodeId) => this.#homes.peer(nodeId),
      onDone: (sid) => this.#fall(sid, locks, desk),
    });
    this.#life = { epoch: asEpoch(this.#epoch), desk, locks, evictions };
    for (const ended of this.#ended.values()) {
      this.#written.set(ended.sid, this.#homes.all);
      this.#begin(evictions, ended, nowMs + GONE_MS);
    }
  }

  crash(): void {
    this.#life = undefined;
    for (const connection of this.connections) connection.break();
    this.connections.clear();
    this.#of.clear();
  }

  /** @returns whether there were any */
  breakStreams(mount: SimMount): boolean {
    const own = [...this.connections].filter((connection) => connection.mount === mount);
    for (const connection of own) connection.break();
    return own.length > 0;
  }

  /** Once a second. */
  sweep(): void {
    this.#life?.desk.sweep();
    this.#life?.locks.sweep();
    this.#life?.evictions.sweep();
  }

  fenced(...given: Parameters<Evictions['confirmed']>): void {
    this.#life?.evictions.confirmed(...given);
  }

  keepAlive(named: Pick<Session, 'sid' | 'sepoch'>): KeepAliveReply | undefined {
    if (this.#life === undefined) return undefined;
    const session = this.#find(named.sid);
    const lives = session?.ended === false && session.sepoch === named.sepoch;
    if (lives) session.heardMs = this.#world.queue.nowMs;
    return { seq: 0n, wallMs: 0n, ended: lives ? [] : [BigInt(named.sid)] };
  }

  // Sessions.

  heard(connection: Connection, body: NonNullable<ClientFrame['body']>): void {
    if (!this.isUp) return;
    if (body.$case === 'hello') this.#inTurn(() => this.#open(connection, body.value));
    else {
      const session = this.#of.get(connection);
      if (session === undefined) connection.close('out-of-order', 'no Welcome yet');
      else this.#execute(connection, session, body.value);
    }
  }

  gone(connection: Connection): void {
    const session = this.#of.get(connection);
    if (session?.sink === connection) session.sink = undefined;
    this.#of.delete(connection);
    this.connections.delete(connection);
  }

  /** Changes of sessions are durable, one after the other. */
  #inTurn(task: () => void): void {
    const { queue, random } = this.#world;
    const life = this.#life;
    this.#turnMs = Math.max(this.#turnMs, queue.nowMs) + 3 * random.next() ** 2;
    queue.at(this.#turnMs, () => {
      if (this.#life === life) task();
    });
  }

  #open(connection: Connection, hello: Hello): void {
    if (!this.connections.has(connection)) return;
    const { mount } = connection;
    const known = this.#sessions.get(mount.machine.id);
    const session = this.#sessionFor(mount, hello);
    if (session === undefined) {
      connection.close('session-ended', 'a newer process of this node has taken over');
      return;
    }
    const resumed = known?.sid === session.sid;
    session.sink?.close('replaced', 'the session goes on over a newer stream');
    session.sink = connection;
    session.heardMs = this.#world.queue.nowMs;
    this.#of.set(connection, session);
    connection.push({
      $case: 'welcome',
      value: {
        ...{ clusterId: Buffer.alloc(0), wireVersion: WIRE_VERSION, features: [] },
        ...{ sid: BigInt(session.sid), sepoch: BigInt(session.sepoch), resumed },
        ...{ clusterName: '', serverEpoch: BigInt(this.#epoch), groups: [] },
      },
    });
    this.#life?.desk.attach(session);
    this.#life?.locks.attach(session);
  }

  /** As SessionTable decides. @returns undefined: it comes too late */
  #sessionFor({ machine }: SimMount, { follows, instance }: Hello): Session | undefined {
    const known = this.#sessions.get(machine.id);
    if (known?.instance === instance && !known.ended) return known;
    if (known?.follows.includes(instance) === true) return undefined;
    if (known !== undefined) {
      this.#sessions.delete(machine.id);
      if (follows.includes(known.instance) && !known.ended) {
        return this.#handOver(machine.id, known, { instance, follows });
      }
      this.#end(known, known.instance === instance);
    }
    this.#world.tally.count('session begins');
    const sid = asSessionId(this.#nextSid++);
    const { nodeId } = machine;
    const sepoch = asEpoch(1);
    const session = this.#made({ sid, nodeId }, { sepoch, instance, follows });
    this.#sessions.set(machine.id, session);
    return session;
  }

  #handOver(id: number, before: Session, next: Pick<Session, 'instance' | 'follows'>): Session {
    const { parts, tally } = this.#world;
    tally.count('C16 handed over');
    before.ended = true;
    before.sink?.close('session-ended', 'a newer process of this node has taken over');
    if (parts.dropsAtHandOver) this.#life?.locks.drop(before.sid);
    this.#life?.desk.handOver(before);
    const session = this.#made(before, { sepoch: asEpoch(before.sepoch + 1), ...next });
    this.#sessions.set(id, session);
    return session;
  }

  #evict(session: Session): void {
    if (session.ended) return;
    const { queue, tally, truth } = this.#world;
    tally.count(isGone(session, queue.nowMs) ? 'evicted: gone' : 'evicted: no answer');
    this.#world.log(() => `M evicts s${session.sid}`);
    if (!isGone(session, queue.nowMs)) this.#world.expectNoEviction(session.sid);
    session.ended = true;
    this.#inTurn(() => {
      for (const [id, other] of this.#sessions) {
        if (other !== session) continue;
        this.#sessions.delete(id);
        this.#end(session, true);
      }
    });
    truth.evicting(session.sid);
  }

  #end(session: Session, isSilent: boolean): void {
    const { random } = this.#world;
    const { heardMs, nodeId, sepoch, sid } = session;
    session.ended = true;
    session.sink?.close(isSilent ? 'evicted' : 'session-ended', 'this session is over');
    const ended = { sid, nodeId, sepoch: asEpoch(sepoch + 1) };
    this.#ended.set(sid, ended);
    const isUnsure = this.#life?.desk.table.unsure.has(sid) === true;
    const homes = this.#homes.all.filter(() => isUnsure || random.chance(0.6));
    this.#written.set(sid, homes);
    if (this.#life === undefined) return;
    if (!this.#world.parts.fences) this.#life.locks.drop(sid);
    this.#begin(this.#life.evictions, ended, isSilent ? heardMs + GONE_MS : 0);
  }

  #begin(evictions: Evictions, ended: EndedMount, untilMs: number): void {
    evictions.begin(ended, this.#written.get(ended.sid) ?? this.#homes.all, untilMs);
  }

  /** What the session had falls: nobody of its machine may write under it any more. */
  #fall(sid: SessionId, locks: LockDesk, desk: LeaseDesk): void {
    const written = this.#written.get(sid) ?? [];
    const isFenced = written.every((home) => this.#homes.hasFenced(home, sid));
    this.#world.truth.fell(sid, isFenced);
    this.#world.tally.count('L5 fell behind the fence');
    this.#world.log(() => `M drops s${sid}`);
    this.#ended.delete(sid);
    locks.drop(sid);
    desk.drop(sid);
  }

  #find(sid: SessionId): Session | undefined {
    for (const session of this.#sessions.values()) if (session.sid === sid) return session;
    return undefined;
  }

  #made(
    { nodeId, sid }: Pick<Session, 'sid' | 'nodeId'>,
    state: Pick<Session, 'sepoch' | 'instance' | 'follows'>,
  ): Session {
    const heardMs = this.#world.queue.nowMs;
    const replies = new ReplyCache(sid, storeCodecs);
    return {
      sid,
      nodeId,
      kind: 'mount',
      ...state,
      replies,
      sink: undefined,
      ended: false,
      heardMs,
    };
  }

  // Operations, as Executor has them.

  #execute(connection: Connection, session: Session, { id, op }: Request): void {
    const life = this.#life;
    if (life === undefined || op === undefined) return;
    const { parts, queue, tally } = this.#world;
    session.heardMs = queue.nowMs;
    const done = (outcome: Result | FsError): void => {
      this.#world.answered(session, op, outcome);
      const isError = outcome instanceof FsError;
      const value = { id, grants: [], errno: isError ? outcome.errno : 0, message: '' };
      const result = isError ? undefined : outcome;
      if (this.#life === life) connection.push({ $case: 'reply', value: { ...value, result } });
    };
    const lock = isLockOp(op) ? { session, op, done } : undefined;
    if (lock !== undefined) life.locks.arrived(lock);
    const waits = life.desk.submit({
      ...{ session, id, asks: op.$case === 'lease', looks: false },
      claims: () => (session.ended ? [] : parts.claims(op)),
      run: () => {
        if (this.#life !== life) return;
        if (lock === undefined) this.#run(session, op, done);
        else this.#lock(life.locks, lock);
      },
    });
    if (waits) tally.count(`L5 ${op.$case} waits until all have settled`);
  }

  #lock(locks: LockDesk, job: LockJob): void {
    const { done, op, session } = job;
    if (session.ended) done(new FsError('ESTALE', `session ${session.sid} has ended`));
    else {
      this.#world.asked(session, op);
      if (locks.submit(job)) this.#world.tally.count(`L6 ${op.$case} waits for another mount`);
    }
  }

  #run(session: Session, op: Operation, done: (of: Result | FsError) => void): void {
    if (op.$case === 'settled') this.#life?.desk.settled(session, inosOf(op.value.open));
    done(EMPTY_RESULT);
  }
}
