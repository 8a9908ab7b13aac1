/**
 * One FUSE connection: turns settled results into replies, keeps the requests that wait, and
 * moves the watermark of answered mutations. A reply the kernel no longer wants is undone.
 */
import type { FuseSession } from '../../../../native/index.ts';
import { ERRNO, FsError } from '../../../common/errno.ts';
import type { Logger } from '../../../common/log.ts';
import type { FileSystem, RequestContext, Result, StuckRequest } from '../driver.ts';
import { OPCODE, OPCODE_NAMES, OUT_HEADER_BYTES } from './abi.ts';
import { ReplyWriter } from './reply.ts';
import { RequestView } from './request.ts';

const TWO_32 = 2 ** 32;
/** FUSE_UNIQUE_RESEND is bit 63. */
const UNIQUE_HIGH_MASK = 0x7fffffff;
/** READ buffers kept for reuse. */
const READ_BUFFERS_KEPT = 16;

/** What stays of a request while its result is awaited. */
export interface KernelRequest extends RequestContext {
  readonly opcode: number;
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly sinceMs: number;
  /** What the kernel names in its header; 0 until the request has to wait. */
  nodeid: number;
}

export interface ConnectionOptions {
  readonly session: FuseSession;
  readonly slotBytes: number;
  readonly fs: FileSystem;
  /** Number of this connection in request ids. */
  readonly connection: number;
  readonly nowMs: () => number;
  readonly log: Logger;
}

export type Encode<T> = (reply: ReplyWriter, value: T) => number;

export class FuseConnection {
  readonly fs: FileSystem;
  readonly view: RequestView;
  readonly reply: ReplyWriter;
  readonly session: FuseSession;
  /** Requests by operation name, for `dfs status`. */
  readonly counts = new Map<string, number>();
  /** Waiting requests by unique, oldest first. */
  readonly #waiting = new Map<number, KernelRequest>();
  readonly #buffers: Uint8Array[] = [];
  readonly #connection: number;
  readonly #nowMs: () => number;
  readonly #log: Logger;
  #lastUnique = 0;

  constructor(options: ConnectionOptions) {
    this.fs = options.fs;
    this.session = options.session;
    this.view = new RequestView(options.session.slots, options.slotBytes);
    this.reply = new ReplyWriter(options.session.reply);
    this.#connection = options.connection;
    this.#nowMs = options.nowMs;
    this.#log = options.log;
  }

  /** The request the view points at. */
  begin(): KernelRequest {
    const { view } = this;
    const uniqueLow = view.uniqueLow;
    const uniqueHigh = view.uniqueHigh;
    const unique = (uniqueHigh & UNIQUE_HIGH_MASK) * TWO_32 + uniqueLow;
    this.#lastUnique = Math.max(this.#lastUnique, unique);
    return {
      opcode: view.opcode,
      uid: view.uid,
      gid: view.gid,
      connection: this.#connection,
      unique,
      uniqueLow,
      uniqueHigh,
      sinceMs: this.#nowMs(),
      acked: () => this.#acked(unique),
      interrupt: undefined,
      interrupted: false,
      waitsFor: undefined,
      nodeid: 0,
    };
  }

