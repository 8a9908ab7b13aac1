/**
 * One stream of the session protocol: Hello first, then requests. It doubts every frame, bounds
 * what is under way, and stops reading when replies or commits cannot keep up. A frame that cannot
 * be understood ends this stream with a sentence, never the process.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  ClientFrame,
  type Hello,
  type Request,
  type ServerFrame,
  SessionKind,
} from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import type { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { nodeIdFromBytes } from '../common/rpc/codec.ts';
import { WIRE_VERSION } from '../common/rpc/wire-version.ts';
import type { MetaEngine } from './engine.ts';
import { isDialable, peerAddress, sourceHost } from './peer-address.ts';
import type { Session, SessionSink } from './session.ts';
import type { SessionIdentity } from './session-table.ts';
import { encodeFrame, replyFrame } from './wire.ts';

const REQUEST_BYTES_MAX = 256 * 1024;
const IN_FLIGHT_MAX = 4096;
const NAME_CHARS_MAX = 255;
const PORT_MAX = 65_535;

export type RawCall = ServerDuplexStream<Buffer, Buffer>;

export interface SessionStreamOptions {
  readonly call: RawCall;
  readonly engine: MetaEngine;
  readonly tasks: TaskGroup;
  readonly log: Logger;
  onClosed(stream: SessionStream): void;
}

/** A Hello that is refused: `code` is stable, the message is for people. */
class RefusedError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class SessionStream implements SessionSink {
  readonly #options: SessionStreamOptions;
  readonly #call: RawCall;
  readonly #engine: MetaEngine;
  #state: 'new' | 'opening' | 'open' | 'closed' = 'new';
  #session: Session | undefined;
  #inFlight = 0;
  #full = false;
  #paused = false;
  #awaitsRelief = false;

  constructor(options: SessionStreamOptions) {
    this.#options = options;
    this.#call = options.call;
    this.#engine = options.engine;
  }

