/**
 * The metaserver without sockets and files: a store in, sessions and requests through it. The
 * simulator drives it as the session service does.
 */
import type * as wire from '../../gen/meta.ts';
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import {
  asEpoch,
  type ClusterId,
  type Epoch,
  type GroupId,
  type NodeId,
  ROOT_INO,
} from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import { readCluster } from './cluster.ts';
import { CommitPath } from './commit.ts';
import { SHARD_KEY } from './core/keyspace.ts';
import { Txn } from './core/txn.ts';
import { type Answer, Executor } from './executor.ts';
import type { Kv } from './kv.ts';
import { Ledger } from './ledger.ts';
import { Peers } from './peers.ts';
import { ReclaimPusher } from './reclaim.ts';
import type { Session } from './session.ts';
import { type OpenedSession, type SessionIdentity, SessionTable } from './session-table.ts';
import { shardCodec, storeCodecs } from './store-codec.ts';
import { EMPTY_RESULT, type Result } from './wire.ts';

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
  readonly commits: number;
  readonly batches: number;
  readonly shardEpoch: number;
  readonly problems: readonly wire.Problem[];
}

/** Parts that are wired up once the store is read. */
interface Parts {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly peers: Peers;
  readonly table: SessionTable;
  readonly shardEpoch: Epoch;
  readonly clusterName: string;
}

export class MetaEngine {
  readonly #options: EngineOptions;
  readonly #parts: Parts;
  readonly #executor: Executor;
  readonly #pushers = new Map<Session, ReclaimPusher>();

  private constructor(options: EngineOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    this.#executor = new Executor({
      ...parts,
      clock: options.clock,
      log: options.log,
      mayGrow: () => options.space.mayGrow(),
      leads: (session) => this.#ledBy(session),
      admin: (session, op) => this.#admin(session, op),
      onReclaimDone: (session) => this.#pushers.get(session)?.answered(),
      onFatal: (error) => options.onFatal(error),
    });
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
    const table = await SessionTable.load({ commit, ledger, peers, log });
    log.info('the namespace is open', { shardEpoch, inodes: ledger.inodes });
    return new MetaEngine(options, { commit, ledger, peers, table, shardEpoch, clusterName });
  }

  get clusterId(): ClusterId {
    return this.#options.clusterId;
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

  /** Resolves when the session is durable. */
  /** The node whose mount stands in the way of this session, if one does. */
  otherMount(identity: SessionIdentity): NodeId | undefined {
    return this.#parts.table.otherMount(identity);
  }

  openSession(identity: SessionIdentity): Promise<OpenedSession> {
    return this.#parts.table.open(identity);
  }

  /** Takes effect at once; the answer comes when it and all it saw is durable. */
  execute(session: Session, request: wire.Request, answer: Answer): void {
    this.#executor.execute(session, request, answer);
  }

  groupsOf(session: Session): wire.ReplicaGroup[] {
    const { table } = this.#parts;
    return table.groupsOf(session.nodeId).map(([rg, group]) => ({
      rg: BigInt(rg),
      epoch: BigInt(group.epoch),
      primary: Buffer.from(group.primary ?? '', 'hex'),
      members: group.members.map((member) => Buffer.from(member, 'hex')),
    }));
  }

  /** A stream of this session is open. Peers are sent what they should delete. */
  attach(session: Session, push: (inos: readonly number[]) => void): void {
    if (session.kind !== 'peer') return;
    this.#parts.peers.setUp(session.nodeId, true);
    const { kv, log } = this.#options;
    const pusher = new ReclaimPusher({
      scan: (range) => kv.range(range),
      codec: storeCodecs.reclaim,
      leads: (rg) => this.#parts.table.group(rg)?.primary === session.nodeId,
      push,
      onError: (error) => log.error('the reclaim queue cannot be read', { error }),
    });
    this.#pushers.set(session, pusher);
    pusher.start();
  }

  async detach(session: Session): Promise<void> {
    const pusher = this.#pushers.get(session);
    if (pusher === undefined) return;
    this.#pushers.delete(session);
    this.#parts.peers.setUp(session.nodeId, false);
    await pusher[Symbol.asyncDispose]();
  }

  status(): EngineStatus {
    const { ledger, table, commit, shardEpoch } = this.#parts;
    const { inodes, reclaimPending } = ledger;
    const problems = this.#problems();
    return {
      sessions: table.count,
      inodes,
      reclaimPending,
      ...commit.counts,
      shardEpoch,
      problems,
    };
  }

  /** Resolves when nothing is being read and everything accepted is durable. */
  async drain(): Promise<void> {
    await this.#executor.settle();
    await this.#parts.commit.drain();
  }

  #problems(): wire.Problem[] {
    const problem = this.#options.space.problem();
    return problem === undefined ? [] : [problem];
  }

  #ledBy(session: Session): ReadonlySet<GroupId> {
    const groups = this.#parts.table.groupsOf(session.nodeId);
    const led = groups.filter(([, group]) => group.primary === session.nodeId);
    return new Set(session.kind === 'peer' ? led.map(([rg]) => rg) : []);
  }

  #admin(
    session: Session,
    op: Extract<
      NonNullable<wire.Request['op']>,
      { $case: 'statfs' | 'peerReport' | 'clusterStatus' | 'shared' | 'dialBackDone' }
    >,
  ): Result {
    const { ledger, peers } = this.#parts;
    switch (op.$case) {
      case 'statfs':
        return { $case: 'statfs', value: { files: BigInt(ledger.inodes) } };
      case 'peerReport':
        if (session.kind !== 'peer') throw new FsError('EINVAL', 'only a peer reports its space');
        peers.report(session.nodeId, op.value);
        return EMPTY_RESULT;
      case 'shared':
      case 'dialBackDone':
        return EMPTY_RESULT;
      case 'clusterStatus':
        return {
          $case: 'clusterStatus',
          value: {
            clusterId: Buffer.from(this.clusterId, 'hex'),
            clusterName: this.clusterName,
            peers: peers.status(),
            inodes: BigInt(ledger.inodes),
            reclaimPending: BigInt(ledger.reclaimPending),
            problems: this.#problems(),
          },
        };
    }
  }
}
