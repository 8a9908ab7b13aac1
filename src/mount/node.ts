/**
 * The node process: this machine's peer, its two sessions, and at most one mount. Owns the order
 * of start and end; everything it decides is decided in the parts.
 */
import { randomInt } from 'node:crypto';
import { SessionKind } from '../../gen/meta.ts';
import type { Address } from '../common/address.ts';
import type { Clock } from '../common/clock.ts';
import type { GroupView } from '../common/cluster-map.ts';
import { FsError } from '../common/errno.ts';
import { asEpoch, asSessionId, type ClusterId, type GroupId, type NodeId } from '../common/ids.ts';
import { DisposeStack, delay, TaskGroup, within } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { SessionClient } from '../common/rpc/session-client.ts';
import type { SessionOptions } from '../common/rpc/session-options.ts';
import type { DataContext } from '../peer/chunk-store.ts';
import { Peer } from '../peer/node.ts';
import type { CapabilityMask } from './driver/native/capabilities.ts';
import { MetaCache } from './meta-cache.ts';
import { MetaClient } from './meta-client.ts';
import { Mounted, type MountRequest } from './mounted.ts';
import { groupViews, PeerSession } from './peer-session.ts';
import { buildStatus, type NodeStatus } from './status.ts';
import { Vfs } from './vfs/vfs.ts';

/** What the node needs to know of its state folder. */
export interface NodeState {
  readonly dir: string;
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly nodeId: NodeId;
  readonly nodeName: string;
}

export interface NodeOptions {
  readonly state: NodeState;
  /** `unix:PATH` or HOST:PORT. */
  readonly metaserver: string;
  /** Where other nodes fetch chunks; undefined: this node is a client only. */
  readonly peerListen: Address | undefined;
  /** The host that others reach this node at; undefined: where its connection comes from. */
  readonly advertise: string | undefined;
  /** Limit of the cache; undefined: the node decides. */
  readonly cacheBytes: number | undefined;
  readonly mask: CapabilityMask;
  readonly clock: Clock;
  readonly log: Logger;
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
  readonly #peer: Peer;
  readonly #peerSession: PeerSession;
  readonly #stack: DisposeStack;
  readonly #stop = new AbortController();
  readonly #tasks: TaskGroup;
  #groups: ReadonlyMap<GroupId, GroupView> = new Map();
  #mounted: Mounted | undefined;
  #mounting = false;
  /** Mounts that ended and still publish what is left. */
  readonly #ending: TaskGroup;

  private constructor(options: NodeOptions, parts: { peer: Peer; stack: DisposeStack }) {
    this.#options = options;
    this.#peer = parts.peer;
    this.#stack = parts.stack;
    this.#tasks = new TaskGroup((error) => options.log.error('background work failed', { error }));
    this.#ending = new TaskGroup((error) => options.log.error('a mount ended badly', { error }));
    this.#peerSession = new PeerSession({ store: parts.peer.store, log: options.log });
  }

  /** @throws FsError when the store is unusable or no metaserver answers */
  static async start(options: NodeOptions): Promise<DfsNode> {
    const { clock, log, state } = options;
    await using stack = new DisposeStack();
    const peer = stack.use(await Peer.open({ stateDir: state.dir, clock, log: log.child('peer') }));
    const node = new DfsNode(options, { peer, stack: new DisposeStack() });
    await node.#connectPeer(stack);
    node.#stack.use(stack.move());
    node.#tasks.run(() => node.#every(() => node.#publish()));
    node.#tasks.run(() => node.#every(() => node.#peer.store.syncAll()));
    return node;
  }

  get mountpoint(): string | undefined {
    return this.#mounted?.mountpoint;
  }

  /** Opens the chunk service to other nodes. @throws FsError when the address cannot be used */
  listenPeer({ host, port }: Address): Promise<Address> {
    const message = `this node serves no chunks at ${host}:${port}`;
    return Promise.reject(new FsError('EOPNOTSUPP', message));
  }

