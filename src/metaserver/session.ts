import type { ServerFrame } from '../../gen/meta.ts';
import type { Epoch, NodeId, SessionId } from '../common/ids.ts';
import type { SessionKind } from './core/records.ts';
import type { ReplyCache } from './reply-cache.ts';

/** A session nothing was heard of for so long counts as gone, though its stream may seem open. */
export const GONE_MS = 14_000;

/** The stream a session is reached through at the moment. */
export interface SessionSink {
  /** Says something nobody asked for; lost when the stream is about to end. */
  push(body: NonNullable<ServerFrame['body']>): void;
  /** Ends the stream with a sentence for the other side. */
  close(code: string, message: string): void;
}

/** A registered session in memory. It outlives its streams; `ended` is final. */
export interface Session {
  readonly sid: SessionId;
  readonly sepoch: Epoch;
  readonly nodeId: NodeId;
  readonly kind: SessionKind;
  readonly instance: bigint;
  /** Instances before it on its node: what they still send comes too late. */
  readonly follows: readonly bigint[];
  readonly replies: ReplyCache;
  sink: SessionSink | undefined;
  ended: boolean;
  /** Boot milliseconds of its last sign of life; of the start of the server when there was none. */
  heardMs: number;
}

export function isGone({ heardMs }: Session, nowMs: number): boolean {
  return nowMs - heardMs >= GONE_MS;
}
