/**
 * Space at the homes of other peers for what this mount accepts (rule H13 of docs/PROTOCOL.md), a
 * pool for each group. A home is asked when its pool does not cover a write, one question at a
 * time.
 */
import { FsError } from '../../common/errno.ts';
import type { GroupId } from '../../common/ids.ts';
import type { ChunkClient } from '../../peer/chunk-client.ts';
import { SpacePool } from '../core/space-pool.ts';
import type { RequestContext } from '../driver/driver.ts';
import type { Inode } from '../vfs/inode.ts';
import type { HomeCalls } from './home-calls.ts';
import { interruptible } from './patience.ts';
import type { Rights } from './rights.ts';

export interface SpaceGrantsOptions {
  readonly calls: HomeCalls;
  readonly client: Pick<ChunkClient, 'reserve'>;
  readonly rights: Rights;
  bootMs(): number;
}

interface Group {
  readonly pool: SpacePool;
  /** A Reserve that is under way. */
  asking: Promise<void> | undefined;
  /** Transfers that are under way. */
  readonly sending: Set<Promise<unknown>>;
}

export class SpaceGrants {
  readonly #options: SpaceGrantsOptions;
  readonly #groups = new Map<GroupId, Group>();

  constructor(options: SpaceGrantsOptions) {
    this.#options = options;
  }

  /** Accepted and not known to be at its home, beyond what is published, of all files. */
  get chargedBytes(): number {
    let bytes = 0;
    for (const { pool } of this.#groups.values()) bytes += pool.chargedBytes;
    return bytes;
  }

  covers(inode: Inode, bytes: number): boolean {
    if (bytes === 0) return true;
    const { bootMs, rights } = this.#options;
    if (rights.view.group(inode.rg) === undefined) return false;
    return this.#of(inode.rg).pool.covers(bytes, rights.to(inode), bootMs());
  }

  /** @param bytes accepted; negative: not to be sent any more */
  charge(rg: GroupId, bytes: number): void {
    if (bytes !== 0) this.#of(rg).pool.charge(bytes);
  }

  arrived(rg: GroupId, bytes: number): void {
    this.#of(rg).pool.arrived(bytes);
  }

  /** What is sent may be counted twice until it has arrived. */
  async during<T>(rg: GroupId, transfer: Promise<T>): Promise<T> {
    const { sending } = this.#of(rg);
    sending.add(transfer);
    try {
      return await transfer;
    } finally {
      sending.delete(transfer);
    }
  }

  /** @returns whether any transfer was under way, once all of them are over */
  async sent(rg: GroupId, waiter: RequestContext): Promise<boolean> {
    const { sending } = this.#of(rg);
    if (sending.size === 0) return false;
    const name = this.#options.rights.home(rg)?.name ?? 'unknown';
    await interruptible(waiter, `peer ${name}`, Promise.allSettled([...sending]));
    return true;
  }

  /**
   * Resolves when the home has promised the space, to this write or another one.
   * @throws FsError ENOSPC · EIO the home was not reached within the bound · EINTR · ENOLCK
   */
  async ask(inode: Inode, bytes: number, waiter: RequestContext): Promise<void> {
    const group = this.#of(inode.rg);
    while (!this.covers(inode, bytes)) {
      if (group.asking === undefined) {
        const asking = this.#reserve(inode, group.pool, bytes, waiter).finally(() => {
          group.asking = undefined;
        });
        group.asking = asking;
        await asking;
        return;
      }
      await this.#shared(inode.rg, group.asking, waiter);
    }
  }

  /**
   * Nobody waits for the bound of another one's question and then for his own. All else that became
   * of it, ENOSPC too, is about the file and the need of the other one.
   */
  async #shared(rg: GroupId, asking: Promise<void>, waiter: RequestContext): Promise<void> {
    const name = this.#options.rights.home(rg)?.name ?? 'unknown';
    try {
      await interruptible(waiter, `peer ${name}`, asking);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      const mine = error.code === 'EINTR' && waiter.interrupted;
      if (mine || error.code === 'EIO') throw error;
    }
  }

  async #reserve(
    inode: Inode,
    pool: SpacePool,
    bytes: number,
    waiter: RequestContext,
  ): Promise<void> {
    const { bootMs, calls, client } = this.#options;
    await calls.run(inode, waiter, async ({ right, signal, target }) => {
      const ask = pool.ask(bytes, bootMs());
      pool.promised(await client.reserve(target, { right, ask }, signal), ask, right);
    });
  }

  #of(rg: GroupId): Group {
    let group = this.#groups.get(rg);
    if (group === undefined) {
      group = { pool: new SpacePool(), asking: undefined, sending: new Set() };
      this.#groups.set(rg, group);
    }
    return group;
  }
}
