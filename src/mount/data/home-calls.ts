/**
 * Calls to the peer that leads a file's group, tried again within a bound: while it does not
 * answer, while it or this node waits for a newer map, and when the file was cut meanwhile. What
 * is still not done then fails with EIO and a sentence that names the peer.
 */
import { FsError } from '../../common/errno.ts';
import { delay, within } from '../../common/lifecycle.ts';
import type { PeerTarget } from '../../peer/chunk-client.ts';
import type { FileRight } from '../../peer/chunk-store.ts';
import type { RequestContext } from '../driver/driver.ts';
import type { Inode } from '../vfs/inode.ts';
import { AwayHomes } from './away-homes.ts';
import { interruption, Patience } from './patience.ts';
import type { Rights } from './rights.ts';

const PAUSE_MS = 200;
const AGAIN = new Set(['ESTALE', 'EHOSTUNREACH', 'EAGAIN', 'ECONNREFUSED', 'ETIMEDOUT']);

export interface HomeCallsOptions {
  readonly rights: Rights;
  /** Bound of all tries together, milliseconds. */
  readonly waitMs: number;
  bootMs(): number;
  /** The inode takes over what the metaserver says now. @throws FsError ESTALE it is gone */
  refresh(inode: Inode, waiter: RequestContext | undefined): Promise<void>;
}

/** One try at a home. */
export interface HomeAttempt {
  readonly target: PeerTarget;
  readonly right: FileRight;
  readonly signal: AbortSignal;
}

export type HomeCall<T> = (attempt: HomeAttempt) => Promise<T>;

/**
 * The home has met a younger lease of this mount first, which took the place of that of the call:
 * nobody else has had the file in between (C14). What was written before an eviction is not so.
 */
function isOvertaken({ fenced, lseq }: Inode, error: FsError, lseqThen: number): boolean {
  return error.code === 'ENOLCK' && lseq > lseqThen && !fenced;
}

export class HomeCalls {
  readonly #options: HomeCallsOptions;
  readonly #away = new AwayHomes();

  constructor(options: HomeCallsOptions) {
    this.#options = options;
  }

  /** @throws FsError EIO past the bound, EINTR, and what the home refuses with */
  async run<T>(inode: Inode, waiter: RequestContext | undefined, call: HomeCall<T>): Promise<T> {
    const { bootMs } = this.#options;
    const startMs = bootMs();
    const waitMs = this.#away.boundMs(inode.rg, this.#options.waitMs, startMs);
    const endMs = startMs + waitMs;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), waitMs);
    const patience = new Patience(waiter, () => stop.abort());
    try {
      for (;;) {
        patience.watch(`peer ${this.#options.rights.home(inode.rg)?.name ?? 'unknown'}`);
        const failure = await this.#attempt(inode, call, stop.signal);
        if ('value' in failure) {
          this.#away.reached(inode.rg);
          return failure.value;
        }
        const { error } = failure;
        if (patience.isOver) throw interruption();
        if (stop.signal.aborted || bootMs() >= endMs) throw this.#tooLong(inode, startMs, error);
        if (!AGAIN.has(error.code)) throw error;
        const known = error.code === 'ESTALE' && (await this.#looked(inode, waiter, endMs));
        if (!known) await this.#pause(stop.signal);
      }
    } finally {
      clearTimeout(timer);
      patience.end();
    }
  }

  /** Asks the metaserver why. @returns whether that explains it, so that the next try may do better */
  async #looked(inode: Inode, waiter: RequestContext | undefined, endMs: number): Promise<boolean> {
    const { cuts } = inode;
    await this.#refresh(inode, waiter, endMs - this.#options.bootMs());
    return inode.cuts !== cuts;
  }

  async #refresh(inode: Inode, waiter: RequestContext | undefined, ms: number): Promise<void> {
    try {
      await within(this.#options.refresh(inode, waiter), ms, 'asking the metaserver again');
    } catch (cause) {
      if (!(cause instanceof FsError && cause.code === 'ETIMEDOUT')) throw cause;
      throw new FsError('EIO', `the metaserver did not answer in time about ino ${inode.ino}`, {
        cause,
      });
    }
  }

  async #attempt<T>(
    inode: Inode,
    call: HomeCall<T>,
    signal: AbortSignal,
  ): Promise<{ readonly value: T } | { readonly error: FsError }> {
    const { rights } = this.#options;
    const { lseq } = inode;
    try {
      const right = rights.to(inode);
      const target = this.#target(inode);
      return { value: await call({ target, right, signal }) };
    } catch (error) {
      if (error instanceof FsError) {
        const again = !signal.aborted && isOvertaken(inode, error, lseq);
        return again ? this.#attempt(inode, call, signal) : { error };
      }
      if (signal.aborted) return { error: new FsError('ETIMEDOUT', 'given up') };
      throw error;
    }
  }

  /** @throws FsError EHOSTUNREACH */
  #target(inode: Inode): PeerTarget {
    const peer = this.#options.rights.home(inode.rg);
    if (peer?.address === undefined) {
      throw new FsError('EHOSTUNREACH', `no address is known of ${peer?.name ?? 'its peer'}`);
    }
    return { nodeId: peer.nodeId, name: peer.name, address: peer.address };
  }

  #pause(signal: AbortSignal): Promise<void> {
    const { view } = this.#options.rights;
    return Promise.race([delay(PAUSE_MS, signal), view.changed]);
  }

  #tooLong(inode: Inode, startMs: number, cause: FsError): FsError {
    const { bootMs, rights } = this.#options;
    const sinceMs = this.#away.missed(inode.rg, startMs, bootMs());
    const seconds = Math.round((bootMs() - sinceMs) / 1000);
    const peer = rights.home(inode.rg);
    const down = peer?.up === false ? `, down since ${new Date(peer.sinceMs).toISOString()}` : '';
    return new FsError(
      'EIO',
      `the only copy of ino ${inode.ino} is on ${peer?.name ?? 'an unknown peer'}${down}: not reached for ${seconds} s`,
      { cause },
    );
  }
}
