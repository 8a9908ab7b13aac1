/**
 * What one home has promised to this session, and what of it is spoken for (rule H13 of
 * docs/PROTOCOL.md). At the home at least as much is left of the promise, while it lasts: what is
 * not certain counts as used.
 */
import { assert } from '../../common/assert.ts';
import type { Epoch, SessionId } from '../../common/ids.ts';

/** So long after a Reserve was sent its answer is relied on; the home keeps it twice as long. */
export const RELIED_ON_MS = 30_000;
const FIRST_BYTES = 1024 ** 2;
const LAST_BYTES = 64 * 1024 ** 2;

/** To whom it was promised, and by which life of the home. */
export interface PromiseHolder {
  readonly sid: SessionId;
  readonly rgEpoch: Epoch;
}

export interface PoolAsk {
  readonly neededBytes: number;
  readonly wantedBytes: number;
  readonly sentMs: number;
}

export class SpacePool {
  #grantedBytes = 0;
  #chargedBytes = 0;
  #nextBytes = FIRST_BYTES;
  #endMs = Number.NEGATIVE_INFINITY;
  #holder: PromiseHolder | undefined;
  /** What the home took since the last Reserve was sent. */
  #arrivedBytes = 0;

  /** Accepted and not known to be at the home, beyond what is published. */
  get chargedBytes(): number {
    return this.#chargedBytes;
  }

  /** So much more may be accepted. */
  covers(bytes: number, holder: PromiseHolder, nowMs: number): boolean {
    if (bytes === 0) return true;
    const { sid, rgEpoch } = this.#holder ?? {};
    if (sid !== holder.sid || rgEpoch !== holder.rgEpoch || nowMs >= this.#endMs) return false;
    return this.#chargedBytes + bytes <= this.#grantedBytes;
  }

  /** @param bytes accepted; negative: not to be sent any more */
  charge(bytes: number): void {
    this.#chargedBytes += bytes;
    assert(this.#chargedBytes >= 0, 'more is given back than was charged');
  }

  /** The home has taken what was charged. */
  arrived(bytes: number): void {
    this.charge(-bytes);
    this.#grantedBytes = Math.max(0, this.#grantedBytes - bytes);
    this.#arrivedBytes += bytes;
  }

  /** A Reserve is sent, so that `bytes` more may be accepted. */
  ask(bytes: number, nowMs: number): PoolAsk {
    this.#arrivedBytes = 0;
    const neededBytes = this.#chargedBytes + bytes;
    return { neededBytes, wantedBytes: neededBytes + this.#nextBytes, sentMs: nowMs };
  }

  /** The home may have taken what arrived meanwhile before it promised, or after. */
  promised(bytes: number, ask: PoolAsk, holder: PromiseHolder): void {
    this.#holder = { sid: holder.sid, rgEpoch: holder.rgEpoch };
    this.#grantedBytes = Math.max(0, bytes - this.#arrivedBytes);
    this.#endMs = ask.sentMs + RELIED_ON_MS;
    if (bytes === ask.wantedBytes) this.#nextBytes = Math.min(2 * this.#nextBytes, LAST_BYTES);
  }
}
