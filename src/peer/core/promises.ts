/**
 * Space promised to sessions of other peers for what they have accepted and not sent yet (rule H13
 * of docs/PROTOCOL.md): one absolute amount a session. Times are boot milliseconds.
 */
import { assert } from '../../common/assert.ts';
import type { SessionId } from '../../common/ids.ts';

/** A session that is not heard of for so long is promised nothing any more. */
export const PROMISE_MS = 60_000;

interface Promised {
  leftBytes: number;
  usedMs: number;
}

export class SpacePromises {
  /** In the order of their last use. */
  readonly #promises = new Map<SessionId, Promised>();
  #bytes = 0;

  /** To all sessions together. */
  get bytes(): number {
    return this.#bytes;
  }

  of(sid: SessionId): number {
    return this.#promises.get(sid)?.leftBytes ?? 0;
  }

  /** Instead of what the session was promised before. */
  set(sid: SessionId, bytes: number, nowMs: number): void {
    assert(bytes >= 0, 'a promise is not negative');
    this.drop(sid);
    this.#promises.set(sid, { leftBytes: bytes, usedMs: nowMs });
    this.#bytes += bytes;
  }

  /** The session was heard of. */
  use(sid: SessionId, nowMs: number): void {
    const promised = this.#promises.get(sid);
    if (promised !== undefined) this.set(sid, promised.leftBytes, nowMs);
  }

  /** @param bytes at most what the session is promised */
  draw(sid: SessionId, bytes: number): void {
    const promised = this.#promises.get(sid);
    if (promised === undefined) {
      assert(bytes === 0, 'nothing was promised');
      return;
    }
    assert(bytes >= 0 && bytes <= promised.leftBytes, 'more is drawn than was promised');
    promised.leftBytes -= bytes;
    this.#bytes -= bytes;
  }

  drop(sid: SessionId): void {
    this.#bytes -= this.of(sid);
    this.#promises.delete(sid);
  }

  expire(nowMs: number): void {
    for (const [sid, { usedMs }] of this.#promises) {
      if (nowMs - usedMs < PROMISE_MS) return;
      this.drop(sid);
    }
  }

  /** The space is not there: those used least lately lose theirs first. */
  cut(bytes: number): void {
    let left = bytes;
    for (const [sid, { leftBytes }] of this.#promises) {
      if (left <= 0) return;
      const part = Math.min(left, leftBytes);
      this.draw(sid, part);
      left -= part;
    }
  }
}