  /** Answers with what `encode` lays out, now or when the result settles. */
  finish<T>(
    request: KernelRequest,
    result: Result<T>,
    encode: Encode<T>,
    undo?: (value: T) => void,
  ): void {
    if (!(result instanceof Promise)) {
      this.#answer(request, result, encode, undo);
      return;
    }
    this.wait(
      request,
      result.then((value) => this.#answer(request, value, encode, undo)),
    );
  }

  /**
   * Keeps the request, which the view still points at, until the promise settles; a rejection is
   * its answer.
   */
  wait(request: KernelRequest, settled: Promise<void>): void {
    request.nodeid = this.view.nodeNumber;
    this.#waiting.set(request.unique, request);
    settled
      .catch((error: unknown) => this.fail(request, error))
      .finally(() => this.#waiting.delete(request.unique))
      .catch((error: unknown) => this.#log.error('a request could not be answered', { error }));
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** The only place where an error becomes an errno for the kernel. */
  fail(request: KernelRequest, error: unknown): void {
    if (error instanceof FsError) {
      this.#log.debug('request failed', { op: this.name(request), error: error.message });
      this.error(request, error.errno);
      return;
    }
    this.#log.error('a request met a bug', { op: this.name(request), error });
    this.error(request, ERRNO.EIO);
  }

  error(request: KernelRequest, errno: number): void {
    this.session.send(this.reply.header({ ...uniqueOf(request), payloadBytes: 0, errno }));
  }

  /** Answers with bytes that lie outside the reply buffer. */
  sendPayload(request: KernelRequest, payload: Uint8Array): void {
    this.reply.header({ ...uniqueOf(request), payloadBytes: payload.length });
    this.session.sendPayload(payload);
  }

  /** A buffer for one READ; back with giveBuffer once its reply is written. */
  takeBuffer(): Uint8Array {
    return this.#buffers.pop() ?? new Uint8Array(this.reply.capacity);
  }

  giveBuffer(buffer: Uint8Array): void {
    if (this.#buffers.length < READ_BUFFERS_KEPT) this.#buffers.push(buffer);
  }

  /** Work nobody waits for: a failure is logged. */
  background(result: Result<void>): void {
    if (!(result instanceof Promise)) return;
    result.catch((error: unknown) => this.#log.warn('undoing a request failed', { error }));
  }

  count(request: KernelRequest): void {
    const name = this.name(request);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** Too short for a header, or its length lies: nobody to answer. */
  garbled(length: number): void {
    this.#log.error('the kernel sent a garbled request', { length });
  }

  ignored(request: KernelRequest, error: unknown): void {
    this.#log.error('a request without an answer was refused', { op: this.name(request), error });
  }

  interrupt(unique: number): void {
    const request = this.#waiting.get(unique);
    if (request === undefined) return;
    request.interrupted = true;
    request.interrupt?.();
  }

  /** Requests waiting for `olderThanMs` and more, oldest first. */
  stuck(olderThanMs: number): StuckRequest[] {
    const nowMs = this.#nowMs();
    const found: StuckRequest[] = [];
    for (const request of this.#waiting.values()) {
      const ms = Math.round(nowMs - request.sinceMs);
      if (ms < olderThanMs) break;
      const { nodeid, waitsFor } = request;
      // As long as whoever has the lock pleases.
      if (typeof waitsFor === 'object' && 'lock' in waitsFor) continue;
      found.push({ op: this.name(request), ms, ino: nodeid, for: waitsFor, context: request });
    }
    return found;
  }

  name(request: KernelRequest): string {
    return OPCODE_NAMES.get(request.opcode) ?? `opcode ${request.opcode}`;
  }

  #answer<T>(
    request: KernelRequest,
    value: T,
    encode: Encode<T>,
    undo: ((value: T) => void) | undefined,
  ): void {
    const payloadBytes = encode(this.reply, value);
    const length = this.reply.header({ ...uniqueOf(request), payloadBytes });
    const errno = this.session.send(length);
    if (errno === 0) return;
    undo?.(value);
    if (errno !== ERRNO.ENOENT && errno !== ERRNO.ENODEV) {
      const op = this.name(request);
      this.#log.error('the kernel refused a reply', {
        op,
        errno,
        length: length - OUT_HEADER_BYTES,
      });
      if (errno === ERRNO.EINVAL) this.error(request, ERRNO.EIO);
    }
  }

  /** Mutations below the oldest waiting request are answered; `unique` itself is not. */
  #acked(unique: number): number {
    let oldest = unique;
    for (const waiting of this.#waiting.values()) {
      // It may wait for days, and changes nothing that could be asked for twice.
      if (waiting.opcode === OPCODE.SETLKW) continue;
      oldest = waiting.unique;
      break;
    }
    return Math.min(oldest, unique, this.#lastUnique) - 1;
  }
}

function uniqueOf(request: KernelRequest): { uniqueLow: number; uniqueHigh: number } {
  return { uniqueLow: request.uniqueLow, uniqueHigh: request.uniqueHigh };
}
