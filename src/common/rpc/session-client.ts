/**
 * A session at the metaserver, seen from the node: one bidirectional stream, kept alive through
 * restarts of the server. A request that got no reply is sent again under the same id after the
 * stream is back, so it executes once; it fails with EIO when the server stays away for `waitMs`.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type {
  ClientFrame,
  MetaServiceClient,
  Refusal,
  Reply,
  Request,
  RequestId,
  ServerFrame,
  Welcome,
} from '../../../gen/meta.ts';
import { errnoName, FsError } from '../errno.ts';
import { safeInteger } from '../ids.ts';
import { type Deferred, deferred } from '../lifecycle.ts';
import { dialMetaserver } from './channel.ts';
import type { SessionOptions, Waiter } from './session-options.ts';
import { WIRE_VERSION } from './wire-version.ts';

export type Operation = NonNullable<Request['op']>;
export type OperationResult = NonNullable<Reply['result']>;

interface Pending {
  readonly request: Request;
  readonly answer: Deferred<OperationResult>;
  readonly sinceMs: number;
  readonly waiter: Waiter | undefined;
  readonly learn: ((reply: OperationResult | FsError) => void) | undefined;
}

/** Refused for the moment: the server is as good as away. */
const UNAVAILABLE = 'unavailable';
/** Another process of this node goes on; coming back would only end that one's session. */
const SESSION_ENDED = 'session-ended';
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1_000;
const SWEEP_MS = 500;

export class SessionClient implements AsyncDisposable {
  readonly #options: SessionOptions;
  readonly #client: MetaServiceClient;
  readonly #pending = new Map<bigint, Pending>();
  readonly #first = deferred<Welcome>();
  readonly #sweeper: NodeJS.Timeout;
  #stream: ClientDuplexStream<ClientFrame, ServerFrame> | undefined;
  #welcome: Welcome | undefined;
  #up = false;
  #sinceMs: number;
  #nextId = 1n;
  #retryMs = RETRY_MS_MIN;
  #retry: NodeJS.Timeout | undefined;
  /** Set when no request can succeed any more. */
  #closed: FsError | undefined;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = dialMetaserver(options.address);
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

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Boot milliseconds since when the oldest request waits for its answer. */
  get waitingSinceMs(): number | undefined {
    const oldest: Pending | undefined = this.#pending.values().next().value;
    return oldest?.sinceMs;
  }

  /**
   * @param requestId for mutations: makes a repeat of it recognisable
   * @param waiter told how to give up the wait while the server is away (EINTR)
   * @param learn called with the server's answer as it arrives, before the promise settles
   * @throws FsError what the server answers, EIO when it is away too long, EINTR
   */
  request(
    op: Operation,
    requestId?: RequestId,
    waiter?: Waiter,
    learn?: (reply: OperationResult | FsError) => void,
  ): Promise<OperationResult> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (waiter?.interrupted === true && !this.#up) return Promise.reject(interrupted());
    const id = this.#nextId++;
    const request: Request = { id, requestId, op };
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new FsError('EIO', 'the session is closed'));
    this.#client.close();
  }

  /** For good: nothing is pending afterwards, and nothing comes back. */
  #end(reason: FsError): void {
    this.#closed ??= reason;
    this.#setUp(false);
    clearInterval(this.#sweeper);
    clearTimeout(this.#retry);
    this.#failAll(reason);
    this.#stream?.end();
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  #connect(): void {
    const stream = this.#client.session();
    this.#stream = stream;
    stream.on('data', (frame: ServerFrame) => this.#onFrame(stream, frame));
    stream.on('error', (error) => this.#onDown(stream, error.message));
    stream.on('end', () => this.#onDown(stream, 'the metaserver ended the stream'));
    const { clusterId, nodeId, nodeName, kind, instance } = this.#options;
    stream.write({
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
        },
      },
    });
  }

  #onFrame(stream: unknown, frame: ServerFrame): void {
    if (stream !== this.#stream || this.#closed !== undefined) return;
    const { body } = frame;
    switch (body?.$case) {
      case 'reply':
        this.#onReply(body.value);
        return;
      case 'welcome':
        this.#onWelcome(body.value);
        return;
      case 'refusal':
        this.#onRefusal(stream, body.value);
        return;
      case 'reclaim':
      case 'map':
      case 'share':
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
    if (before !== undefined && before.sid !== welcome.sid) {
      this.#options.log.error('the metaserver gave up this session', { sid: before.sid });
      this.#failAll(new FsError('EIO', 'the metaserver gave up this session'));
    }
    this.#options.onWelcome(welcome);
    this.#setUp(true);
    this.#first.resolve(welcome);
    for (const pending of this.#pending.values()) this.#send(pending.request);
  }

  #onRefusal(stream: unknown, { code, message }: Refusal): void {
    if (code === UNAVAILABLE) {
      this.#onDown(stream, message);
      return;
    }
    const sentence = `the metaserver refuses this node: ${message} (${code})`;
    const error = new FsError('EPROTO', sentence);
    this.#options.log.error(error.message);
    this.#first.reject(error);
    if (code === SESSION_ENDED) this.#end(error);
    else this.#failAll(error);
  }

  #onReply(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#forget(reply.id, pending);
    const answer = answerOf(reply);
    pending.learn?.(answer);
    if (answer instanceof FsError) pending.answer.reject(answer);
    else pending.answer.resolve(answer);
  }

  #onDown(stream: unknown, reason: string): void {
    if (stream !== this.#stream || this.#closed !== undefined) return;
    this.#stream = undefined;
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
    this.#stream?.write({ body: { $case: 'request', value: request } });
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
  }

  #failAll(error: FsError): void {
    for (const [id, pending] of this.#pending) {
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
