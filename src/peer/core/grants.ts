/**
 * Who may use how much of the free space. A grant is space set aside for one inode and not used
 * yet; it starts small and doubles with use, so that a busy writer seldom asks. A promise is space
 * set aside for a session of another peer. All of them together never exceed the free space last
 * measured, less what was charged since.
 *
 * When space is short a grant covers just what is needed, and the grants of the inodes that were
 * idle longest are returned first. Promises are kept, unless somebody else has taken the space.
 */
import { assert } from '../../common/assert.ts';
import type { Ino, SessionId } from '../../common/ids.ts';
import { SpacePromises } from './promises.ts';

interface Grant {
  leftBytes: number;
  nextBytes: number;
}

export interface GrantSizes {
  readonly firstBytes: number;
  readonly lastBytes: number;
}

const DEFAULT_SIZES: GrantSizes = { firstBytes: 1024 ** 2, lastBytes: 64 * 1024 ** 2 };
/** Beyond what a session needs it is promised this share of what is left at most. */
const SPARE_SHARE = 1 / 8;

/** What a session asks for, instead of what it was promised before. */
export interface SpaceAsk {
  readonly neededBytes: number;
  /** At least what is needed. */
  readonly wantedBytes: number;
}

/** So much of a charge was counted by the session that was promised the space. */
export interface SpaceDraw {
  readonly sid: SessionId;
  readonly promisedBytes: number;
}

export class SpaceLedger {
  readonly #sizes: GrantSizes;
  /** In the order of their last use. */
  readonly #grants = new Map<Ino, Grant>();
  readonly #promises = new SpacePromises();
  #freeBytes = 0;
  #grantedBytes = 0;

  constructor(sizes: GrantSizes = DEFAULT_SIZES) {
    this.#sizes = sizes;
  }

  /** Set aside and unused, over all inodes and sessions. */
  get outstandingBytes(): number {
    return this.#grantedBytes + this.#promises.bytes;
  }

  promisedBytes(sid: SessionId): number {
    return this.#promises.of(sid);
  }

  /** @param freeBytes what files may still take, just measured */
  measured(freeBytes: number): void {
    this.#freeBytes = Math.max(0, freeBytes);
    this.#returnGrants(this.outstandingBytes - this.#freeBytes, undefined);
    this.#promises.cut(this.outstandingBytes - this.#freeBytes);
    this.#check();
  }

  /** @returns false when the space is not there; nothing is charged then */
  charge(ino: Ino, bytes: number, draw?: SpaceDraw): boolean {
    assert(bytes >= 0, 'a charge is not negative');
    const drawn = draw === undefined ? 0 : this.#drawable(draw, bytes);
    if (!this.#chargeGrant(ino, bytes - drawn)) return false;
    if (draw !== undefined) this.#promises.draw(draw.sid, drawn);
    this.#freeBytes -= bytes;
    this.#check();
    return true;
  }

  /**
   * Sets space aside for a session, instead of what it was promised before.
   * @returns how much; undefined when the space is not there, the earlier promise stays then
   */
  reserve(sid: SessionId, ask: SpaceAsk, nowMs: number): number | undefined {
    const { neededBytes, wantedBytes } = ask;
    assert(neededBytes >= 0 && wantedBytes >= neededBytes, 'what is needed is wanted');
    const mine = this.#promises.of(sid);
    this.#returnGrants(neededBytes - this.#availableBytes - mine, undefined);
    const left = this.#availableBytes + mine - neededBytes;
    if (left < 0) return undefined;
    const spare = Math.min(wantedBytes - neededBytes, Math.floor(left * SPARE_SHARE));
    this.#promises.set(sid, neededBytes + spare, nowMs);
    this.#check();
    return neededBytes + spare;
  }

  /** The session writes: what it was promised holds on, unless that is over. */
  use(sid: SessionId, nowMs: number): void {
    this.#promises.expire(nowMs);
    this.#promises.use(sid, nowMs);
  }

  /** Sessions that were not heard of for long are promised nothing any more. */
  expire(nowMs: number): void {
    this.#promises.expire(nowMs);
  }

  unreserve(sid: SessionId): void {
    this.#promises.drop(sid);
  }

  /** The inode needs no space for now. */
  release(ino: Ino): void {
    const grant = this.#grants.get(ino);
    if (grant === undefined) return;
    this.#grantedBytes -= grant.leftBytes;
    this.#grants.delete(ino);
  }

  get #availableBytes(): number {
    return this.#freeBytes - this.outstandingBytes;
  }

  #check(): void {
    assert(this.outstandingBytes <= this.#freeBytes, 'more is set aside than is free');
  }

  #drawable({ promisedBytes, sid }: SpaceDraw, bytes: number): number {
    return Math.min(bytes, promisedBytes, this.#promises.of(sid));
  }

  #chargeGrant(ino: Ino, bytes: number): boolean {
    if (bytes === 0) return true;
    const grant = this.#grants.get(ino) ?? { leftBytes: 0, nextBytes: this.#sizes.firstBytes };
    if (grant.leftBytes < bytes && !this.#grow(ino, grant, bytes - grant.leftBytes)) return false;
    grant.leftBytes -= bytes;
    this.#grantedBytes -= bytes;
    this.#grants.delete(ino);
    this.#grants.set(ino, grant);
    return true;
  }

  #grow(ino: Ino, grant: Grant, neededBytes: number): boolean {
    this.#returnGrants(neededBytes - this.#availableBytes, ino);
    const available = this.#availableBytes;
    if (available < neededBytes) return false;
    const wanted = Math.max(neededBytes, grant.nextBytes);
    const plenty = available >= wanted;
    const granted = plenty ? wanted : neededBytes;
    grant.leftBytes += granted;
    this.#grantedBytes += granted;
    if (plenty) grant.nextBytes = Math.min(grant.nextBytes * 2, this.#sizes.lastBytes);
    return true;
  }

  #returnGrants(bytes: number, except: Ino | undefined): void {
    let left = bytes;
    for (const [ino, grant] of this.#grants) {
      if (left <= 0) return;
      if (ino === except) continue;
      left -= grant.leftBytes;
      this.#grantedBytes -= grant.leftBytes;
      grant.leftBytes = 0;
      this.#grants.delete(ino);
    }
  }
}
