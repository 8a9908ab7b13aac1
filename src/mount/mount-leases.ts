/**
 * Ties the leases of a mount to its session: what the session brings and loses, when they run out,
 * and what is told to a metaserver that starts anew, or after another process of this node. Rules
 * C12, C13 and C16 of docs/PROTOCOL.md.
 */
import type { ServerFrame, Welcome } from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import { asIno, safeInteger } from '../common/ids.ts';
import { delay, TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { SessionClient } from '../common/rpc/session-client.ts';
import type { WriteJournal } from './data/write-journal.ts';
import { NativeKernelCache } from './driver/native/kernel-cache.ts';
import { Leases, type Recall } from './leases.ts';
import { MountLocks } from './locks.ts';
import type { Member } from './member.ts';
import { MetaCache } from './meta-cache.ts';
import { MetaClient } from './meta-client.ts';
import type { Vfs } from './vfs/vfs.ts';

/** What the kernel has is looked at so often. */
const WATCH_MS = 500;
const RETRY_MS = 1_000;

export interface MountLeasesOptions {
  readonly member: Pick<Member, 'leaseEndMs' | 'onEnded' | 'onHeard'>;
  readonly journal: Pick<WriteJournal, 'files' | 'follows' | 'sid' | 'asked' | 'welcomed'>;
  readonly log: Logger;
  /** A request waits no longer for a lease, milliseconds. */
  readonly waitMs: number;
  bootMs(): number;
}

export class MountLeases implements AsyncDisposable {
  readonly kernel: NativeKernelCache;
  readonly leases: Leases;
  readonly locks: MountLocks;
  vfs: Pick<Vfs, 'adopt' | 'evicted' | 'tellOpen' | 'publishAll' | 'publishNow'> | undefined;
  readonly #options: MountLeasesOptions;
  readonly #cache: MetaCache;
  readonly #tasks: TaskGroup;
  #session: SessionClient | undefined;
  #meta: MetaClient | undefined;
  /** Recalls that came before this mount knew what it is asked for. */
  #early: Recall[] | undefined = [];
  #instance = 0;
  /** The session was that of a process before. */
  #isFollowing = false;
  #server: { readonly sid: bigint; readonly epoch: bigint } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #expired = false;
  #isClosed = false;

  constructor(options: MountLeasesOptions) {
    const { bootMs, log, waitMs } = options;
    this.#options = options;
    this.#tasks = new TaskGroup((error) => log.warn('work on leases failed', { error }));
    this.kernel = new NativeKernelCache({
      namesOf: (dir) => this.#cache.names(dir),
      bootMs: () => bootMs(),
    });
    this.leases = new Leases({
      kernel: this.kernel,
      log,
      waitMs,
      bootMs: () => bootMs(),
      endMs: () => this.#endMs(),
      ask: (ino, kind) => this.#known().lease(ino, kind),
      release: (releases) => this.#known().release(releases),
      glimpsed: async (glimpse, told) => {
        await this.#known().glimpsed(glimpse, told);
      },
    });
    this.#cache = new MetaCache((ino) => this.leases.holds(ino));
    this.locks = new MountLocks({
      service: () => this.#known(),
      isValid: () => bootMs() < this.#endMs(),
      log,
    });
  }

  /**
   * A process asks for a session. @returns whom it follows
   * @throws FsError the journal cannot be written
   */
  asks(instance: number): () => readonly number[] {
    const { journal } = this.#options;
    this.#instance = instance;
    journal.asked(instance);
    return () => journal.follows(instance);
  }

  /** The session is welcome. */
  begin(session: SessionClient): MetaClient {
    const { member } = this.#options;
    const meta = new MetaClient(session, this.#cache);
    meta.onGrant = (ino, grant) => this.leases.granted(ino, grant);
    meta.onUnknown = () => this.leases.expire();
    this.#session = session;
    this.#meta = meta;
    member.onHeard = () => this.#heard();
    member.onEnded = (sids) => {
      if (sids.includes(session.sid)) this.#lose('the metaserver has ended this session');
    };
    this.#timer = setInterval(() => this.#watch(), WATCH_MS);
    return meta;
  }

  onWelcome({ resumed, serverEpoch, sid }: Welcome): void {
    const before = this.#server;
    const { journal } = this.#options;
    this.#server = { sid, epoch: serverEpoch };
    if (before === undefined) {
      this.#isFollowing = journal.follows(this.#instance).length > 0 && journal.sid === Number(sid);
    }
    journal.welcomed(this.#instance, safeInteger(sid));
    if (before === undefined) {
      // An earlier life of the metaserver began this session, and was not heard.
      if (resumed && !this.#isFollowing) this.#tasks.run(() => this.#settle(serverEpoch));
      return;
    }
    this.locks.reconnected();
    if (before.sid === sid && before.epoch !== serverEpoch) {
      this.locks.restarted();
      this.#tasks.run(() => this.#letGo(serverEpoch));
      return;
    }
    if (before.sid !== sid) this.#lose('this mount was evicted');
    this.locks.resumed();
  }

  onPush({ body }: ServerFrame): void {
    if (body?.$case === 'glimpse') this.leases.glimpsed(body.value);
    if (body?.$case === 'lockRecall') this.locks.recalled(asIno(body.value.ino));
    if (body?.$case === 'lockGranted') this.locks.granted(body.value.ticket);
    if (body?.$case !== 'recall') return;
    if (this.#early === undefined) this.leases.recalled(body.value);
    else this.#early.push(body.value);
  }

  /**
   * The vfs learns what a process before has left; only then recalls are heard, and what was left
   * is published while the mount is served already.
   * @throws FsError the metaserver does not answer any more
   */
  async adopt(): Promise<void> {
    const { journal, log } = this.#options;
    const { size } = journal.files;
    if (size > 0) log.info('an earlier process left files unpublished', { files: size });
    await this.vfs?.adopt();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const recall of early) this.leases.recalled(recall);
    if (size > 0) this.#tasks.run(() => this.#publishLeft());
  }

  /** The session ends, unless something is unpublished: then the next mount goes on with it. */
  async leave(ms: number): Promise<void> {
    const { journal, log } = this.#options;
    const { size } = journal.files;
    if (size === 0) await this.#session?.leave(ms);
    else log.warn('files are left for the next mount to publish', { files: size });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { member } = this.#options;
    this.#isClosed = true;
    clearInterval(this.#timer);
    member.onHeard = () => undefined;
    member.onEnded = () => undefined;
    this.leases.close();
    this.locks.close();
    this.kernel.close();
    await this.#tasks.settle();
  }

  /** What was written in a session that is over has no part in what is settled. */
  async #publishLeft(): Promise<void> {
    const epoch = this.#isFollowing ? this.#server?.epoch : undefined;
    const settled = epoch === undefined ? undefined : this.#settle(epoch);
    await Promise.all([settled, this.vfs?.publishAll()]);
  }

  #known(): MetaClient {
    if (this.#meta === undefined) throw new FsError('EIO', 'the mount is still starting');
    return this.#meta;
  }

  #endMs(): number {
    return this.#session === undefined ? 0 : this.#options.member.leaseEndMs(this.#session);
  }

  #heard(): void {
    const endMs = this.#endMs();
    if (endMs <= this.#options.bootMs()) return;
    this.#expired = false;
    this.kernel.extend(endMs);
  }

  /** Leases that ran out are given up although no request comes to notice. */
  #watch(): void {
    if (this.#expired || this.#options.bootMs() < this.#endMs()) return;
    this.#expired = true;
    this.leases.expire();
  }

  #lose(why: string): void {
    this.#options.log.warn('every lease is lost', { why });
    this.leases.evicted();
    this.locks.evicted();
    this.vfs?.evicted();
  }

  /** @returns whether the server has heard that nothing of before is held */
  async #told(): Promise<boolean> {
    try {
      await this.locks.say();
      await this.#known().settled(this.vfs?.tellOpen() ?? []);
      this.locks.resumed();
      return true;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return false;
    }
  }

  /**
   * The server knows nothing of what is held here, and lets nobody do anything until this mount has
   * let go of it.
   */
  async #letGo(epoch: bigint): Promise<void> {
    await this.leases.letGo();
    await this.#settle(epoch, () => this.leases.endLost());
  }

  /** @param onPublished called before the server is told that nothing of before is held */
  async #settle(epoch: bigint, onPublished = (): void => undefined): Promise<void> {
    const isNow = (): boolean => !this.#isClosed && this.#server?.epoch === epoch;
    for (;;) {
      const failed = (await this.vfs?.publishNow()) ?? 0;
      if (!isNow()) return;
      if (failed === 0) break;
      await delay(RETRY_MS);
    }
    onPublished();
    while (isNow() && !(await this.#told())) await delay(RETRY_MS);
  }
}
