/**
 * A vfs on the real metaserver engine, all in memory: the session is a stand-in that hands requests
 * to the engine, and lets a test hold them, fail them, or lose their replies.
 */
import assert from 'node:assert/strict';
import { Reply } from '../../gen/meta.ts';
import type { Attr } from '../../src/common/attr.ts';
import { ManualClock } from '../../src/common/clock.ts';
import { errnoName, FsError } from '../../src/common/errno.ts';
import {
  asClusterId,
  asEpoch,
  asGroupId,
  asIno,
  asNodeId,
  type Fh,
  type Ino,
  ROOT_INO,
} from '../../src/common/ids.ts';
import { delay, TaskGroup } from '../../src/common/lifecycle.ts';
import { silentLogger } from '../../src/common/log.ts';
import { attrFromWire } from '../../src/common/rpc/codec.ts';
import type {
  Operation,
  OperationResult,
  SessionClient,
} from '../../src/common/rpc/session-client.ts';
import { foundingWrites } from '../../src/metaserver/cluster.ts';
import { family } from '../../src/metaserver/core/keyspace.ts';
import { MetaEngine } from '../../src/metaserver/engine.ts';
import { MemoryKv } from '../../src/metaserver/kv.ts';
import type { Session } from '../../src/metaserver/session.ts';
import { FileData } from '../../src/mount/data/file-data.ts';
import { LocalData } from '../../src/mount/data/local-data.ts';
import { ClusterView, Rights } from '../../src/mount/data/rights.ts';
import type {
  AbsentResult,
  EntryResult,
  FileSystem,
  RequestContext,
} from '../../src/mount/driver/driver.ts';
import type { Leases } from '../../src/mount/leases.ts';
import type { MountLocks } from '../../src/mount/locks.ts';
import type { MetaClient } from '../../src/mount/meta-client.ts';
import { refresh } from '../../src/mount/vfs/refresh.ts';
import { Vfs } from '../../src/mount/vfs/vfs.ts';
import type { ChunkStore, StoreSpace } from '../../src/peer/chunk-store.ts';
import { Home } from '../../src/peer/home.ts';
import { FakeKernelCache } from './fake-kernel-cache.ts';
import { leasedMeta } from './leased-meta.ts';
import { MemoryChunkStore } from './memory-chunk-store.ts';
import { journalOn, MemoryJournal } from './memory-journal.ts';

/** @throws FsError ENOENT, as the kernel reads an answer that says so */
export function foundIn(entry: EntryResult | AbsentResult): EntryResult {
  if ('absent' in entry) throw new FsError('ENOENT', 'no such name');
  return entry;
}

const CLUSTER = asClusterId('cc'.repeat(16));
const NODE = asNodeId('01'.repeat(16));
const GROUP = asGroupId(1);

type RequestIdLike = Parameters<MetaEngine['execute']>[1]['requestId'];

type Learn = NonNullable<Parameters<SessionClient['request']>[3]>;

export class VfsWorld {
  readonly clock = new ManualClock();
  readonly vfs: Vfs;
  readonly meta: MetaClient;
  readonly leases: Leases;
  readonly locks: MountLocks;
  readonly kernel = new FakeKernelCache();
  readonly home: Home;
  readonly fs: FileSystem;
  /** Operations in the order they reached the engine. */
  readonly log: string[] = [];
  /** Called before a request reaches the engine: may wait or throw. */
  before: (op: Operation) => Promise<void> | void = () => undefined;
  /** Called before a reply is handed on. */
  after: (op: Operation) => Promise<void> | void = () => undefined;
  readonly #kv: MemoryKv;
  readonly #engine: MetaEngine;
  readonly #session: Session;
  #unique = 0;

