import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FsError } from '../../src/common/errno.ts';
import { asIno, type Fh, type Ino, type NodeId, ROOT_INO } from '../../src/common/ids.ts';
import { delay, TaskGroup } from '../../src/common/lifecycle.ts';
import { silentLogger } from '../../src/common/log.ts';
import { attrFromWire } from '../../src/common/rpc/codec.ts';
import type {
  Operation,
  OperationResult,
  SessionClient,
} from '../../src/common/rpc/session-client.ts';
import type { MetaEngine } from '../../src/metaserver/engine.ts';
import type { Session, SessionSink } from '../../src/metaserver/session.ts';
import type { FileData } from '../../src/mount/data/file-data.ts';
import { KnownVersions } from '../../src/mount/data/known-versions.ts';
import { mountData } from '../../src/mount/data/mount-data.ts';
import { ClusterView } from '../../src/mount/data/rights.ts';
import type { WriteJournal } from '../../src/mount/data/write-journal.ts';
import { WritebackFiles } from '../../src/mount/data/writeback-files.ts';
import type { FileSystem, RequestContext } from '../../src/mount/driver/driver.ts';
import type { Leases } from '../../src/mount/leases.ts';
import type { MetaClient } from '../../src/mount/meta-client.ts';
import { openMountJournal, readMountJournal } from '../../src/mount/mount-journal.ts';
import { PeerProbe } from '../../src/mount/peer-probe.ts';
import { PeerSession } from '../../src/mount/peer-session.ts';
import { Vfs } from '../../src/mount/vfs/vfs.ts';
import { Home } from '../../src/peer/home.ts';
import type { CrashStore } from './crash-store.ts';
import { FakeKernelCache } from './fake-kernel-cache.ts';
import { leasedMeta } from './leased-meta.ts';
import type { MemoryChunkCache } from './memory-chunk-cache.ts';
import type { TwoWorlds } from './two-worlds.ts';
import { foundIn } from './vfs-world.ts';
import { WorldClient } from './world-client.ts';

export type RequestIdLike = Parameters<MetaEngine['execute']>[1]['requestId'];
type Learn = NonNullable<Parameters<SessionClient['request']>[3]>;

interface NodeParts {
  readonly name: string;
  readonly nodeId: NodeId;
  readonly store: CrashStore;
  readonly cache: MemoryChunkCache;
  /** Of this start of the machine. */
  readonly bootId: string;
  /** The session of the process before goes on. */
  readonly follows?: Session;
}

interface LifeParts extends NodeParts {
  readonly peer: Session;
  readonly mount: Session;
  readonly life: number;
  readonly files: WritebackFiles;
  readonly journal: WriteJournal;
}

const PORT = 7000;
let lives = 0;

/** One process life of a machine that stores files and has a mount. */
export class WorldNode {
  readonly name: string;
  readonly store: CrashStore;
  readonly cache: MemoryChunkCache;
  readonly view = new ClusterView();
  readonly versions = new KnownVersions();
  readonly files: WritebackFiles;
  readonly journal: WriteJournal;
  readonly counts = { hits: 0, misses: 0 };
  readonly home: Home;
  readonly data: FileData;
  readonly vfs: Vfs;
  readonly fs: FileSystem;
  readonly peerSession: Session;
  /** Its process is gone: what it still does fails. */
  isDead = false;
  /** Others do not reach it. */
  isAway = false;
  readonly kernel = new FakeKernelCache();
  readonly self: NodeId;
  readonly #worlds: TwoWorlds;
  readonly #leases: Leases;
  readonly #meta: MetaClient;
  readonly mountSession: Session;
  readonly #connection: number;
  #unique = 0;

