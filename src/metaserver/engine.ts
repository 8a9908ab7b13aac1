/**
 * The metaserver without sockets and files: a store in, sessions and requests through it. The
 * simulator drives it as the session service does.
 */
import type * as wire from '../../gen/meta.ts';
import { type Clock, wallMs } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import {
  asEpoch,
  type ClusterId,
  type Epoch,
  type GroupId,
  type Ino,
  ROOT_INO,
} from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import { WIRE_VERSION } from '../common/rpc/wire-version.ts';
import { type AdminOp, administer } from './admin.ts';
import { readCluster } from './cluster.ts';
import { CommitPath } from './commit.ts';
import { doubtData } from './core/fall.ts';
import { SHARD_KEY } from './core/keyspace.ts';
import { LeaseTable } from './core/leases.ts';
import { placeFile } from './core/placement.ts';
import { straysOf } from './core/strays.ts';
import { Txn } from './core/txn.ts';
import { Evictions } from './evictions.ts';
import { type Answer, Executor } from './executor.ts';
import { FsckDesk } from './fsck-desk.ts';
import { inspect } from './inspect.ts';
import type { Kv } from './kv.ts';
import { LeaseDesk } from './lease-desk.ts';
import { Ledger } from './ledger.ts';
import { LockDesk } from './lock-desk.ts';
import { Membership } from './membership.ts';
import { Peers } from './peers.ts';
import { ReclaimPusher } from './reclaim.ts';
import { Roster } from './roster.ts';
import { GONE_MS, isGone, type Session } from './session.ts';
import {
  type EndedSession,
  type OpenedSession,
  type SessionIdentity,
  SessionTable,
} from './session-table.ts';
import { shardCodec, storeCodecs } from './store-codec.ts';
import { whoWaits } from './who-waits.ts';
import { groupToWire, type Result } from './wire.ts';

/** What the guard of the disk tells. */
export interface SpaceView {
  mayGrow(): boolean;
  problem(): wire.Problem | undefined;
}

export interface EngineOptions {
  readonly kv: Kv;
  readonly clusterId: ClusterId;
  readonly clock: Clock;
  readonly log: Logger;
  readonly space: SpaceView;
  /** See CommitPath. */
  readonly schedule?: (task: () => void) => void;
  onFatal(error: Error): void;
}

export interface EngineStatus {
  readonly sessions: number;
  readonly inodes: number;
  readonly reclaimPending: number;
  /** Leases held, and operations that wait for one. */
  readonly leases: number;
  readonly waiting: number;
  readonly commits: number;
  readonly batches: number;
  readonly shardEpoch: number;
  readonly problems: readonly wire.Problem[];
}

/** Parts that are wired up once the store is read. */
interface Parts {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly roster: Roster;
  readonly membership: Membership;
  readonly desk: LeaseDesk;
  readonly locks: LockDesk;
  readonly evictions: Evictions;
  readonly table: SessionTable;
  readonly shardEpoch: Epoch;
  readonly clusterName: string;
}

export class MetaEngine {
  readonly #options: EngineOptions;
  readonly #parts: Parts;
  readonly #executor: Executor;
  readonly #pushers = new Map<Session, ReclaimPusher>();
  readonly #fsck: FsckDesk;

