/**
 * Rule K1: the node's sign of life, one stream for all its sessions on a connection of its own, so
 * that no other traffic delays it. It also tells when the metaserver is away although connections
 * still seem to stand, and how far the clocks of the two machines are apart.
 */
import type { KeepAliveFrame, KeepAliveReply } from '../../../gen/meta.ts';
import { safeInteger } from '../ids.ts';
import type { Logger } from '../log.ts';
import { Line } from './line.ts';

export interface SessionName {
  readonly sid: number;
  readonly sepoch: number;
}

export interface KeepAliveOptions {
  /** `unix:PATH` or HOST:PORT. */
  readonly address: string;
  /** Sessions that have a sid, as they are now. */
  readonly sessions: () => readonly SessionName[];
  readonly bootMs: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly log: Logger;
  /** Between two frames. */
  readonly intervalMs?: number;
  /** Without an answer for so long, the metaserver is away. */
  readonly awayMs?: number;
  /** Once each time the metaserver goes away: session streams must start anew. */
  onAway(): void;
  /** The metaserver has answered a frame. */
  onAnswer?(): void;
  /** Sessions it no longer knows. */
  onEnded?(sids: readonly number[]): void;
}

const INTERVAL_MS = 4_000;
const AWAY_MS = 8_000;
/** It looks so often an interval whether there is something to do. */
const TURNS = 8;

interface Sent {
  readonly seq: bigint;
  readonly atMs: number;
  readonly sids: readonly number[];
}

export class KeepAliveClient implements AsyncDisposable {
  readonly #options: KeepAliveOptions;
  readonly #intervalMs: number;
  readonly #awayMs: number;
  readonly #timer: NodeJS.Timeout;
  #line: Line<KeepAliveFrame, KeepAliveReply> | undefined;
  /** Frames of this line without an answer, in order. */
  #unanswered: Sent[] = [];
  #nextSeq = 1n;
  /** Boot milliseconds when the line was dialled, of its last frame, and of the last answer. */
  #dialledMs = 0;
  #sentMs = 0;
  #answeredMs: number;
  #isAway = false;
  #isClosed = false;
  #lastAnsweredSentMs: number | undefined;
  /** By session, the sending of the last frame that named it and was answered. */
  #heardOf = new Map<number, number>();
  #wallSkewMs: number | undefined;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#awayMs = options.awayMs ?? AWAY_MS;
    this.#answeredMs = options.bootMs();
    this.#dial();
    // After a pause of this process, answers that wait in the socket are read before any judgement.
    this.#timer = setInterval(() => setImmediate(() => this.#turn()), this.#intervalMs / TURNS);
  }

  /**
   * Boot milliseconds when the last answered frame was sent: the server has heard of the sessions
   * no earlier. Undefined before the first answer.
   */
  get lastAnsweredSentMs(): number | undefined {
    return this.#lastAnsweredSentMs;
  }

  /**
   * As lastAnsweredSentMs, of frames that named this session, and were not answered that it has
   * ended.
   */
  heardOfMs(sid: number): number | undefined {
    return this.#heardOf.get(sid);
  }

  /** How far the metaserver's wall clock is ahead, within half a round trip. */
  get wallSkewMs(): number | undefined {
    return this.#wallSkewMs;
  }

  /** No frame was answered for too long. */
  get isAway(): boolean {
    return this.#isAway;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#line?.hangUp();
    this.#line = undefined;
  }

  #turn(): void {
    if (this.#isClosed) return;
    const { bootMs, log, onAway } = this.#options;
    const nowMs = bootMs();
    if (!this.#isAway && nowMs - this.#answeredMs >= this.#awayMs) {
      this.#isAway = true;
      log.warn('the metaserver answers no keepalive', { ms: nowMs - this.#answeredMs });
      onAway();
    }
    const heardMs = Math.max(this.#dialledMs, this.#answeredMs);
    if (this.#line === undefined || nowMs - heardMs >= this.#awayMs) this.#dial();
    else if (nowMs - this.#sentMs >= this.#intervalMs) this.#send(this.#line);
  }

  #dial(): void {
    const { address, bootMs, log } = this.#options;
    this.#line?.hangUp();
    this.#unanswered = [];
    this.#dialledMs = bootMs();
    this.#line = new Line<KeepAliveFrame, KeepAliveReply>({
      address,
      open: (client) => client.keepAlive(),
      onFrame: (frame) => this.#onAnswer(frame),
      onDown: (reason) => {
        log.debug('the keepalive stream ended', { reason });
        this.#line = undefined;
      },
    });
    this.#send(this.#line);
  }

  #send(line: Line<KeepAliveFrame, KeepAliveReply>): void {
    const { bootMs, sessions } = this.#options;
    const seq = this.#nextSeq++;
    this.#sentMs = bootMs();
    const now = sessions();
    this.#unanswered.push({ seq, atMs: this.#sentMs, sids: now.map(({ sid }) => sid) });
    const named = now.map(({ sid, sepoch }) => ({
      sid: BigInt(sid),
      sepoch: BigInt(sepoch),
    }));
    line.write({ seq, sessions: named });
  }

  #onAnswer({ seq, wallMs, ended }: KeepAliveReply): void {
    const sent = this.#unanswered.find((each) => each.seq === seq);
    if (sent === undefined) return;
    this.#unanswered = this.#unanswered.filter((each) => each.seq > seq);
    const { bootMs, log, onAnswer, onEnded } = this.#options;
    const nowMs = bootMs();
    this.#answeredMs = nowMs;
    this.#lastAnsweredSentMs = sent.atMs;
    const live = sent.sids.filter((sid) => !ended.includes(BigInt(sid)));
    this.#heardOf = new Map(live.map((sid) => [sid, sent.atMs]));
    const midFlightMs = this.#options.wallMs() - (nowMs - sent.atMs) / 2;
    this.#wallSkewMs = Number(wallMs) - midFlightMs;
    if (this.#isAway) log.info('the metaserver answers again');
    this.#isAway = false;
    onAnswer?.();
    if (ended.length > 0) onEnded?.(ended.map(safeInteger));
  }
}
