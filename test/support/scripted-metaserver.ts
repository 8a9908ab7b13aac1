/** A metaserver whose every frame the test decides, on a real unix socket. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  type ClientFrame,
  MetaServiceService,
  type Request,
  type ServerFrame,
} from '../../gen/meta.ts';
import { asClusterId, asNodeId } from '../../src/common/ids.ts';
import { type Deferred, deferred } from '../../src/common/lifecycle.ts';
import { RpcServer } from '../../src/common/rpc/server.ts';
import { WIRE_VERSION } from '../../src/common/rpc/wire-version.ts';

export const CLUSTER = asClusterId('cc'.repeat(16));
export const NODE = asNodeId('01'.repeat(16));

type Call = ServerDuplexStream<ClientFrame, ServerFrame>;

export class ScriptedMetaserver implements AsyncDisposable {
  /** Streams that said Hello since the start. */
  hellos = 0;
  readonly requests: Request[] = [];
  /** What a Hello is answered with. */
  onHello: (server: ScriptedMetaserver) => void = (server) => server.welcome(1);
  #server: RpcServer | undefined;
  #call: Call | undefined;
  #waiting: { count: () => boolean; met: Deferred<void> }[] = [];

  static async start(socketPath: string): Promise<ScriptedMetaserver> {
    const scripted = new ScriptedMetaserver();
    const handlers = { session: (call: Call) => scripted.#accept(call) };
    scripted.#server = await RpcServer.bindUnix(socketPath, [
      { definition: MetaServiceService, handlers },
    ]);
    return scripted;
  }

  welcome(sid: number): void {
    this.#write({
      $case: 'welcome',
      value: {
        clusterId: Buffer.from(CLUSTER, 'hex'),
        wireVersion: WIRE_VERSION,
        features: [],
        sid: BigInt(sid),
        sepoch: 1n,
        resumed: true,
        clusterName: 'test',
        groups: [],
        alone: true,
      },
    });
  }

  refuse(code: string): void {
    this.#write({ $case: 'refusal', value: { code, message: 'no' } });
    this.#call?.end();
  }

  reply(id: bigint): void {
    const value = { id, errno: 0, message: '', result: { $case: 'empty' as const, value: {} } };
    this.#write({ $case: 'reply', value });
  }

  /** Ends the stream; the client comes back. */
  drop(): void {
    this.#call?.end();
    this.#call = undefined;
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

  #accept(call: Call): void {
    this.#call = call;
    call.on('error', () => undefined);
    call.on('data', (frame: ClientFrame) => {
      if (frame.body?.$case === 'hello') {
        this.hellos++;
        this.onHello(this);
      } else if (frame.body?.$case === 'request') this.requests.push(frame.body.value);
      for (const { count, met } of this.#waiting) if (count()) met.resolve();
    });
  }

  #write(body: NonNullable<ServerFrame['body']>): void {
    this.#call?.write({ body });
  }
}
