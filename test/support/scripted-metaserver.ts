/** A metaserver whose every frame the test decides, on a real unix or TCP socket. */
import type { ServerDuplexStream, sendUnaryData } from '@grpc/grpc-js';
import {
  type ClientFrame,
  type DescribeReply,
  type Hello,
  type KeepAliveFrame,
  type KeepAliveReply,
  MetaServiceService,
  type Request,
  type ServerFrame,
} from '../../gen/meta.ts';
import { asClusterId, asNodeId } from '../../src/common/ids.ts';
import { type Deferred, deferred } from '../../src/common/lifecycle.ts';
import { RpcServer, type ServedService } from '../../src/common/rpc/server.ts';
import { WIRE_VERSION } from '../../src/common/rpc/wire-version.ts';

export const CLUSTER = asClusterId('cc'.repeat(16));
export const NODE = asNodeId('01'.repeat(16));

type Call = ServerDuplexStream<ClientFrame, ServerFrame>;
type KeepAliveCall = ServerDuplexStream<KeepAliveFrame, KeepAliveReply>;

export class ScriptedMetaserver implements AsyncDisposable {
  /** Of the life of the metaserver it plays. */
  epoch = 1n;
  /** Streams that said Hello since the start. */
  hellos = 0;
  hello: Hello | undefined;
  readonly requests: Request[] = [];
  readonly keepAlives: KeepAliveFrame[] = [];
  /** What a keepalive is answered with; undefined: nothing. */
  onKeepAlive: (frame: KeepAliveFrame) => KeepAliveReply | undefined = ({ seq }) => ({
    seq,
    wallMs: 0n,
    ended: [],
  });
  description: DescribeReply = {
    clusterId: Buffer.from(CLUSTER, 'hex'),
    clusterName: 'test',
    wireVersion: WIRE_VERSION,
    wallMs: 1n,
    rootUid: 1000,
  };
  /** What a Hello is answered with. */
  onHello: (server: ScriptedMetaserver) => void = (server) => server.welcome(1);
  readonly #welcomed = new Set<number>();
  #server: RpcServer | undefined;
  #call: Call | undefined;
  #keepAlive: KeepAliveCall | undefined;
  #waiting: { count: () => boolean; met: Deferred<void> }[] = [];

  static async start(socketPath: string): Promise<ScriptedMetaserver> {
    const scripted = new ScriptedMetaserver();
    scripted.#server = await RpcServer.bindUnix(socketPath, [scripted.#served]);
    return scripted;
  }

  static async startTcp(port = 0): Promise<ScriptedMetaserver> {
    const scripted = new ScriptedMetaserver();
    const place = { host: '127.0.0.1', port };
    scripted.#server = await RpcServer.bindTcp(place, [scripted.#served]);
    return scripted;
  }

  /** 0 on a unix socket. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  welcome(sid: number): void {
    const resumed = this.#welcomed.has(sid);
    this.#welcomed.add(sid);
    this.#write({
      $case: 'welcome',
      value: {
        clusterId: Buffer.from(CLUSTER, 'hex'),
        wireVersion: WIRE_VERSION,
        features: [],
        sid: BigInt(sid),
        sepoch: 1n,
        resumed,
        clusterName: 'test',
        groups: [],
        serverEpoch: this.epoch,
      },
    });
  }

  refuse(code: string): void {
    this.#write({ $case: 'refusal', value: { code, message: 'no' } });
    this.#call?.end();
  }

  reply(id: bigint): void {
    const value = {
      id,
      errno: 0,
      message: '',
      grants: [],
      result: { $case: 'empty' as const, value: {} },
    };
    this.#write({ $case: 'reply', value });
  }

  push(body: NonNullable<ServerFrame['body']>): void {
    this.#write(body);
  }

  /** Ends the streams; the client comes back. */
  drop(): void {
    this.#call?.end();
    this.#call = undefined;
    this.#keepAlive?.end();
    this.#keepAlive = undefined;
  }

  /** Resolves when the condition holds after a frame of the client. */
  async until(count: () => boolean): Promise<void> {
    if (count()) return;
    const met = deferred<void>();
    this.#waiting.push({ count, met });
    await met.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop();
    await this.#server?.[Symbol.asyncDispose]();
  }

  get #served(): ServedService {
    const handlers = {
      session: (call: Call) => this.#accept(call),
      keepAlive: (call: KeepAliveCall) => this.#acceptKeepAlive(call),
      describe: (_call: unknown, answer: sendUnaryData<DescribeReply>) => {
        answer(null, this.description);
      },
    };
    return { definition: MetaServiceService, handlers };
  }

  #acceptKeepAlive(call: KeepAliveCall): void {
    this.#keepAlive = call;
    call.on('error', () => undefined);
    call.on('data', (frame: KeepAliveFrame) => {
      this.keepAlives.push(frame);
      const reply = this.onKeepAlive(frame);
      if (reply !== undefined) call.write(reply);
      this.#look();
    });
  }

  #accept(call: Call): void {
    this.#call = call;
    call.on('error', () => undefined);
    call.on('data', (frame: ClientFrame) => {
      if (frame.body?.$case === 'hello') {
        this.hellos++;
        this.hello = frame.body.value;
        this.onHello(this);
      } else if (frame.body?.$case === 'request') this.requests.push(frame.body.value);
      this.#look();
    });
  }

  #look(): void {
    for (const { count, met } of this.#waiting) if (count()) met.resolve();
  }

  #write(body: NonNullable<ServerFrame['body']>): void {
    this.#call?.write({ body });
  }
}
