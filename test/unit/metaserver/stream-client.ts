/** A client of the session stream that can also send nonsense. */
import assert from 'node:assert/strict';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  ClientFrame,
  type ClusterMap,
  type Hello,
  type Reply,
  type Request,
  ServerFrame,
} from '../../../gen/meta.ts';
import { type Deferred, deferred } from '../../../src/common/lifecycle.ts';
import { WIRE_VERSION } from '../../../src/common/rpc/wire-version.ts';
import { CLUSTER, NODE } from './fixture.ts';
import type { Op } from './rig.ts';

const PATH = '/dfs.v1.MetaService/Session';
const same = (bytes: Buffer): Buffer => bytes;

type Body = NonNullable<ServerFrame['body']>;

export function hello(changes: Partial<Hello> = {}): Hello {
  return {
    clusterId: Buffer.from(CLUSTER, 'hex'),
    wireVersion: WIRE_VERSION,
    features: [],
    nodeId: Buffer.from(NODE, 'hex'),
    kind: 1,
    instance: 5n,
    nodeName: 'node',
    advertise: '',
    peerPort: 0,
    follows: [],
    ...changes,
  };
}

export class StreamClient implements AsyncDisposable {
  /** The maps pushed so far. */
  readonly maps: ClusterMap[] = [];
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #frames: Body[] = [];
  readonly #ended = deferred<void>();
  #waiting: Deferred<void> | undefined;
  #nextId = 1n;
  #over = false;

  /** @param place the path of a socket, or HOST:PORT */
  constructor(place: string) {
    const target = place.startsWith('/') ? `unix:${place}` : place;
    this.#client = new Client(target, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_send_message_length': -1,
    });
    this.#call = this.#client.makeBidiStreamRequest<Buffer, Buffer>(PATH, same, same);
    this.#call.on('data', (bytes: Buffer) => {
      const { body } = ServerFrame.decode(bytes);
      assert.ok(body);
      // Maps come whenever something changes: they are kept aside.
      if (body.$case === 'map') this.maps.push(body.value);
      else this.#frames.push(body);
      this.#waiting?.resolve();
    });
    // Ending with a status is what some tests provoke.
    this.#call.on('error', () => this.#onEnd());
    this.#call.on('end', () => this.#onEnd());
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  sendRaw(bytes: Uint8Array): void {
    this.#call.write(Buffer.from(bytes));
  }

  send(body: NonNullable<ClientFrame['body']>): void {
    this.sendRaw(ClientFrame.encode({ body }).finish());
  }

  async next(): Promise<Body> {
    while (this.#frames.length === 0) {
      if (this.#over) throw new Error('the stream ended');
      this.#waiting = deferred();
      await this.#waiting.promise;
    }
    const frame = this.#frames.shift();
    assert.ok(frame);
    return frame;
  }

  /** The Welcome or the Refusal. */
  async open(changes: Partial<Hello> = {}): Promise<Body> {
    this.send({ $case: 'hello', value: hello(changes) });
    return this.next();
  }

  async request(op: Op | undefined, requestId?: Request['requestId']): Promise<Reply> {
    const id = this.#nextId++;
    this.send({ $case: 'request', value: { id, requestId, op } });
    const frame = await this.next();
    assert.ok(frame.$case === 'reply', `expected a reply, got ${frame.$case}`);
    assert.equal(frame.value.id, id);
    return frame.value;
  }

  #onEnd(): void {
    this.#over = true;
    this.#ended.resolve();
    this.#waiting?.reject(new Error('the stream ended'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#call.end();
    this.#call.cancel();
    this.#client.close();
    await this.#ended.promise;
  }
}
