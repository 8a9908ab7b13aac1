/**
 * A session at the metaserver, seen from the node: one bidirectional stream, kept alive through
 * restarts of the server. A request that got no reply is sent again under the same id after the
 * stream is back, so it executes once; it fails with EIO when the server stays away for `waitMs`.
 */
import type {
  ClientFrame,
  Grant,
  Refusal,
  Reply,
  Request,
  RequestId,
  ServerFrame,
  Welcome,
} from '../../../gen/meta.ts';
import { errnoName, FsError } from '../errno.ts';
import { safeInteger } from '../ids.ts';
import { type Deferred, deferred, within } from '../lifecycle.ts';
import { CONNECT_MS_MAX } from './channel.ts';
import { Line } from './line.ts';
import type { SessionOptions, Waiter } from './session-options.ts';
import { WIRE_VERSION } from './wire-version.ts';

export type Operation = NonNullable<Request['op']>;
export type OperationResult = NonNullable<Reply['result']>;

/** What an answer said, and the leases that came with it. */
export type Learn = (reply: OperationResult | FsError, grants: readonly Grant[]) => void;

interface Pending {
  readonly request: Request;
  readonly answer: Deferred<OperationResult>;
  readonly sinceMs: number;
  readonly waiter: Waiter | undefined;
  readonly learn: Learn | undefined;
}

/** A request without an answer. */
export interface Unanswered extends Pick<Pending, 'sinceMs' | 'waiter'> {
  /** Of the request. */
  readonly id: bigint;
  readonly op: Operation | undefined;
}

/** They change nothing, and are as good in the session that comes after this one. */
const LOOKS: ReadonlySet<string> = new Set([
  'lookup',
  'getattr',
  'lease',
  'readlink',
  'readdir',
  'statfs',
  'testLock',
]);
/** Refused for the moment: the server is as good as away. */
const UNAVAILABLE = 'unavailable';
/** Another process of this node goes on; coming back would only end that one's session. */
const SESSION_ENDED = 'session-ended';
/** The session is over; this process comes back to a new one. */
const EVICTED = 'evicted';
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1_000;
const SWEEP_MS = 500;
/** A session that is opened may wait for the end of an older one. */
const WELCOME_MS_MAX = 20_000;