  private constructor(worlds: TwoWorlds, parts: LifeParts) {
    const { cache, files, journal, life, mount, name, nodeId, peer, store } = parts;
    this.self = nodeId;
    this.#worlds = worlds;
    this.name = name;
    this.store = store;
    this.cache = cache;
    this.peerSession = peer;
    this.mountSession = mount;
    this.#connection = life;
    this.files = files;
    this.journal = journal;
    this.home = new Home({ store, log: silentLogger, fetchAttr: (ino) => this.#fetchAttr(ino) });
    const client = new WorldClient(name, worlds, (target) => {
      this.#checkAlive();
      return worlds.homeOf(target.name);
    });
    const session = {
      sid: mount.sid,
      sepoch: mount.sepoch,
      up: true,
      request: (op: Operation, id?: RequestIdLike, _waiter?: unknown, learn?: Learn) =>
        this.#request(op, id, learn),
    };
    const { clock, waitMs } = worlds;
    const { leases, locks, meta } = leasedMeta({
      session,
      served: mount,
      kernel: this.kernel,
      clock,
      isDead: () => this.isDead,
    });
    this.#leases = leases;
    this.#meta = meta;
    const mine = { meta, session, waitMs, log: silentLogger, bootMs: () => clock.bootMs() };
    this.data = mountData({ ...this.#shared(), client }, mine);
    const showAs = { uid: undefined, gid: undefined };
    const { data, kernel } = this;
    const log = silentLogger;
    this.vfs = new Vfs({ meta, leases, locks, kernel, data, journal, clock, log, showAs });
    this.fs = this.vfs.fs;
    this.home.onCut = (ino, size) => this.vfs.cutElsewhere(ino, size);
    this.home.onRemoved = (ino) => this.vfs.removedElsewhere(ino);
    this.#attach(parts);
  }

  static async start(worlds: TwoWorlds, parts: NodeParts): Promise<WorldNode> {
    const { engine } = worlds;
    const { name, nodeId } = parts;
    lives += 1;
    const life = lives;
    const identity = { nodeId, nodeName: name, instance: BigInt(life) };
    const chunkAddress = `${name}.example:${PORT}`;
    const opened = await engine.openSession({ ...identity, kind: 'peer', chunkAddress });
    const mount =
      parts.follows ?? (await engine.openSession({ ...identity, kind: 'mount' })).session;
    const files = new WritebackFiles(
      join(worlds.dir, `writeback-${name}`),
      join(worlds.dir, `lost+found-${name}`),
    );
    const { clusterId } = engine;
    const path = worlds.journalPath(name);
    const place = { path, clusterId, bootId: parts.bootId, log: silentLogger };
    const { problem, state } = readMountJournal(place);
    await files.clear({
      counts: (ino) => state.files.has(ino),
      isDoubtful: problem !== undefined,
    });
    const journal = openMountJournal(place, state);
    const mine = { peer: opened.session, mount, life, files, journal };
    journal.asked(life);
    journal.welcomed(life, mount.sid);
    return new WorldNode(worlds, { ...parts, ...mine });
  }

  /** One kernel request. */
  context(): RequestContext {
    this.#unique += 2;
    const unique = this.#unique;
    return {
      uid: 0,
      gid: 0,
      connection: this.#connection,
      unique,
      acked: () => unique - 1,
      interrupt: undefined,
      interrupted: false,
      waitsFor: undefined,
    };
  }

  async create(name: string): Promise<{ readonly ino: Ino; readonly fh: Fh }> {
    const node = { parent: ROOT_INO, name, mode: 0o100644, rdev: 0, flags: 2 };
    const { entry, fh } = await this.fs.create(this.context(), node);
    return { ino: entry.attr.ino, fh };
  }

  /** As open(2) does it: a lookup first, which looks at the metaserver. */
  async open(name: string): Promise<{ readonly ino: Ino; readonly fh: Fh; readonly size: number }> {
    const { attr } = foundIn(await this.fs.lookup(this.context(), ROOT_INO, name));
    const options = { flags: 2, killSuidGid: false };
    const { fh } = await this.fs.open(this.context(), attr.ino, options);
    return { ino: attr.ino, fh, size: attr.size };
  }

  /** As close(2) of the last descriptor does it. */
  async shut(fh: Fh): Promise<void> {
    await this.fs.flush(this.context(), fh);
    await this.fs.release(fh);
  }

  async write(fh: Fh, offset: number, bytes: Uint8Array | string): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    await this.fs.write(this.context(), { fh, offset, data, killSuidGid: false, mapped: false });
  }

  async read(fh: Fh, offset: number, length: number, context = this.context()): Promise<Buffer> {
    const target = Buffer.alloc(length, 0xee);
    const count = await this.fs.read(context, fh, offset, target);
    return target.subarray(0, count);
  }

  async fsync(fh: Fh): Promise<void> {
    await this.fs.fsync(this.context(), fh);
  }

  async truncate(ino: Ino, size: number): Promise<void> {
    await this.fs.setattr(this.context(), ino, { size, killSuidGid: false });
  }

  async unlink(name: string): Promise<void> {
    await this.fs.unlink(this.context(), ROOT_INO, name);
  }

  /** A new file with these bytes, closed. */
  async put(name: string, bytes: Uint8Array | string): Promise<Ino> {
    const { fh, ino } = await this.create(name);
    await this.write(fh, 0, bytes);
    await this.shut(fh);
    return ino;
  }

  /** What a program sees that opens the file now. */
  async get(name: string, length = 4096): Promise<Buffer> {
    const { fh } = await this.open(name);
    const bytes = await this.read(fh, 0, length);
    await this.shut(fh);
    return bytes;
  }

  /** What is kept for publication; files that are not needed any more vanish in the background. */
  async keptFiles(): Promise<string[]> {
    const dir = join(this.#worlds.dir, `writeback-${this.name}`);
    for (let round = 0; round < 50; round += 1) {
      if (readdirSync(dir).length === 0) return [];
      await delay(10);
    }
    return readdirSync(dir);
  }

  /** An exclusive lease takes the place of the one it has. @returns the numbers of both */
  async leaseAnew(ino: Ino): Promise<{ before: number; now: number }> {
    const before = this.#leases.lseqOf(ino);
    await this.#meta.lease(ino, 'exclusive');
    return { before, now: this.#leases.lseqOf(ino) };
  }

  /** Its leases run out. */
  expire(): void {
    this.#leases.expire();
  }

  close(): void {
    this.#leases.close();
    this.files.closeAll();
    this.journal.close();
  }

  #shared(): Pick<
    WorldNode,
    'self' | 'store' | 'home' | 'cache' | 'view' | 'versions' | 'files' | 'journal' | 'counts'
  > {
    return this;
  }

  #checkAlive(): void {
    if (this.isDead) throw new FsError('EIO', `this process of ${this.name} is dead`);
  }

  async #request(op: Operation, id?: RequestIdLike, learn?: Learn): Promise<OperationResult> {
    await this.#worlds.asking(this.name, op);
    this.#checkAlive();
    const result = await this.#worlds.execute(this.mountSession, op, id, learn);
    await this.#worlds.answering(this.name, op);
    // A process that is gone does nothing with an answer.
    return this.isDead ? new Promise(() => undefined) : result;
  }

  async #fetchAttr(ino: Ino): Promise<{ readonly size: number; readonly cuts: number }> {
    this.#checkAlive();
    const op: Operation = { $case: 'getattr', value: { ino: BigInt(ino) } };
    const result = await this.#worlds.execute(this.peerSession, op);
    if (result.$case !== 'attr' || result.value.attr === undefined) throw new FsError('EPROTO', '');
    const attr = attrFromWire(result.value.attr);
    return { cuts: attr.cuts, size: this.journal.sizeHere(attr) };
  }

  #attach({ nodeId, store, peer }: NodeParts & { readonly peer: Session }): void {
    const { clock, engine } = this.#worlds;
    const client = { describe: () => Promise.reject(new FsError('EHOSTUNREACH', 'nobody')) };
    const session = new PeerSession({
      nodeId,
      metaserver: 'meta.example:1',
      store,
      home: this.home,
      view: this.view,
      probe: new PeerProbe({ client, bootMs: () => clock.bootMs() }),
      log: silentLogger,
    });
    const tasks = new TaskGroup((error) => {
      if (!this.isDead) throw error;
    });
    const push: SessionSink['push'] = (body) => {
      if (this.isDead) return;
      if (body.$case === 'fence') {
        const { sid, sepoch } = body.value;
        tasks.run(async () => {
          await this.home.fence(Number(sid), Number(sepoch));
          await this.#worlds.execute(peer, { $case: 'fenced', value: { sid, sepoch } });
        });
        return;
      }
      if (body.$case !== 'dialBack') {
        session.onPush({ body });
        return;
      }
      const value = { id: body.value.id, reached: true, message: '' };
      tasks.run(async () => {
        await this.#worlds.execute(peer, { $case: 'dialBackDone', value });
      });
    };
    peer.sink = { push, close: () => undefined };
    engine.attach(peer, (inos) => {
      if (this.isDead) return;
      tasks.run(async () => {
        await this.home.remove(inos.map(asIno));
        const value = { inos: inos.map(BigInt) };
        await this.#worlds.execute(peer, { $case: 'reclaimDone', value });
      });
    });
  }
}
