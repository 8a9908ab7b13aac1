/**
 * This node's part in the cluster, with or without a mount: its store and cache, its chunk service,
 * its session as a peer, and the keepalive of all its sessions.
 */
import { randomInt } from 'node:crypto';
import { SessionKind } from '../../gen/meta.ts';
import { type Address, formatAddress } from '../common/address.ts';
import { isRegular } from '../common/attr.ts';
import { type Clock, wallMs } from '../common/clock.ts';
import type { FsckReport } from '../common/core/fsck-report.ts';
import { FsError } from '../common/errno.ts';
import type { ClusterId, Ino, NodeId } from '../common/ids.ts';
import { DisposeStack } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { attrFromWire } from '../common/rpc/codec.ts';
import { KeepAliveClient } from '../common/rpc/keepalive-client.ts';
import { type ListenWish, listenAsWished } from '../common/rpc/listen-wish.ts';
import { SessionClient } from '../common/rpc/session-client.ts';
import type { SessionOptions } from '../common/rpc/session-options.ts';
import { statePaths } from '../common/state-paths.ts';
import { ChunkClient } from '../peer/chunk-client.ts';
import { ChunkListener } from '../peer/chunk-listener.ts';
import { ChunkService } from '../peer/chunk-service.ts';
import { Home } from '../peer/home.ts';
import { Peer } from '../peer/node.ts';
import { KnownVersions } from './data/known-versions.ts';
import type { NodeData } from './data/mount-data.ts';
import { ClusterView } from './data/rights.ts';
import { WritebackFiles } from './data/writeback-files.ts';
import { fsck } from './fsck.ts';
import { type LeftJournal, openMountJournal, readMountJournal } from './mount-journal.ts';
import { PeerProbe } from './peer-probe.ts';
import { PeerSession } from './peer-session.ts';

/** What the node needs to know of its state folder. */
export interface NodeState {
  readonly dir: string;
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly nodeId: NodeId;
  readonly nodeName: string;
}

export interface MemberOptions {
  readonly state: NodeState;
  /** `unix:PATH` or HOST:PORT. */
  readonly metaserver: string;
  /** Where other nodes fetch chunks; undefined: this node is a client only. */
  readonly peerListen: ListenWish | undefined;
  /** The host that others reach this node at; undefined: where its connection comes from. */
  readonly advertise: string | undefined;
  /** Limit of the cache; undefined: the node decides. */
  readonly cacheBytes: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long a request of the peer waits for an unreachable metaserver. */
const WAIT_MS = 60_000;
/** The server counts 14 s from the receipt of what was sent before. */
const LEASE_MS = 10_000;

interface MemberParts {
  readonly peer: Peer;
  readonly data: NodeData;
  readonly service: ChunkService;
  readonly listener: ChunkListener;
  readonly probe: PeerProbe;
  readonly journalProblem: string | undefined;
  readonly stack: DisposeStack;
}

export class Member implements AsyncDisposable {
  readonly peer: Peer;
  readonly data: NodeData;
  readonly service: ChunkService;
  readonly probe: PeerProbe;
  readonly session: PeerSession;
  /** Why not all of what an earlier process left could be understood. */
  readonly journalProblem: string | undefined;
  /** The metaserver answered a keepalive. */
  onHeard: () => void = () => undefined;
  /** It does not know these sessions any more. */
  onEnded: (sids: readonly number[]) => void = () => undefined;
  readonly #options: MemberOptions;
  readonly #listener: ChunkListener;
  readonly #stack: DisposeStack;
  readonly #sessions = new Set<SessionClient>();
  #keepalive: KeepAliveClient | undefined;
  #peerSession: SessionClient | undefined;

  private constructor(options: MemberOptions, parts: MemberParts) {
    this.#options = options;
    this.peer = parts.peer;
    this.data = parts.data;
    this.service = parts.service;
    this.probe = parts.probe;
    this.journalProblem = parts.journalProblem;
    this.#listener = parts.listener;
    this.#stack = parts.stack;
    this.session = new PeerSession({
      nodeId: options.state.nodeId,
      metaserver: options.metaserver,
      store: parts.peer.store,
      home: parts.data.home,
      view: parts.data.view,
      probe: parts.probe,
      log: options.log,
    });
  }

