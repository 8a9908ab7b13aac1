import type { Epoch, NodeId, SessionId } from '../common/ids.ts';
import type { SessionKind } from './core/records.ts';
import type { ReplyCache } from './reply-cache.ts';

/** The stream a session is reached through at the moment. */
export interface SessionSink {
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
  readonly replies: ReplyCache;
  sink: SessionSink | undefined;
  ended: boolean;
}