  start(): void {
    const call = this.#call;
    call.on('data', (bytes: Buffer) => this.#onData(bytes));
    call.on('drain', () => {
      this.#full = false;
      this.#regulate();
    });
    call.on('end', () => this.#finish());
    call.on('error', () => this.#finish());
    call.on('cancelled', () => this.#finish());
    call.on('close', () => this.#finish());
  }

  push(body: NonNullable<ServerFrame['body']>): void {
    if (this.#state === 'open') this.#send(encodeFrame(body));
  }

  close(code: string, message: string): void {
    if (this.#state === 'closed') return;
    this.#options.log.info('a stream is refused', { code, reason: message });
    this.#call.write(encodeFrame({ $case: 'refusal', value: { code, message } }));
    this.#finish();
  }

  /** Ends the stream without a word: the server goes, the client comes back to the next one. */
  end(): void {
    this.#finish();
  }

  #finish(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#call.end();
    // A paused stream would never see the end of the other side.
    this.#call.resume();
    const session = this.#session;
    if (session?.sink === this) {
      session.sink = undefined;
      this.#options.tasks.run(() => this.#engine.detach(session));
    }
    this.#options.onClosed(this);
  }

  #onData(bytes: Buffer): void {
    if (this.#state === 'closed') return;
    if (bytes.length > REQUEST_BYTES_MAX) {
      this.close(
        'too-large',
        `a message has ${bytes.length} bytes, ${REQUEST_BYTES_MAX} are allowed`,
      );
      return;
    }
    const body = decodeFrame(bytes);
    if (body === undefined) this.close('garbled', 'a message cannot be understood');
    else if (body.$case === 'hello') this.#onHello(body.value);
    else this.#onRequest(body.value);
  }

  #onHello(hello: Hello): void {
    if (this.#state !== 'new') {
      this.close('out-of-order', 'a second Hello on one stream');
      return;
    }
    this.#state = 'opening';
    this.#regulate();
    this.#options.tasks.run(async () => {
      try {
        await this.#open(hello);
      } catch (error) {
        if (error instanceof RefusedError) this.close(error.code, error.message);
        else if (error instanceof FsError) this.close(refusalOf(error), error.message);
        else throw error;
      }
    });
  }

  async #open(hello: Hello): Promise<void> {
    const engine = this.#engine;
    const identity = identityOf(hello, engine, sourceHost(this.#call.getPeer()));
    const { session, resumed } = await engine.openSession(identity);
    engine.heard(session);
    if (this.#state === 'opening') this.#enter(session, resumed);
  }

  #enter(session: Session, resumed: boolean): void {
    if (session.ended) {
      this.close('session-ended', 'a newer process of this node has taken over');
      return;
    }
    session.sink?.close('replaced', 'the session goes on over a newer stream');
    session.sink = this;
    this.#session = session;
    this.#state = 'open';
    this.#engine.heard(session);
    const value = {
      clusterId: Buffer.from(this.#engine.clusterId, 'hex'),
      wireVersion: WIRE_VERSION,
      features: [],
      sid: BigInt(session.sid),
      sepoch: BigInt(session.sepoch),
      resumed,
      clusterName: this.#engine.clusterName,
      serverEpoch: BigInt(this.#engine.shardEpoch),
      groups: session.kind === 'peer' ? this.#engine.groupsOf(session) : [],
    };
    this.push({ $case: 'welcome', value });
    this.#engine.attach(session, (inos) => {
      this.push({ $case: 'reclaim', value: { inos: inos.map((ino) => BigInt(ino)) } });
    });
    this.#regulate();
  }

  #onRequest(request: Request): void {
    const session = this.#session;
    if (session === undefined) {
      this.close('out-of-order', 'a request before the Welcome');
      return;
    }
    this.#engine.heard(session);
    let counted = true;
    this.#inFlight += 1;
    const waits = this.#engine.execute(session, request, (reply) => {
      if (counted) this.#inFlight -= 1;
      if (this.#state === 'open') this.#send(replyFrame(request.id, reply));
      if (this.#paused) this.#regulate();
    });
    // What it waits for may be a release that comes behind it.
    if (waits) {
      counted = false;
      this.#inFlight -= 1;
    }
    if (this.#inFlight >= IN_FLIGHT_MAX || this.#engine.congested) this.#regulate();
  }

  #send(frame: Buffer): void {
    if (this.#call.write(frame) || this.#full) return;
    this.#full = true;
    this.#regulate();
  }

  /** Reads on or pauses, as what is under way allows. */
  #regulate(): void {
    if (this.#state === 'closed') return;
    const { congested } = this.#engine;
    const busy = this.#full || this.#inFlight >= IN_FLIGHT_MAX || congested;
    if (congested) this.#awaitRelief();
    const pause = busy || this.#state === 'opening';
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#call.pause();
    else this.#call.resume();
  }

  #awaitRelief(): void {
    if (this.#awaitsRelief) return;
    this.#awaitsRelief = true;
    this.#engine.onRelief(() => {
      this.#awaitsRelief = false;
      this.#regulate();
    });
  }
}

function refusalOf({ code }: FsError): string {
  return code === 'ESTALE' ? 'session-ended' : 'unavailable';
}

function decodeFrame(bytes: Buffer): ClientFrame['body'] {
  try {
    return ClientFrame.decode(bytes).body;
  } catch {
    return undefined;
  }
}

function identityOf(hello: Hello, engine: MetaEngine, source: string | undefined): SessionIdentity {
  const major = hello.wireVersion?.major ?? 0;
  if (major !== WIRE_VERSION.major) {
    const { major: ours } = WIRE_VERSION;
    const message = `this metaserver speaks wire version ${ours}, the node speaks ${major}`;
    throw new RefusedError('wire-version', `${message}: run the same version of dfs on both`);
  }
  const clusterId = Buffer.from(hello.clusterId).toString('hex');
  if (clusterId !== engine.clusterId) {
    const message = `this metaserver serves cluster ${engine.clusterId}, not ${clusterId}`;
    throw new RefusedError('other-cluster', message);
  }
  if (hello.nodeId.length !== 16 || hello.instance === 0n) {
    throw new RefusedError('bad-hello', 'a Hello without a node id or an instance');
  }
  if (hello.kind !== SessionKind.MOUNT && hello.kind !== SessionKind.PEER) {
    throw new RefusedError('bad-hello', `unknown session kind ${hello.kind}`);
  }
  return {
    nodeId: nodeIdFromBytes(hello.nodeId),
    nodeName: hello.nodeName.slice(0, NAME_CHARS_MAX),
    kind: hello.kind === SessionKind.MOUNT ? 'mount' : 'peer',
    instance: hello.instance,
    follows: hello.follows,
    chunkAddress: chunkAddressOf(hello, source),
  };
}

function chunkAddressOf(hello: Hello, source: string | undefined): string | undefined {
  const { advertise, peerPort: port } = hello;
  if (port === 0) return undefined;
  if (port > PORT_MAX) throw new RefusedError('bad-hello', `there is no port ${port}`);
  if (advertise !== '' && !isDialable(advertise)) {
    throw new RefusedError('bad-hello', 'what this node advertises is no host others could dial');
  }
  return peerAddress({ advertise, source, port });
}