  /** @throws FsError when the store is unusable, an address is taken, or no metaserver answers */
  static async start(options: MemberOptions): Promise<Member> {
    const { cacheBytes, clock, log, peerListen, state } = options;
    await using stack = new DisposeStack();
    const peerOptions = { stateDir: state.dir, clock, log: log.child('peer') };
    const peer = stack.use(
      await Peer.open({ ...peerOptions, ...(cacheBytes !== undefined && { cacheBytes }) }),
    );
    const { lostAndFound, writeback } = statePaths(state.dir);
    const files = new WritebackFiles(writeback, lostAndFound);
    stack.defer(() => files.closeAll());
    const place = { path: statePaths(state.dir).journal, clusterId: state.clusterId, log };
    const left = readMountJournal(place);
    await clearFiles(files, left, log);
    const journal = openMountJournal(place, left.state);
    stack.defer(() => journal.close());
    const bootMs = (): number => clock.bootMs();
    const { clusterId, nodeId } = state;
    const client = stack.use(new ChunkClient({ clusterId, bootMs }));
    let member: Member | undefined;
    const home = new Home({
      store: peer.store,
      log: log.child('peer'),
      fetchAttr: (ino) => (member === undefined ? notYet() : member.#fetchAttr(ino)),
    });
    const versions = new KnownVersions();
    const service = new ChunkService({
      home,
      cache: peer.cache,
      clusterId,
      nodeId,
      log,
      knownVersions: (ino, of, run) => versions.get(ino, of, run),
    });
    const listener = stack.use(new ChunkListener([service.served]));
    const data: NodeData = {
      self: nodeId,
      store: peer.store,
      home,
      cache: peer.cache,
      client,
      files,
      journal,
      view: new ClusterView(),
      versions,
      counts: { hits: 0, misses: 0 },
    };
    const probe = new PeerProbe({ client, bootMs });
    const journalProblem = left.problem;
    const empty = new DisposeStack();
    const parts = { peer, data, service, listener, probe, journalProblem, stack: empty };
    member = new Member(options, parts);
    if (peerListen !== undefined) {
      await listenAsWished(peerListen, {
        listen: (place) => listener.listen(place),
        log: peerOptions.log,
      });
    }
    await member.#connect(stack);
    member.#stack.use(stack.move());
    return member;
  }

  /** Where others fetch chunks. */
  get address(): Address | undefined {
    return this.#listener.address;
  }

  /** How far the metaserver's clock is ahead of ours, milliseconds. */
  get wallSkewMs(): number {
    return this.#keepalive?.wallSkewMs ?? 0;
  }

  /** Opens the chunk service at another address, and lets the cluster know. */
  async listen(wanted: Address): Promise<Address> {
    const address = await this.#listener.listen(wanted);
    this.#options.log.info('serving chunks', { address: formatAddress(address) });
    this.#peerSession?.restart('this node has a new address');
    return address;
  }

  /** @throws FsError EIO the metaserver is away, or cannot read its database */
  fsck(): Promise<FsckReport> {
    const session = this.#peerSession;
    if (session === undefined) return notYet();
    return fsck({ session, peer: this.peer, nodeName: this.#options.state.nodeName });
  }

  /** What a session of this node needs to begin. */
  sessionOptions(kind: SessionKind, waitMs: number): Omit<SessionOptions, 'onWelcome' | 'onPush'> {
    const { advertise = '', clock, log, metaserver, state } = this.#options;
    return {
      address: metaserver,
      clusterId: state.clusterId,
      nodeId: state.nodeId,
      nodeName: state.nodeName,
      kind,
      instance: randomInt(1, 2 ** 47),
      waitMs,
      bootMs: () => clock.bootMs(),
      hello: () => ({ advertise, peerPort: this.#listener.address?.port ?? 0 }),
      log: log.child(kind === SessionKind.PEER ? 'peer.session' : 'mount.session'),
    };
  }

  /** Keeps the session alive until it is disposed. */
  keepAlive(session: SessionClient): AsyncDisposable {
    this.#sessions.add(session);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#sessions.delete(session);
      },
    };
  }

  /** Boot milliseconds when the leases of the session end (C12 in docs/PROTOCOL.md). */
  leaseEndMs(session: SessionClient): number {
    const heardMs = this.#keepalive?.heardOfMs(session.sid) ?? 0;
    return Math.max(session.welcomedMs, heardMs) + LEASE_MS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }

  async #connect(stack: DisposeStack): Promise<void> {
    const { clock, log, metaserver } = this.#options;
    const session = await SessionClient.open({
      ...this.sessionOptions(SessionKind.PEER, WAIT_MS),
      onWelcome: (welcome) => this.session.onWelcome(welcome),
      onPush: (frame) => this.session.onPush(frame),
    });
    // The session ends first, which ends every wait for its answers.
    stack.defer(() => this.session.close());
    stack.use(session);
    this.#peerSession = session;
    stack.use(this.keepAlive(session));
    this.#keepalive = stack.use(
      new KeepAliveClient({
        address: metaserver,
        sessions: () => [...this.#sessions].filter(({ up }) => up),
        bootMs: () => clock.bootMs(),
        wallMs: () => wallMs(clock),
        log: log.child('keepalive'),
        onAnswer: () => this.onHeard(),
        onAway: () => this.#restartSessions('the metaserver does not answer'),
        onEnded: (sids) => {
          log.warn('the metaserver has ended sessions of this node', { sids });
          this.onEnded(sids);
        },
      }),
    );
    this.session.attach(session);
  }

  #restartSessions(reason: string): void {
    for (const session of this.#sessions) session.restart(reason);
  }

  async #fetchAttr(ino: Ino): Promise<{ readonly size: number; readonly cuts: number }> {
    const session = this.#peerSession;
    if (session === undefined) return notYet();
    const result = await session.request({
      $case: 'getattr',
      value: { ino: BigInt(ino), committed: true },
    });
    if (result.$case !== 'attr' || result.value.attr === undefined) {
      throw new FsError('EPROTO', 'a reply of the metaserver lacks attributes');
    }
    const attr = attrFromWire(result.value.attr);
    if (!isRegular(attr.mode)) throw new FsError('ENOENT', `ino ${ino} is no file with bytes`);
    // What an earlier process has written behind the published size is published still.
    return { cuts: attr.cuts, size: this.data.journal.sizeHere(attr) };
  }
}

async function clearFiles(files: WritebackFiles, left: LeftJournal, log: Logger): Promise<void> {
  const isDoubtful = left.problem !== undefined;
  const counts = (ino: Ino): boolean => left.state.files.has(ino);
  const gone = await files.clear({ counts, isDoubtful });
  if (gone.length === 0) return;
  const what = isDoubtful ? 'is kept in lost+found' : 'is dropped';
  log.warn(`what an earlier process has written and not published ${what}`, { inos: gone });
}

function notYet(): Promise<never> {
  return Promise.reject(new FsError('EAGAIN', 'this node is still starting'));
}