  private constructor(parts: {
    kv: MemoryKv;
    engine: MetaEngine;
    session: Session;
    peer: Session;
    store: ChunkStore;
  }) {
    this.#kv = parts.kv;
    this.#engine = parts.engine;
    this.#session = parts.session;
    const { store, peer } = parts;
    const rgEpoch = asEpoch(parts.engine.groupsOf(peer)[0]?.epoch ?? 0n);
    store.setGroups([{ rg: GROUP, epoch: rgEpoch, primary: NODE, members: [NODE] }]);
    const { leases, locks, meta } = leasedMeta({
      session: { up: true, request: (op, id, _waiter, learn) => this.#request(op, id, learn) },
      served: this.#session,
      kernel: this.kernel,
      clock: this.clock,
    });
    meta.onUnknown = () => leases.expire();
    this.leases = leases;
    this.locks = locks;
    this.meta = meta;
    const view = new ClusterView();
    view.lead([{ rg: GROUP, epoch: rgEpoch, primary: NODE, members: [NODE] }]);
    const rights = new Rights({ view, session: () => ({ sid: 1, sepoch: 1 }) });
    this.home = new Home({ store, log: silentLogger, fetchAttr: (ino) => this.#attr(ino) });
    const journal = journalOn(new MemoryJournal());
    const local = new LocalData({
      store,
      journal,
      rights,
      home: this.home,
      refresh: (inode, waiter) => refresh(this.meta, inode, waiter),
    });
    const tasks = new TaskGroup((error) => assert.ifError(error));
    const space = (): StoreSpace => store.space();
    const files = { view, tasks, local, remote: local, space, chargedBytes: () => 0 };
    const data = new FileData(files);
    this.vfs = new Vfs({
      meta: this.meta,
      leases: this.leases,
      locks,
      kernel: this.kernel,
      data,
      journal,
      clock: this.clock,
      log: silentLogger,
      showAs: { uid: undefined, gid: undefined },
    });
    this.home.onCut = (ino, size) => this.vfs.cutElsewhere(ino, size);
    this.home.onRemoved = (ino) => this.vfs.removedElsewhere(ino);
    this.fs = this.vfs.fs;
    parts.engine.attach(peer, (inos) => {
      this.#reclaim(peer, inos.map(asIno)).catch(() => undefined);
    });
  }

  static async create(store: ChunkStore = new MemoryChunkStore()): Promise<VfsWorld> {
    const kv = new MemoryKv();
    const clock = new ManualClock();
    const founding = { clusterId: CLUSTER, clusterName: 'test', nodeId: NODE, clock };
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
    const node = { nodeId: NODE, nodeName: 'test', instance: 1n };
    const { session: peer } = await engine.openSession({ ...node, kind: 'peer' });
    const { session } = await engine.openSession({ ...node, kind: 'mount' });
    return new VfsWorld({ kv, engine, session, peer, store });
  }

  /** One kernel request. */
  context(): RequestContext {
    this.#unique += 2;
    const unique = this.#unique;
    return {
      uid: 0,
      gid: 0,
      connection: 1,
      unique,
      acked: () => unique - 1,
      interrupt: undefined,
      interrupted: false,
      waitsFor: undefined,
    };
  }

  /** Creates a file; the caller owes a forget and a release. */
  async create(name: string, flags = 2): Promise<{ ino: Ino; fh: Fh }> {
    const node = { parent: ROOT_INO, name, mode: 0o100644, rdev: 0, flags };
    const { entry, fh } = await this.fs.create(this.context(), node);
    return { ino: entry.attr.ino, fh };
  }

  async open(ino: Ino, flags = 2): Promise<Fh> {
    return (await this.fs.open(this.context(), ino, { flags, killSuidGid: false })).fh;
  }

  async write(fh: Fh, offset: number, text: string): Promise<void> {
    const data = Buffer.from(text, 'latin1');
    await this.fs.write(this.context(), { fh, offset, data, killSuidGid: false, mapped: false });
  }

  async read(fh: Fh, length = 4096): Promise<string> {
    const target = Buffer.alloc(length);
    const count = await this.fs.read(this.context(), fh, 0, target);
    return target.toString('latin1', 0, count);
  }

  async truncate(ino: Ino, size: number): Promise<void> {
    await this.fs.setattr(this.context(), ino, { size, killSuidGid: false });
  }

  async lookup(name: string): Promise<Ino> {
    return foundIn(await this.fs.lookup(this.context(), ROOT_INO, name)).attr.ino;
  }

  async unlink(name: string): Promise<void> {
    await this.fs.unlink(this.context(), ROOT_INO, name);
  }

  async rename(name: string, newName: string): Promise<void> {
    const node = { parent: ROOT_INO, name, newParent: ROOT_INO, newName, flags: 0 };
    await this.fs.rename(this.context(), node);
  }

  /** What the metaserver has stored of a file. */
  async published(ino: Ino): Promise<number> {
    const value = { ino: BigInt(ino), committed: true };
    const result = await this.#execute({ $case: 'getattr', value });
    return result.$case === 'attr' ? Number(result.value.attr?.size) : -1;
  }

  /** Opener records and inodes whose bytes await deletion. */
  async leftovers(): Promise<{ openers: number; reclaim: number; inodes: number }> {
    await this.#engine.drain();
    const openers = await this.#kv.range({ ...family('o'), limit: 1000 });
    const { reclaimPending, inodes } = this.#engine.status();
    return { openers: openers.length, reclaim: reclaimPending, inodes };
  }

  /** The leftovers once the reclaim queue, which works in batches, has had its time. */
  async cleaned(): Promise<{ openers: number; reclaim: number; inodes: number }> {
    for (let round = 0; round < 200; round++) {
      const left = await this.leftovers();
      if (left.openers === 0 && left.reclaim === 0) return left;
      await delay(10);
    }
    return this.leftovers();
  }

  /** What the metaserver says, past every cache. */
  ask(op: Operation): Promise<OperationResult> {
    return this.#execute(op);
  }

  async #request(
    op: Operation,
    requestId: RequestIdLike,
    learn: Learn | undefined,
  ): Promise<OperationResult> {
    await this.before(op);
    this.log.push(op.$case);
    const result = await this.#execute(op, requestId, this.#session, learn);
    await this.after(op);
    return result;
  }

  #execute(
    op: Operation,
    requestId?: RequestIdLike,
    session = this.#session,
    learn?: Learn,
  ): Promise<OperationResult> {
    return new Promise((resolve, reject) => {
      this.#engine.execute(session, { id: 1n, requestId, op }, (bytes) => {
        const { errno, message, grants, result } = Reply.decode(bytes);
        const failure = new FsError(errno === 0 ? 'EPROTO' : errnoName(errno), message);
        const answer = errno === 0 && result !== undefined ? result : failure;
        learn?.(answer, grants);
        if (answer instanceof FsError) reject(answer);
        else resolve(answer);
      });
    });
  }

  async #attr(ino: Ino): Promise<Attr> {
    const result = await this.#execute({ $case: 'getattr', value: { ino: BigInt(ino) } });
    assert(result.$case === 'attr' && result.value.attr !== undefined);
    return attrFromWire(result.value.attr);
  }

  async #reclaim(peer: Session, inos: Ino[]): Promise<void> {
    await this.home.remove(inos);
    const value = { inos: inos.map((ino) => BigInt(ino)) };
    await this.#execute({ $case: 'reclaimDone', value }, undefined, peer);
  }
}
