/**
 * One keepalive stream: every frame is a sign of life of the sessions it names, and is answered at
 * once. A node that does not read its answers is not read either.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { KeepAliveFrame, KeepAliveReply } from '../../gen/meta.ts';
import type { Logger } from '../common/log.ts';
import type { MetaEngine } from './engine.ts';

export type KeepAliveCall = ServerDuplexStream<KeepAliveFrame, KeepAliveReply>;

/** A node has two. */
const SESSIONS_MAX = 64;

export interface KeepAliveStreamOptions {
  readonly call: KeepAliveCall;
  readonly engine: MetaEngine;
  readonly log: Logger;
  onClosed(stream: KeepAliveStream): void;
}

export class KeepAliveStream {
  readonly #options: KeepAliveStreamOptions;
  #closed = false;

  constructor(options: KeepAliveStreamOptions) {
    this.#options = options;
  }

  start(): void {
    const { call } = this.#options;
    call.on('data', (frame: KeepAliveFrame) => this.#onFrame(frame));
    call.on('drain', () => call.resume());
    for (const event of ['end', 'error', 'cancelled', 'close']) call.on(event, () => this.end());
  }

  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { call, onClosed } = this.#options;
    call.end();
    // A paused stream would never see the end of the other side.
    call.resume();
    onClosed(this);
  }

  #onFrame(frame: KeepAliveFrame): void {
    if (this.#closed) return;
    const { call, engine, log } = this.#options;
    if (frame.sessions.length > SESSIONS_MAX) {
      log.warn('a keepalive names too many sessions', { sessions: frame.sessions.length });
      this.end();
      return;
    }
    if (!call.write(engine.keepAlive(frame))) call.pause();
  }
}