  private constructor(options: EngineOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    const { kv } = options;
    this.#fsck = new FsckDesk({ snapshot: () => parts.table.between(() => kv.snapshot()) });
    this.#executor = new Executor({
      ...parts,
      clock: options.clock,
      log: options.log,
      mayGrow: () => options.space.mayGrow(),
      leads: (session) => this.#ledBy(session),
      isLive: (sid) => parts.table.find(sid)?.ended === false,
      placement: ({ nodeId }) =>
        placeFile(parts.roster.ledBy(nodeId), parts.membership.storingPeers()),
      admin: (session, op) => this.#admin(session, op),
      onReclaimDone: (session) => this.#pushers.get(session)?.answered(),
      onFatal: (error) => options.onFatal(error),
    });
    parts.table.onEnd = (ended) => this.#fence(ended);
    parts.table.onHandOver = (before) => {
      // Its descriptors are gone; what was written under them is still covered by its leases.
      parts.locks.drop(before.sid);
      parts.desk.handOver(before);
    };
    parts.ledger.onReclaim = (count) => {
      for (const pusher of this.#pushers.values()) pusher.signal(count);
    };
  }

  /**
   * Takes the next shard epoch, durably.
   * @throws FsError EINVAL another cluster's or a newer database, EIO damaged
   */
  static async open(options: EngineOptions): Promise<MetaEngine> {
    const { kv, clusterId, clock, log } = options;
    const { name: clusterName } = readCluster(kv, clusterId);
    const stored = kv.get(SHARD_KEY);
    if (stored === undefined || new Txn(kv, storeCodecs).inode(ROOT_INO) === undefined) {
      throw new FsError('EIO', 'the database of the metaserver lacks its first records');
    }
    const shardEpoch = asEpoch(shardCodec.decode(stored) + 1);
    await kv.commit(new Map([[SHARD_KEY, shardCodec.encode(shardEpoch)]]), shardEpoch);
    const commit = new CommitPath({ ...options, shardEpoch });
    const ledger = Ledger.load(commit, storeCodecs);
    const peers = new Peers(clock);
    const roster = await Roster.load({ commit, ledger, peers });
    const table = await SessionTable.load({ commit, ledger, roster, clock, log });
    const unsure = [...table.mounts(), ...table.ended].map(({ sid }) => sid);
    const desk: LeaseDesk = new LeaseDesk({
      table: new LeaseTable({ epoch: shardEpoch, unsure, nowMs: clock.bootMs() }),
      clock,
      find: (sid) => table.find(sid),
      onOverdue: (session) => evict(session),
    });
    const evict = (session: Session): void => {
      if (session.ended) return;
      log.warn('a mount is evicted', { sid: session.sid, node: session.nodeId });
      table.evict(session).catch((error: unknown) => {
        log.error('a mount could not be evicted', { error });
      });
    };
    const locks = new LockDesk({
      clock,
      find: (sid) => table.find(sid),
      nameOf: (nodeId) => membership.nameOf(nodeId),
      onOverdue: (session) => evict(session),
    });
    const evictions = new Evictions({
      clock,
      log,
      peer: (nodeId) => {
        const session = table.peer(nodeId);
        return session && !isGone(session, clock.bootMs()) ? session : undefined;
      },
      onDone: (sid) => {
        const view = commit.view();
        const txn = new Txn(view, storeCodecs);
        doubtData(txn, desk.table.exclusives(sid));
        ledger.submit(view, txn);
        locks.drop(sid);
        desk.drop(sid);
        table.forget(sid).catch((error: unknown) => {
          log.warn('an ended session stays in the books for now', { sid, error });
        });
      },
    });
    const membership: Membership = new Membership({
      clock,
      log,
      peers,
      roster,
      shardEpoch,
      schedule: options.schedule ?? ((task) => setImmediate(task)),
      onError: (error) => log.error('a peer could not be made a storing one', { error }),
    });
    log.info('the namespace is open', { shardEpoch, inodes: ledger.inodes });
    const primaries = [...roster.groups.values()].map(({ primary }) => primary);
    const homes = primaries.filter((home) => home !== undefined);
    for (const ended of table.ended) evictions.begin(ended, homes, clock.bootMs() + GONE_MS);
    const served = { desk, evictions, locks, membership };
    const parts = { commit, ledger, roster, ...served, table, shardEpoch, clusterName };
    return new MetaEngine(options, parts);
  }

  get clusterId(): ClusterId {
    return this.#options.clusterId;
  }

  /** Of this life of the server. */
  get shardEpoch(): Epoch {
    return this.#parts.shardEpoch;
  }

  get clusterName(): string {
    return this.#parts.clusterName;
  }

  /** True while requests should wait outside. */
  get congested(): boolean {
    return this.#parts.commit.congested;
  }

  onRelief(task: () => void): void {
    this.#parts.commit.onRelief(task);
  }

  /** Resolves when the session is durable. @throws as SessionTable.open */
  openSession(identity: SessionIdentity): Promise<OpenedSession> {
    return this.#parts.table.open(identity);
  }

  /** A sign of life of this session. */
  heard(session: Session): void {
    session.heardMs = this.#options.clock.bootMs();
    this.#parts.membership.heard(session);
  }

  keepAlive({ seq, sessions }: wire.KeepAliveFrame): wire.KeepAliveReply {
    const ended: bigint[] = [];
    for (const { sid, sepoch } of sessions) {
      const session = this.#parts.table.find(Number(sid));
      const lives = session !== undefined && !session.ended && BigInt(session.sepoch) === sepoch;
      if (lives) this.heard(session);
      else ended.push(sid);
    }
    return { seq, wallMs: BigInt(wallMs(this.#options.clock)), ended };
  }

  describe(): wire.DescribeReply {
    const root = new Txn(this.#parts.commit.view(), storeCodecs).inode(ROOT_INO);
    return {
      clusterId: Buffer.from(this.clusterId, 'hex'),
      clusterName: this.clusterName,
      wireVersion: WIRE_VERSION,
      wallMs: BigInt(wallMs(this.#options.clock)),
      rootUid: root?.uid ?? 0,
    };
  }

  /** To be called once a second: whoever is gone, or did not answer in time, is noticed then. */
  sweep(): void {
    this.#parts.membership.sweep();
    this.#parts.desk.sweep();
    this.#parts.locks.sweep();
    this.#parts.evictions.sweep();
  }

  /**
   * Takes effect when no lease is in the way; answered when it and all it saw is durable.
   * @returns whether it waits for a lease of somebody
   */
  execute(session: Session, request: wire.Request, answer: Answer): boolean {
    return this.#executor.execute(session, request, answer);
  }

  groupsOf(session: Session): wire.ReplicaGroup[] {
    return this.#parts.roster.groupsOf(session.nodeId).map(groupToWire);
  }

  /** A stream of this session is open. Peers are told who is there and what they should delete. */
  attach(session: Session, push: (inos: readonly number[]) => void): void {
    if (session.kind !== 'peer') {
      this.#parts.desk.attach(session);
      this.#parts.locks.attach(session);
      return;
    }
    this.#parts.membership.attach(session);
    this.#parts.evictions.attach(session.nodeId);
    const { kv, log } = this.#options;
    const pusher = new ReclaimPusher({
      scan: (range) => kv.range(range),
      codec: storeCodecs.reclaim,
      leads: (rg) => this.#parts.roster.groups.get(rg)?.primary === session.nodeId,
      push,
      onError: (error) => log.error('the reclaim queue cannot be read', { error }),
    });
    this.#pushers.set(session, pusher);
    pusher.start();
  }

  /** It has no stream any more. */
  async detach(session: Session): Promise<void> {
    const pusher = this.#pushers.get(session);
    if (pusher === undefined) return;
    this.#pushers.delete(session);
    this.#parts.membership.detach(session);
    await pusher[Symbol.asyncDispose]();
  }

  status(): EngineStatus {
    const { ledger, table, commit, desk, shardEpoch } = this.#parts;
    const { inodes, reclaimPending } = ledger;
    const problems = this.#problems();
    return {
      sessions: table.count,
      inodes,
      reclaimPending,
      leases: desk.table.count,
      waiting: desk.waitingCount,
      ...commit.counts,
      shardEpoch,
      problems,
    };
  }

  /** Checks of the namespace end, unfinished. */
  async stopChecks(): Promise<void> {
    await this.#fsck.stop();
  }

  /** Resolves when nothing is being read and everything accepted is durable. */
  async drain(): Promise<void> {
    await this.#executor.settle();
    await this.#parts.membership.settle();
    await this.#parts.commit.drain();
  }

  #problems(): wire.Problem[] {
    const space = this.#options.space.problem();
    const peers = this.#parts.membership.problems();
    return space === undefined ? peers : [space, ...peers];
  }

  #ledBy(session: Session): ReadonlySet<GroupId> {
    const groups = this.#parts.roster.groupsOf(session.nodeId);
    const led = groups.filter(([, group]) => group.primary === session.nodeId);
    return new Set(session.kind === 'peer' ? led.map(([rg]) => rg) : []);
  }

  /** A later life of the server would have to wait for it, since it may hold something. */
  #leave(session: Session): void {
    this.#parts.table.leave(session).catch((error: unknown) => {
      this.#options.log.warn('a session could not be ended', { error });
    });
  }

  /**
   * A session ended for good: homes it may have written to refuse it, then its leases fall. One
   * whose machine has not said so itself may answer from memory until its own lease is over.
   */
  #fence({ session, sepoch, isSilent }: EndedSession): void {
    if (session.kind !== 'mount') return;
    const { commit, desk, evictions, roster } = this.#parts;
    const txn = new Txn(commit.view(), storeCodecs);
    const unsure = desk.table.unsure.has(session.sid);
    const written = desk.table.exclusives(session.sid).map((ino) => txn.inode(ino)?.rg);
    const groups = [...roster.groups].filter(([rg]) => unsure || written.includes(rg));
    const homes = groups.map(([, { primary }]) => primary).filter((home) => home !== undefined);
    const untilMs = isSilent ? session.heardMs + GONE_MS : 0;
    evictions.begin({ sid: session.sid, sepoch, nodeId: session.nodeId }, homes, untilMs);
  }

  #admin(session: Session, op: AdminOp): Result {
    const { clusterId, clusterName } = this;
    const problems = (): wire.Problem[] => this.#problems();
    const leave = (left: Session): void => this.#leave(left);
    const waits = (ids: readonly bigint[]): wire.WaitsReply =>
      whoWaits({ ...this.#parts, nowMs: this.#options.clock.bootMs() }, session, ids);
    const look = (ino: Ino): wire.InspectReply =>
      inspect(this.#parts, new Txn(this.#parts.commit.view(), storeCodecs), ino);
    const strays = ({ nodeId }: Session, inos: readonly Ino[]): Ino[] => {
      const isHome = (rg: GroupId): boolean =>
        this.#parts.roster.groups.get(rg)?.members.includes(nodeId) === true;
      return straysOf(new Txn(this.#parts.commit.view(), storeCodecs), inos, isHome);
    };
    const fsck = (run: number): wire.FsckReply => this.#fsck.ask(run);
    const told = { problems, leave, waits, inspect: look, fsck, strays };
    const parts = { ...this.#parts, clusterId, clusterName, ...told };
    return administer(parts, session, op);
  }
}
