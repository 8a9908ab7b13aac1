/** The sessions of the fake metaserver: durable, with what is under way in each. */
import type { SessionId } from '../../../src/common/ids.ts';
import type { Reply } from './messages.ts';
import type { Mount } from './mount.ts';
import type { Stream } from './network.ts';

export const SERVER_LEASE_MS = 14_000;

export interface Session {
  readonly sid: SessionId;
  readonly mount: Mount;
  /** The life of the mount's process it belongs to. */
  readonly life: number;
  /** Rises when it is evicted, or another process goes on with it. */
  sepoch: number;
  heardMs: number;
  stream: Stream | undefined;
  /** Its leases may fall as far as its own machine is concerned. */
  confirmed: boolean;
  evicting: boolean;
  /** Homes that have not confirmed the fence. */
  readonly fences: Set<number>;
  /** Homes that have, and the epoch of their life. */
  readonly fenced: Map<number, number>;
  ended: boolean;
  /** Answers to requests that must not run twice. */
  readonly replies: Map<number, Reply>;
  /** Requests that have arrived and are not answered. */
  readonly pending: Set<number>;
}

export function newSession(sid: SessionId, mount: Mount, nowMs: number): Session {
  return {
    sid,
    mount,
    life: mount.life,
    sepoch: 1,
    heardMs: nowMs,
    stream: undefined,
    confirmed: false,
    evicting: false,
    fences: new Set(),
    fenced: new Map(),
    ended: false,
    replies: new Map(),
    pending: new Set(),
  };
}
