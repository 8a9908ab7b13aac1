/**
 * MetaService over gRPC: every call is a session stream. Frames pass as bytes, so that a garbled
 * one meets our own checks, and a stored reply goes out as it is.
 */
import { MetaServiceService } from '../../gen/meta.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import type { ServedService } from '../common/rpc/server.ts';
import type { MetaEngine } from './engine.ts';
import { type RawCall, SessionStream } from './session-stream.ts';

const same = (bytes: Buffer): Buffer => bytes;

export class SessionService implements AsyncDisposable {
  readonly #engine: MetaEngine;
  readonly #log: Logger;
  readonly #streams = new Set<SessionStream>();
  readonly #tasks: TaskGroup;
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
  }

  get served(): ServedService {
    const { session } = MetaServiceService;
    const raw = { requestSerialize: same, responseDeserialize: same };
    const definition = {
      session: { ...session, ...raw, requestDeserialize: same, responseSerialize: same },
    };
    return { definition, handlers: { session: (call: RawCall) => this.#accept(call) } };
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Ends every stream; nothing more is accepted or answered. */
  stop(): void {
    this.#closing = true;
    for (const stream of this.#streams) stream.end();
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
}
