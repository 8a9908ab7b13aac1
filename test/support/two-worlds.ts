/**
 * Machines that share files, all in one process: the real engine of the metaserver, and for each
 * machine a real vfs, home and cluster map on a store in memory. The clock stands still, calls
 * go straight to the other's home, and a test may hold, fail or lose any of them.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Reply } from '../../gen/meta.ts';
import { ManualClock } from '../../src/common/clock.ts';
import { errnoName, FsError } from '../../src/common/errno.ts';
import { asClusterId, asEpoch, asNodeId, type Ino } from '../../src/common/ids.ts';
import { delay } from '../../src/common/lifecycle.ts';
import { silentLogger } from '../../src/common/log.ts';
import type { Learn, Operation, OperationResult } from '../../src/common/rpc/session-client.ts';
import { foundingWrites } from '../../src/metaserver/cluster.ts';
import { MetaEngine } from '../../src/metaserver/engine.ts';
import { MemoryKv } from '../../src/metaserver/kv.ts';
import type { Session } from '../../src/metaserver/session.ts';
import type { DataRecord } from '../../src/peer/chunk-store.ts';
import type { Home } from '../../src/peer/home.ts';
import { CrashStore } from './crash-store.ts';
import { MemoryChunkCache } from './memory-chunk-cache.ts';
import type { CallHooks, PeerCall } from './world-client.ts';
import { type RequestIdLike, WorldNode } from './world-node.ts';

const LEAVE = { $case: 'leave', value: {} } as const;
const CLUSTER = asClusterId('cc'.repeat(16));

/** Deep enough for every promise that is settled to have had its effect. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

export interface WorldOptions {
  readonly waitMs?: number;
  /** Of the disk of each machine. */
  readonly capacityBytes?: number;
}

export class TwoWorlds implements CallHooks {
  readonly clock = new ManualClock();
  readonly engine: MetaEngine;
  readonly dir: string;
  /** Bound of all tries to reach a home, milliseconds. */
  readonly waitMs: number;
  /** Every call from one machine to another, in order. */
  readonly calls: PeerCall[] = [];
  before: CallHooks['before'] = () => undefined;
  after: CallHooks['after'] = () => undefined;
  /** Before an operation of a mount reaches the metaserver: may wait or throw. */
  asking: (from: string, op: Operation) => Promise<void> | void = () => undefined;
  /** It was done; the mount has not heard of it. */
  answering: (from: string, op: Operation) => Promise<void> | void = () => undefined;
  readonly #nodes = new Map<string, WorldNode>();
  #boots = 1;

  private constructor(engine: MetaEngine, dir: string, waitMs: number) {
    this.engine = engine;
    this.dir = dir;
    this.waitMs = waitMs;
  }

  /** Two machines: `one` founds the cluster, `two` joins it; both store files. */
  static async create(options: WorldOptions = {}): Promise<TwoWorlds> {
    const kv = new MemoryKv();
    const clock = new ManualClock();
    const founding = { clusterId: CLUSTER, clusterName: 'test', nodeId: nodeIdOf('one'), clock };
    await kv.commit(foundingWrites({ ...founding, rootOwner: { uid: 0, gid: 0 } }), asEpoch(1));
    const engine = await MetaEngine.open({
      kv,
      clusterId: CLUSTER,
      clock,
      log: silentLogger,
      space: { mayGrow: () => true, problem: () => undefined },
      onFatal: (error) => {
        throw error;
      },
    });
    const dir = await mkdtemp(join(tmpdir(), 'dfs-worlds-'));
    const worlds = new TwoWorlds(engine, dir, options.waitMs ?? 20_000);
    for (const name of ['one', 'two']) {
      await worlds.#start(name, new CrashStore(options.capacityBytes), new MemoryChunkCache());
    }
    assert.equal(worlds.two.view.map.groups.size, 2, 'each of them leads a group');
    return worlds;
  }

  get one(): WorldNode {
    return this.node('one');
  }

  get two(): WorldNode {
    return this.node('two');
  }

  node(name: string): WorldNode {
    const node = this.#nodes.get(name);
    assert.ok(node, `${name} runs`);
    return node;
  }

  other({ name }: WorldNode): WorldNode {
    return this.node(name === 'one' ? 'two' : 'one');
  }

  /** The home of a call; refused as by a machine that is away. */
  homeOf(name: string): Home {
    const node = this.#nodes.get(name);
    if (node === undefined || node.isAway) throw new FsError('EHOSTUNREACH', `${name} is away`);
    return node.home;
  }