  /** @throws FsError EBUSY when this node serves another mountpoint already */
  async mount(request: MountRequest): Promise<void> {
    const serves = this.#mounted?.mountpoint;
    if (serves === request.mountpoint) return;
    if (serves !== undefined || this.#mounting) {
      throw new FsError('EBUSY', `this node already serves ${serves ?? 'a mount in the making'}`);
    }
    this.#mounting = true;
    try {
      // A new session would end the old one before its files are published.
      await this.#ending.settle();
      const mounted = await this.#mount(request);
      if (this.#stop.signal.aborted) {
        await mounted.close(LATE_MS);
        throw new FsError('EBUSY', 'the node is ending');
      }
      this.#mounted = mounted;
    } finally {
      this.#mounting = false;
    }
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
    await this.#peer.store.syncAll();
    const failed = (await this.#mounted?.vfs.publishAll()) ?? 0;
    if (failed > 0) throw new FsError('EIO', `${failed} files could not be published`);
    await this.#peer.store.syncAll();
  }

  status(): Promise<NodeStatus> {
    return buildStatus({
      state: this.#options.state,
      peer: this.#peer,
      peerSession: this.#peerSession,
      mounted: this.#mounted,
      metaserver: this.#options.metaserver,
      bootMs: this.#options.clock.bootMs(),
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
    await within(this.#peer.store.syncAll(), CLOSE_MS, 'writing data to disk').catch((error) => {
      this.#options.log.error('not everything reached the disk', { error });
    });
    await this.#stack[Symbol.asyncDispose]();
  }

  async #settle(): Promise<void> {
    await this.#ending.settle();
    await this.#tasks.settle();
  }

  async #connectPeer(stack: DisposeStack): Promise<void> {
    const session = await SessionClient.open({
      ...this.#sessionOptions(SessionKind.PEER, WAIT_MS),
      onWelcome: (welcome) => {
        const groups = groupViews(welcome);
        this.#groups = new Map(groups.map((group) => [group.rg, group]));
        this.#peer.store.setGroups(groups);
      },
      onPush: (frame) => this.#peerSession.onPush(frame),
    });
    // The session ends first, which ends every wait for its answers.
    stack.defer(() => this.#peerSession.close());
    stack.use(session);
    this.#peerSession.attach(session);
  }

  #sessionOptions(kind: SessionKind, waitMs: number): Omit<SessionOptions, 'onWelcome' | 'onPush'> {
    const { clock, log, metaserver, state } = this.#options;
    return {
      address: metaserver,
      clusterId: state.clusterId,
      nodeId: state.nodeId,
      nodeName: state.nodeName,
      kind,
      instance: randomInt(1, 2 ** 47),
      waitMs,
      bootMs: () => clock.bootMs(),
      log: log.child(kind === SessionKind.PEER ? 'peer.session' : 'mount.session'),
    };
  }

  async #mount(request: MountRequest): Promise<Mounted> {
    const { clock, log, mask, state } = this.#options;
    await using stack = new DisposeStack();
    const waitMs = request.waitMs ?? WAIT_MS;
    const cache = new MetaCache();
    const session = stack.use(
      await SessionClient.open({
        ...this.#sessionOptions(SessionKind.MOUNT, waitMs),
        onWelcome: () => cache.clear(),
        onPush: () => undefined,
      }),
    );
    const vfs = new Vfs({
      meta: new MetaClient(session, cache),
      store: this.#peer.store,
      clock,
      log: log.child('mount'),
      showAs: { uid: request.uid, gid: request.gid },
      dataContext: (rg) => this.#dataContext(session, rg),
    });
    return await Mounted.start({
      request,
      source: `dfs:${state.clusterName}`,
      session,
      vfs,
      mask,
      clock,
      log: log.child('mount'),
      stack: stack.move(),
      onGone: (mounted) => {
        if (this.#mounted === mounted) this.#mounted = undefined;
        this.#ending.run(() => mounted.release());
      },
    });
  }

  #dataContext(session: SessionClient, rg: GroupId): DataContext {
    const group = this.#groups.get(rg);
    if (group === undefined) throw new FsError('EIO', `this node does not store group ${rg}`);
    return {
      sid: asSessionId(session.sid),
      sepoch: asEpoch(session.sepoch),
      lseq: 0,
      rg,
      rgEpoch: group.epoch,
    };
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
