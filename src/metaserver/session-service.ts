/**
 * MetaService over gRPC. Frames of a session pass as bytes, so that a garbled one meets our own
 * checks, and a stored reply goes out as it is.
 */
import type { sendUnaryData } from '@grpc/grpc-js';
import { type DescribeReply, MetaServiceService } from '../../gen/meta.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ServedService } from '../common/rpc/server.ts';
import type { MetaEngine } from './engine.ts';
import { type KeepAliveCall, KeepAliveStream } from './keepalive-stream.ts';
import { type RawCall, SessionStream } from './session-stream.ts';

const SWEEP_MS = 1_000;

const same = (bytes: Buffer): Buffer => bytes;

export class SessionService implements AsyncDisposable {
  readonly #engine: MetaEngine;
  readonly #log: Logger;
  readonly #streams = new Set<SessionStream>();
  readonly #keepAlives = new Set<KeepAliveStream>();
  readonly #tasks: TaskGroup;
  readonly #sweeper: NodeJS.Timeout;
  #closing = false;

  constructor(options: {
    readonly engine: MetaEngine;
    readonly log: Logger;
    readonly onFatal: (error: Error) => void;
  }) {
    this.#engine = options.engine;
    this.#log = options.log;
    this.#tasks = new TaskGroup((error) => {
      options.log.error('a session stream failed unexpectedly', { error });
      options.onFatal(error instanceof Error ? error : new Error(String(error)));
    });
    this.#sweeper = setInterval(() => this.#engine.sweep(), SWEEP_MS);
  }

  get served(): ServedService {
    const { session, ...others } = MetaServiceService;
    const raw = { requestSerialize: same, responseDeserialize: same };
    const definition = {
      ...others,
      session: { ...session, ...raw, requestDeserialize: same, responseSerialize: same },
    };
    const handlers = {
      session: (call: RawCall) => this.#accept(call),
      keepAlive: (call: KeepAliveCall) => this.#keepAlive(call),
      describe: (_call: unknown, answer: sendUnaryData<DescribeReply>) => {
        answer(null, this.#engine.describe());
      },
    };
    return { definition, handlers };
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Ends every stream; nothing more is accepted or answered. */
  stop(): void {
    this.#closing = true;
    clearInterval(this.#sweeper);
    for (const stream of this.#streams) stream.end();
    for (const stream of this.#keepAlives) stream.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#tasks.settle();
  }

  #accept(call: RawCall): void {
    const stream = new SessionStream({
      call,
      engine: this.#engine,
      tasks: this.#tasks,
      log: this.#log,
      onClosed: (closed) => this.#streams.delete(closed),
    });
    this.#streams.add(stream);
    stream.start();
    if (this.#closing) stream.end();
  }

  #keepAlive(call: KeepAliveCall): void {
    const stream = new KeepAliveStream({
      call,
      engine: this.#engine,
      log: this.#log,
      onClosed: (closed) => this.#keepAlives.delete(closed),
    });
    this.#keepAlives.add(stream);
    stream.start();
    if (this.#closing) stream.end();
  }
}