  /**
   * The process of this machine dies, and another one starts on what it left, without its journal:
   * as if the machine had been started anew.
   * @param survives which changes of file bytes that were not synced are still there
   */
  async restart(node: WorldNode, survives: (record: DataRecord) => boolean): Promise<WorldNode> {
    await this.stop(node);
    this.#boots += 1;
    return this.#start(node.name, node.store.crashed(survives), node.cache);
  }

  /**
   * The process of this machine is killed, and another one starts on what it left.
   * @param session whether the metaserver has ended its session meanwhile
   */
  async kill(node: WorldNode, session: 'goes on' | 'is over'): Promise<WorldNode> {
    const boot = await this.die(node, session);
    return boot();
  }

  /** As kill. @returns what starts the next process */
  async die(node: WorldNode, session: 'goes on' | 'is over'): Promise<() => Promise<WorldNode>> {
    node.isDead = true;
    this.#nodes.delete(node.name);
    node.close();
    if (session === 'is over') await this.execute(node.mountSession, LEAVE);
    await this.engine.detach(node.peerSession);
    await turns();
    const follows = session === 'goes on' ? node.mountSession : undefined;
    const store = node.store.crashed(() => true);
    return () => this.#start(node.name, store, node.cache, follows);
  }

  /** It dies, for now. */
  async stop(node: WorldNode): Promise<void> {
    node.isDead = true;
    this.#nodes.delete(node.name);
    node.close();
    // Nobody would wait for its leases longer than this.
    await this.execute(node.mountSession, LEAVE);
    await this.engine.detach(node.peerSession);
    await turns();
  }

  /** The journal of a machine. */
  journalPath(name: string): string {
    return join(this.dir, `journal-${name}`);
  }

  /** Everything in the background is done. */
  async settle(): Promise<void> {
    for (const node of this.#nodes.values()) await node.vfs.settle();
    await this.engine.drain();
    await turns();
  }

  /** The bytes of files that are gone are gone too: the queue of them works in batches. */
  async reclaimed(): Promise<void> {
    await this.settle();
    for (let round = 0; this.engine.status().reclaimPending > 0; round += 1) {
      assert.ok(round < 500, 'the reclaim queue is worked off');
      await delay(10);
    }
    await this.settle();
  }

  async close(): Promise<void> {
    for (const node of [...this.#nodes.values()]) await this.stop(node);
    await rm(this.dir, { recursive: true, force: true });
  }

  execute(
    session: Session,
    op: Operation,
    requestId?: RequestIdLike,
    learn?: Learn,
  ): Promise<OperationResult> {
    return new Promise((resolve, reject) => {
      this.engine.execute(session, { id: 1n, requestId, op }, (bytes) => {
        const { errno, message, grants, result } = Reply.decode(bytes);
        const failure = new FsError(errno === 0 ? 'EPROTO' : errnoName(errno), message);
        const answer = errno === 0 && result !== undefined ? result : failure;
        learn?.(answer, grants);
        if (answer instanceof FsError) reject(answer);
        else resolve(answer);
      });
    });
  }

  /** How many calls of a kind went to a machine since call number `since`. */
  count(kind: PeerCall['kind'], since = 0): number {
    return this.calls.filter((call) => call.kind === kind && call.number >= since).length;
  }

  /** What the metaserver has stored. */
  async stored(ino: Ino): Promise<{ readonly size: number; readonly cuts: number }> {
    const session = this.one.peerSession;
    const result = await this.execute(session, { $case: 'getattr', value: { ino: BigInt(ino) } });
    assert(result.$case === 'attr' && result.value.attr !== undefined);
    return { size: Number(result.value.attr.size), cuts: Number(result.value.attr.cuts) };
  }

  async #start(
    name: string,
    store: CrashStore,
    cache: MemoryChunkCache,
    follows?: Session,
  ): Promise<WorldNode> {
    const nodeId = nodeIdOf(name);
    const bootId = String(this.#boots).padStart(32, '0');
    const parts = { name, nodeId, store, cache, bootId };
    const node = await WorldNode.start(this, follows === undefined ? parts : { ...parts, follows });
    this.#nodes.set(name, node);
    await turns();
    await this.engine.drain();
    await turns();
    await node.vfs.adopt();
    return node;
  }
}

function nodeIdOf(name: string): ReturnType<typeof asNodeId> {
  return asNodeId((name === 'one' ? '01' : '02').repeat(16));
}

/** Worlds that end with the test. */
export async function worldsFor(t: TestContext, options: WorldOptions = {}): Promise<TwoWorlds> {
  const worlds = await TwoWorlds.create(options);
  t.after(() => worlds.close());
  return worlds;
}
