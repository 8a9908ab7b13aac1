/**
 * The node process: this machine's part in the cluster, and at most one mount. Owns the order of
 * start and end; everything it decides is decided in the parts.
 */
import { SessionKind } from '../../gen/meta.ts';
import type { Address } from '../common/address.ts';
import type { FsckReport } from '../common/core/fsck-report.ts';
import type { InodeInfo } from '../common/core/inode-info.ts';
import type { LockList } from '../common/core/listed-lock.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { DisposeStack, delay, TaskGroup, within } from '../common/lifecycle.ts';
import { SessionClient } from '../common/rpc/session-client.ts';
import { statePaths } from '../common/state-paths.ts';
import { mountData } from './data/mount-data.ts';
import type { CapabilityMask } from './driver/native/capabilities.ts';
import { Member, type MemberOptions } from './member.ts';
import { MountLeases } from './mount-leases.ts';
import { Mounted, type MountRequest } from './mounted.ts';
import { buildStatus, type NodeStatus } from './status.ts';
import { Vfs } from './vfs/vfs.ts';

export interface NodeOptions extends MemberOptions {
  readonly mask: CapabilityMask;
}

/** How long a request waits for an unreachable metaserver; `-o wait=` changes it. */
const WAIT_MS = 60_000;
/** What was written is published and on disk this long after. */
const WRITE_BACK_MS = 5_000;
/** Orderly shutdown gives the metaserver this long for the last publications. */
const CLOSE_MS = 20_000;
/** What is still under way after that. */
const LATE_MS = 2_000;

export class DfsNode implements AsyncDisposable {
  readonly #options: NodeOptions;
  readonly #member: Member;
  readonly #stop = new AbortController();
  readonly #tasks: TaskGroup;
  #mounted: Mounted | undefined;
  #mounting: Promise<void> | undefined;
  /** Mounts that ended and still publish what is left. */
  readonly #ending: TaskGroup;

  private constructor(options: NodeOptions, member: Member) {
    this.#options = options;
    this.#member = member;
    this.#tasks = new TaskGroup((error) => options.log.error('background work failed', { error }));
    this.#ending = new TaskGroup((error) => options.log.error('a mount ended badly', { error }));
    const { home } = member.data;
    home.onCut = (ino, size) => this.#mounted?.vfs.cutElsewhere(ino, size);
    home.onRemoved = (ino) => this.#mounted?.vfs.removedElsewhere(ino);
  }

  /** @throws FsError when the store is unusable or no metaserver answers */
  static async start(options: NodeOptions): Promise<DfsNode> {
    const node = new DfsNode(options, await Member.start(options));
    node.#tasks.run(() => node.#every(() => node.#publish()));
    node.#tasks.run(() => node.#every(() => node.#member.peer.store.syncAll()));
    return node;
  }

  get mountpoint(): string | undefined {
    return this.#mounted?.mountpoint;
  }

  /** Where others fetch chunks; undefined for a client only. */
  get peerAddress(): Address | undefined {
    return this.#member.address;
  }

  /** Opens the chunk service to other nodes. @throws FsError when the address cannot be used */
  listenPeer(wanted: Address): Promise<Address> {
    return this.#member.listen(wanted);
  }