export class SessionClient implements AsyncDisposable {
  readonly #options: SessionOptions;
  readonly #pending = new Map<bigint, Pending>();
  readonly #first = deferred<Welcome>();
  readonly #sweeper: NodeJS.Timeout;
  #line: Line<ClientFrame, ServerFrame> | undefined;
  /** Boot milliseconds when the line was dialled. */
  #dialledMs = 0;
  #welcomedMs = 0;
  #welcome: Welcome | undefined;
  #up = false;
  #sinceMs: number;
  #nextId = 1n;
  #retryMs = RETRY_MS_MIN;
  #retry: NodeJS.Timeout | undefined;
  #leaves = false;
  /** Set when no request can succeed any more. */
  #closed: FsError | undefined;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#sinceMs = options.bootMs();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** @throws FsError EPROTO refused, EIO unreachable for `waitMs` */
  static async open(options: SessionOptions): Promise<SessionClient> {
    const session = new SessionClient(options);
    session.#connect();
    try {
      await session.#first.promise;
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  get up(): boolean {
    return this.#up;
  }

  /** Boot milliseconds of the last change of `up`. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get sid(): number {
    return safeInteger(this.#welcome?.sid ?? 0n);
  }

  get sepoch(): number {
    return safeInteger(this.#welcome?.sepoch ?? 0n);
  }

  /** Boot milliseconds before the metaserver last welcomed this session. */
  get welcomedMs(): number {
    return this.#welcomedMs;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Boot milliseconds since when the oldest request waits for its answer. */
  get waitingSinceMs(): number | undefined {
    const oldest: Pending | undefined = this.#pending.values().next().value;
    return oldest?.sinceMs;
  }

  /** Oldest first. */
  *unanswered(): Iterable<Unanswered> {
    for (const { request, sinceMs, waiter } of this.#pending.values()) {
      yield { id: request.id, op: request.op, sinceMs, waiter };
    }
  }

  /**
   * @param requestId for mutations: makes a repeat of it recognisable
   * @param waiter told how to give up the wait while the server is away (EINTR)
   * @param learn called with the server's answer as it arrives, before the promise settles
   * @param noGrant no lease is wanted on the inode it is about
   * @throws FsError what the server answers, EIO when it is away too long, EINTR
   */
  request(
    op: Operation,
    requestId?: RequestId,
    waiter?: Waiter,
    learn?: Learn,
    noGrant = false,
  ): Promise<OperationResult> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (waiter?.interrupted === true && !this.#up) return Promise.reject(interrupted());
    const id = this.#nextId++;
    const request: Request = { id, requestId, noGrant, op };
    const pending: Pending = {
      request,
      answer: deferred(),
      sinceMs: this.#options.bootMs(),
      waiter,
      learn,
    };
    this.#pending.set(id, pending);
    if (waiter !== undefined) {
      waiter.waitsFor = 'metaserver';
      waiter.interrupt = () => this.#interrupt(id);
    }
    if (this.#up) this.#send(request);
    return pending.answer.promise;
  }

  /** Takes the stream for lost, and comes back on a new connection. Nothing when it is lost. */
  restart(reason: string): void {
    if (this.#line === undefined) return;
    this.#line.hangUp();
    this.#onDown(reason);
  }

  /** Tells the metaserver that nobody comes back to this session, when it answers within `ms`. */
  async leave(ms: number): Promise<void> {
    if (!this.#up) return;
    this.#leaves = true;
    try {
      await within(this.request({ $case: 'leave', value: {} }), ms, 'leaving the metaserver');
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#options.log.debug('left without a word', { error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new FsError('EIO', 'the session is closed'));
  }

  /** For good: nothing is pending afterwards, and nothing comes back. */
  #end(reason: FsError): void {
    this.#closed ??= reason;
    this.#setUp(false);
    clearInterval(this.#sweeper);
    clearTimeout(this.#retry);
    this.#failAll(reason);
    this.#line?.hangUp();
    this.#line = undefined;
  }

  #connect(): void {
    const { address, clusterId, nodeId, nodeName, kind, instance, hello, follows } = this.#options;
    this.#dialledMs = this.#options.bootMs();
    this.#line = new Line<ClientFrame, ServerFrame>({
      address,
      open: (client) => client.session(),
      onFrame: (frame) => this.#onFrame(frame),
      onDown: (reason) => this.#onDown(reason),
    });
    this.#line.write({
      body: {
        $case: 'hello',
        value: {
          clusterId: Buffer.from(clusterId, 'hex'),
          wireVersion: WIRE_VERSION,
          features: [],
          nodeId: Buffer.from(nodeId, 'hex'),
          kind,
          instance: BigInt(instance),
          nodeName,
          advertise: '',
          peerPort: 0,
          follows: (follows?.() ?? []).map(BigInt),
          ...hello?.(),
        },
      },
    });
  }

  #onFrame(frame: ServerFrame): void {
    const { body } = frame;
    switch (body?.$case) {
      case 'reply':
        this.#onReply(body.value);
        return;
      case 'welcome':
        this.#onWelcome(body.value);
        return;
      case 'refusal':
        this.#onRefusal(body.value);
        return;
      case 'recall':
      case 'glimpse':
      case 'lockGranted':
      case 'lockRecall':
      case 'fence':
      case 'reclaim':
      case 'map':
      case 'dialBack':
        this.#options.onPush(frame);
        return;
      case undefined:
        this.#options.log.warn('the metaserver sent a frame this version does not know');
    }
  }

  #onWelcome(welcome: Welcome): void {
    const before = this.#welcome;
    this.#welcome = welcome;
    this.#welcomedMs = this.#dialledMs;
    if (before !== undefined && before.sid !== welcome.sid) {
      this.#options.log.error('the metaserver gave up this session', {
        sid: safeInteger(before.sid),
      });
      const error = new FsError('EIO', 'the metaserver gave up this session');
      this.#failAll(error, ({ request }) => !LOOKS.has(request.op?.$case ?? ''));
    }
    if (before !== undefined && before.serverEpoch !== welcome.serverEpoch) {
      // This server must hear it when it is true for it.
      const error = new FsError('ESTALE', 'the metaserver was started anew');
      this.#failAll(error, ({ request: { op } }) => {
        return op?.$case === 'settled' || (op?.$case === 'lock' && op.value.again);
      });
    }
    this.#options.onWelcome(welcome);
    this.#setUp(true);
    this.#first.resolve(welcome);
    for (const pending of this.#pending.values()) this.#send(pending.request);
  }

  #onRefusal({ code, message }: Refusal): void {
    if (code === UNAVAILABLE || code === EVICTED) {
      this.restart(message);
      return;
    }
    const sentence = `the metaserver refuses this node: ${message} (${code})`;
    const error = new FsError('EPROTO', sentence);
    if (!this.#leaves) this.#options.log.error(error.message);
    this.#first.reject(error);
    if (code === SESSION_ENDED) this.#end(error);
    else this.#failAll(error);
  }

  #onReply(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#forget(reply.id, pending);
    const answer = answerOf(reply);
    pending.learn?.(answer, reply.grants);
    if (answer instanceof FsError) pending.answer.reject(answer);
    else pending.answer.resolve(answer);
  }

  #onDown(reason: string): void {
    this.#line = undefined;
    if (this.#up) {
      this.#options.log.warn('lost the metaserver', { reason });
      // One that ends us as soon as it has welcomed us is not asked every 20 ms.
      if (this.#options.bootMs() - this.#sinceMs >= RETRY_MS_MAX) this.#retryMs = RETRY_MS_MIN;
    }
    this.#setUp(false);
    for (const [id, { waiter }] of this.#pending) if (waiter?.interrupted) this.#interrupt(id);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #setUp(up: boolean): void {
    if (this.#up === up) return;
    this.#up = up;
    this.#sinceMs = this.#options.bootMs();
  }

  #send(request: Request): void {
    this.#line?.write({ body: { $case: 'request', value: request } });
  }

  #interrupt(id: bigint): void {
    const pending = this.#pending.get(id);
    if (pending === undefined || this.#up) return;
    this.#forget(id, pending);
    pending.answer.reject(interrupted());
  }

  #forget(id: bigint, { waiter }: Pending): void {
    this.#pending.delete(id);
    if (waiter !== undefined) waiter.waitsFor = undefined;
  }

  #sweep(): void {
    const oldest = this.#options.bootMs() - this.#options.waitMs;
    const seconds = Math.round(this.#options.waitMs / 1000);
    for (const [id, pending] of this.#pending) {
      if (pending.sinceMs > oldest) break;
      this.#forget(id, pending);
      pending.answer.reject(new FsError('EIO', `the metaserver did not answer for ${seconds} s`));
    }
    if (this.#welcome === undefined && this.#sinceMs <= oldest) {
      this.#first.reject(new FsError('EIO', `no metaserver answered for ${seconds} s`));
    }
    this.#watchLine();
  }

  /** A firewall that drops what is sent to it lets a try neither succeed nor fail. */
  #watchLine(): void {
    if (this.#up || this.#line === undefined) return;
    const waitedMs = this.#options.bootMs() - this.#dialledMs;
    if (waitedMs >= CONNECT_MS_MAX && !this.#line.isConnected) this.restart('no connection');
    else if (waitedMs >= WELCOME_MS_MAX) this.restart('no welcome');
  }

  #failAll(error: FsError, fails: (pending: Pending) => boolean = () => true): void {
    for (const [id, pending] of this.#pending) {
      if (!fails(pending)) continue;
      this.#forget(id, pending);
      pending.answer.reject(error);
    }
  }
}

function interrupted(): FsError {
  return new FsError('EINTR', 'interrupted while the metaserver is away');
}

function answerOf(reply: Reply): OperationResult | FsError {
  if (reply.errno !== 0) return new FsError(errnoName(reply.errno), reply.message);
  return reply.result ?? new FsError('EPROTO', 'the metaserver sent an empty reply');
}
