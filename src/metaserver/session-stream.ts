/**
 * One stream of the session protocol: Hello first, then requests. It doubts every frame, bounds
 * what is under way, and stops reading when replies or commits cannot keep up. A frame that cannot
 * be understood ends this stream with a sentence, never the process.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ClientFrame, type Hello, type Request, SessionKind } from '../../gen/meta.ts';
import { FsError } from '../common/errno.ts';
import type { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { WIRE_VERSION } from '../common/rpc/wire-version.ts';
import type { MetaEngine } from './engine.ts';
import type { Session, SessionSink } from './session.ts';
import type { SessionIdentity } from './session-table.ts';
import { nodeIdFromBytes } from './store-codec.ts';
import { encodeFrame, replyFrame } from './wire.ts';

const REQUEST_BYTES_MAX = 256 * 1024;
const IN_FLIGHT_MAX = 4096;
const NAME_CHARS_MAX = 255;

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
        else if (error instanceof FsError) this.close('unavailable', error.message);
        else throw error;
      }
    });
  }

  async #open(hello: Hello): Promise<void> {
    const { session, resumed } = await this.#engine.openSession(identityOf(hello, this.#engine));
    if (this.#state !== 'opening') return;
    if (session.ended) {
      this.close('session-ended', 'a newer process of this node has taken over');
      return;
    }
    session.sink?.close('replaced', 'the session goes on over a newer stream');
    session.sink = this;
    this.#session = session;
    this.#state = 'open';
    const welcome = {
      clusterId: Buffer.from(this.#engine.clusterId, 'hex'),
      wireVersion: WIRE_VERSION,
      features: [],
      sid: BigInt(session.sid),
      sepoch: BigInt(session.sepoch),
      resumed,
      clusterName: this.#engine.clusterName,
      alone: true,
      groups: session.kind === 'peer' ? this.#engine.groupsOf(session) : [],
    };
    this.#send(encodeFrame({ $case: 'welcome', value: welcome }));
    this.#engine.attach(session, (inos) => {
      const value = { inos: inos.map((ino) => BigInt(ino)) };
      if (this.#state === 'open') this.#send(encodeFrame({ $case: 'reclaim', value }));
    });
    this.#regulate();
  }

  #onRequest(request: Request): void {
    const session = this.#session;
    if (session === undefined) {
      this.close('out-of-order', 'a request before the Welcome');
      return;
    }
    this.#inFlight += 1;
    this.#engine.execute(session, request, (reply) => {
      this.#inFlight -= 1;
      if (this.#state === 'open') this.#send(replyFrame(request.id, reply));
      if (this.#paused) this.#regulate();
    });
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

function decodeFrame(bytes: Buffer): ClientFrame['body'] {
  try {
    return ClientFrame.decode(bytes).body;
  } catch {
    return undefined;
  }
}

function identityOf(hello: Hello, engine: MetaEngine): SessionIdentity {
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
  const identity: SessionIdentity = {
    nodeId: nodeIdFromBytes(hello.nodeId),
    nodeName: hello.nodeName.slice(0, NAME_CHARS_MAX),
    kind: hello.kind === SessionKind.MOUNT ? 'mount' : 'peer',
    instance: hello.instance,
  };
  const other = engine.otherMount(identity);
  if (other !== undefined) {
    throw new RefusedError('one-mount', `node ${other} has this filesystem mounted, and no second`);
  }
  return identity;
}