  /** @throws FsError EBUSY when this node serves another mountpoint already */
  async mount(request: MountRequest): Promise<void> {
    while (this.#mounting !== undefined) await this.#mounting;
    const serves = this.#mounted?.mountpoint;
    if (serves === request.mountpoint) return;
    if (serves !== undefined) throw new FsError('EBUSY', `this node already serves ${serves}`);
    const making = this.#make(request);
    this.#mounting = making
      .catch(() => undefined)
      .finally(() => {
        this.#mounting = undefined;
      });
    await making;
  }

  /** Publishes everything, then unmounts. @throws FsError EBUSY while programs use the mount */
  async unmount(options: { readonly force: boolean }): Promise<void> {
    const mounted = this.#mounted;
    if (mounted === undefined) return;
    if (!options.force) await mounted.unmount();
    else {
      await mounted.detach();
      this.#ending.run(() => mounted.release());
    }
    if (this.#mounted === mounted) this.#mounted = undefined;
  }

  /** Everything accepted so far is durable when it resolves. */
  async flush(): Promise<void> {
    await this.#member.peer.store.syncAll();
    const failed = (await this.#mounted?.vfs.publishAll()) ?? 0;
    if (failed > 0) throw new FsError('EIO', `${failed} files could not be published`);
    await this.#member.peer.store.syncAll();
  }

  /** Of every machine. @throws FsError ENOTCONN nothing is mounted · EIO the metaserver is away */
  locks(): Promise<LockList> {
    return this.#served().locks();
  }

  /** @throws FsError ENOENT · ENOTCONN nothing is mounted · EIO the metaserver is away */
  info(ino: Ino): Promise<InodeInfo> {
    return this.#served().info(ino);
  }

  /** Of the namespace, and of the backing files here. @throws FsError EIO it could not be checked */
  fsck(): Promise<FsckReport> {
    return this.#member.fsck();
  }

  status(): Promise<NodeStatus> {
    return buildStatus({
      state: this.#options.state,
      member: this.#member,
      mounted: this.#mounted,
      metaserver: this.#options.metaserver,
      clock: this.#options.clock,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const mounted = this.#mounted;
    this.#mounted = undefined;
    if (mounted !== undefined) await mounted.close(CLOSE_MS);
    await within(this.#settle(), LATE_MS, 'work in the background').catch((error) => {
      this.#options.log.error('something was still under way', { error });
    });
    await within(this.#member.peer.store.syncAll(), CLOSE_MS, 'writing data to disk').catch(
      (error) => {
        this.#options.log.error('not everything reached the disk', { error });
      },
    );
    await this.#member[Symbol.asyncDispose]();
  }

  #served(): Mounted {
    if (this.#mounted === undefined) throw new FsError('ENOTCONN', 'nothing is mounted here');
    return this.#mounted;
  }

  async #make(request: MountRequest): Promise<void> {
    // A new session would end the old one before its files are published.
    await this.#ending.settle();
    const mounted = await this.#mount(request);
    if (this.#stop.signal.aborted) {
      await mounted.close(LATE_MS);
      throw new FsError('EBUSY', 'the node is ending');
    }
    this.#mounted = mounted;
  }

  async #settle(): Promise<void> {
    await this.#ending.settle();
    await this.#tasks.settle();
  }

  async #mount(request: MountRequest): Promise<Mounted> {
    const { clock, mask, state } = this.#options;
    const log = this.#options.log.child('mount');
    const member = this.#member;
    await using stack = new DisposeStack();
    const waitMs = request.waitMs ?? WAIT_MS;
    const bootMs = (): number => clock.bootMs();
    const { journal } = member.data;
    const leasing = new MountLeases({ member, journal, log, waitMs, bootMs });
    const options = member.sessionOptions(SessionKind.MOUNT, waitMs);
    const session = stack.use(
      await SessionClient.open({
        ...options,
        follows: leasing.asks(options.instance),
        onWelcome: (welcome) => leasing.onWelcome(welcome),
        onPush: (frame) => leasing.onPush(frame),
      }),
    );
    stack.defer(() => leasing.leave(LATE_MS));
    stack.use(member.keepAlive(session));
    const { kernel, leases, locks } = leasing;
    const meta = leasing.begin(session);
    stack.use(leasing);
    const data = mountData(member.data, { session, meta, waitMs: waitMs / 2, log, bootMs });
    const showAs = { uid: request.uid, gid: request.gid };
    const vfs = new Vfs({ meta, leases, locks, kernel, data, journal, clock, log, showAs });
    leasing.vfs = vfs;
    await leasing.adopt();
    return await Mounted.start({
      request,
      source: `dfs:${state.clusterName}`,
      session,
      meta,
      vfs,
      kernel,
      cacheTable: statePaths(state.dir).kernelCache,
      mask,
      clock,
      log,
      stack: stack.move(),
      onGone: (mounted) => {
        if (this.#mounted === mounted) this.#mounted = undefined;
        this.#ending.run(() => mounted.release());
      },
    });
  }

  /** While the metaserver is away, write-back would only wait; it comes again. */
  async #publish(): Promise<void> {
    if (this.#mounted?.session.up === true) await this.#mounted.vfs.publishAll();
  }

  /** sync(1) never reaches a FUSE filesystem, so age alone makes data durable. */
  async #every(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await delay(WRITE_BACK_MS, signal);
      if (signal.aborted) return;
      try {
        await work();
      } catch (error) {
        if (!(error instanceof FsError)) throw error;
        this.#options.log.warn('write-back failed, and is tried again', { error });
      }
    }
  }
}
