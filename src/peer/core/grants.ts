/**
 * Who may use how much of the free space. A grant is space set aside for one inode and not used
 * yet; it starts small and doubles with use, so that a busy writer seldom asks. All grants
 * together never exceed the free space last measured, less what was charged since.
 *
 * When space is short a grant covers just what is needed, and the grants of the inodes that were
 * idle longest are returned first.
 */
import { assert } from '../../common/assert.ts';
import type { Ino } from '../../common/ids.ts';

interface Grant {
  leftBytes: number;
  nextBytes: number;
}

export interface GrantSizes {
  readonly firstBytes: number;
  readonly lastBytes: number;
}

const DEFAULT_SIZES: GrantSizes = { firstBytes: 1024 ** 2, lastBytes: 64 * 1024 ** 2 };

export class SpaceLedger {
  readonly #sizes: GrantSizes;
  /** In the order of their last use. */
  readonly #grants = new Map<Ino, Grant>();
  #freeBytes = 0;
  #outstandingBytes = 0;

  constructor(sizes: GrantSizes = DEFAULT_SIZES) {
    this.#sizes = sizes;
  }

  /** Set aside and unused, over all inodes. */
  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  /** @param freeBytes what files may still take, just measured */
  measured(freeBytes: number): void {
    this.#freeBytes = Math.max(0, freeBytes);
    this.#returnGrants(this.#outstandingBytes - this.#freeBytes, undefined);
  }

  /** @returns false when the space is not there; nothing is charged then */
  charge(ino: Ino, bytes: number): boolean {
    assert(bytes >= 0, 'a charge is not negative');
    const grant = this.#grants.get(ino) ?? { leftBytes: 0, nextBytes: this.#sizes.firstBytes };
    if (grant.leftBytes < bytes && !this.#grow(ino, grant, bytes - grant.leftBytes)) return false;
    grant.leftBytes -= bytes;
    this.#outstandingBytes -= bytes;
    this.#freeBytes -= bytes;
    this.#grants.delete(ino);
    this.#grants.set(ino, grant);
    assert(this.#outstandingBytes <= this.#freeBytes, 'grants exceed the free space');
    return true;
  }

  /** The inode needs no space for now. */
  release(ino: Ino): void {
    const grant = this.#grants.get(ino);
    if (grant === undefined) return;
    this.#outstandingBytes -= grant.leftBytes;
    this.#grants.delete(ino);
  }

  #grow(ino: Ino, grant: Grant, neededBytes: number): boolean {
    const short = neededBytes - (this.#freeBytes - this.#outstandingBytes);
    if (short > 0) this.#returnGrants(short, ino);
    const available = this.#freeBytes - this.#outstandingBytes;
    if (available < neededBytes) return false;
    const wanted = Math.max(neededBytes, grant.nextBytes);
    const plenty = available >= wanted;
    const granted = plenty ? wanted : neededBytes;
    grant.leftBytes += granted;
    this.#outstandingBytes += granted;
    if (plenty) grant.nextBytes = Math.min(grant.nextBytes * 2, this.#sizes.lastBytes);
    return true;
  }

  #returnGrants(bytes: number, except: Ino | undefined): void {
    let left = bytes;
    for (const [ino, grant] of this.#grants) {
      if (left <= 0) return;
      if (ino === except) continue;
      left -= grant.leftBytes;
      this.#outstandingBytes -= grant.leftBytes;
      grant.leftBytes = 0;
      this.#grants.delete(ino);
    }
  }
}
