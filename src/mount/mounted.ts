/** One mount from its first request to the last: session, vfs and driver together. */
import { MS_NODEV, MS_NOSUID, MS_RDONLY } from '../../native/index.ts';
import type { Clock } from '../common/clock.ts';
import type { InodeInfo } from '../common/core/inode-info.ts';
import type { LockList } from '../common/core/listed-lock.ts';
import type { WaitingRequest } from '../common/core/waiting.ts';
import { FsError } from '../common/errno.ts';
import type { Ino } from '../common/ids.ts';
import { type DisposeStack, within } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { DFS_SUBTYPE } from '../common/mount-table.ts';
import type { SessionClient } from '../common/rpc/session-client.ts';
import type { CapabilityMask } from './driver/native/capabilities.ts';
import type { NativeKernelCache } from './driver/native/kernel-cache.ts';
import { NativeDriver } from './driver/native/native-driver.ts';
import type { MetaClient } from './meta-client.ts';
import type { Vfs } from './vfs/vfs.ts';
import { Watchdog } from './watchdog.ts';
import { type Asking, WhoWaits } from './who-waits.ts';

const MS_NOEXEC = 8;
/** A mount that ended publishes what is left within this, beside the bound of each request. */
const RELEASE_MS = 90_000;
/** What is left to the last publications once an orderly shutdown had to detach. */
const LAST_MS = 1_000;

/** What the user asked for. */
export interface MountRequest {
  /** Absolute and normalised. */
  readonly mountpoint: string;
  readonly readOnly: boolean;
  /** Bound of waits for the metaserver, milliseconds. */
  readonly waitMs?: number | undefined;
  readonly suid: boolean;
  readonly dev: boolean;
  readonly exec: boolean;
  readonly allowOther: boolean;
  /** Show everything as owned by this user and group. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface MountedOptions {
  readonly request: MountRequest;
  readonly source: string;
  readonly session: SessionClient;
  readonly meta: MetaClient;
  readonly vfs: Vfs;
  readonly kernel: NativeKernelCache;
  /** Where the guardian reads what the kernel keeps. */
  readonly cacheTable: string;
  readonly mask: CapabilityMask;
  readonly clock: Clock;
  readonly log: Logger;
  /** What ends with the mount. */
  readonly stack: DisposeStack;
  /** The mount is over, whoever ended it. */
  onGone(mounted: Mounted): void;
}

function mountFlags(request: MountRequest): number {
  return (
    (request.readOnly ? MS_RDONLY : 0) |
    (request.suid ? 0 : MS_NOSUID) |
    (request.dev ? 0 : MS_NODEV) |
    (request.exec ? 0 : MS_NOEXEC)
  );
}

export interface Waiting {
  readonly count: number;
  /** The oldest of them. */
  readonly requests: readonly WaitingRequest[];
}

export class Mounted {
  readonly mountpoint: string;
  readonly request: MountRequest;
  readonly vfs: Vfs;
  readonly session: SessionClient;
  readonly driver: NativeDriver;
  readonly kernel: NativeKernelCache;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #meta: MetaClient;
  readonly #stack: DisposeStack;
  readonly #whoWaits: WhoWaits;
  #released: Promise<void> | undefined;

  private constructor(options: MountedOptions, driver: NativeDriver) {
    this.mountpoint = options.request.mountpoint;
    this.request = options.request;
    this.vfs = options.vfs;
    this.session = options.session;
    this.driver = driver;
    this.kernel = options.kernel;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#meta = options.meta;
    this.#stack = options.stack;
    const bootMs = (): number => options.clock.bootMs();
    this.#whoWaits = new WhoWaits({ ...options, bootMs });
    const watchdog = new Watchdog({
      stuck: (olderThanMs) => driver.connection.stuck(olderThanMs),
      explain: (requests) => this.#whoWaits.explain(requests),
      log: options.log,
      bootMs,
    });
    watchdog.start();
    this.#stack.defer(() => watchdog.close());
  }

  /** Requests under way for so long, oldest first, and whom they wait for; takes a second at most. */
  async waiting(olderThanMs: number, metaserver: Asking): Promise<Waiting> {
    const stuck = this.driver.connection.stuck(olderThanMs);
    return { count: stuck.length, requests: await this.#whoWaits.explain(stuck, metaserver) };
  }

  /** Of every machine. @throws FsError EIO the metaserver is away */
  async locks(): Promise<LockList> {
    const { locks, truncated } = await this.#meta.listLocks();
    const path = this.vfs.paths();
    return { locks: locks.map((lock) => ({ ...lock, path: path(lock.ino) })), truncated };
  }

  /** @throws FsError ENOENT · EIO the metaserver is away */
  async info(ino: Ino): Promise<InodeInfo> {
    return { path: this.vfs.paths()(ino), ...(await this.#meta.inspect(ino)) };
  }

  /** Resolves when the kernel has accepted the mount. */
  static async start(options: MountedOptions): Promise<Mounted> {
    const { request, log } = options;
    let mounted: Mounted | undefined;
    let ended = false;
    try {
      const driver = await NativeDriver.mount({
        mountpoint: request.mountpoint,
        source: options.source,
        subtype: DFS_SUBTYPE,
        flags: mountFlags(request),
        options: `default_permissions${request.allowOther ? ',allow_other' : ''}`,
        mask: options.mask,
        fs: options.vfs.fs,
        keeps: { kernel: options.kernel, tablePath: options.cacheTable },
        clock: options.clock,
        log,
        onEnd: (errno) => {
          log.info('the mount ended', { errno });
          ended = true;
          if (mounted !== undefined) options.onGone(mounted);
        },
      });
      if (ended) throw new FsError('ENOTCONN', 'the mount ended while it was being made');
      mounted = new Mounted(options, driver);
      return mounted;
    } catch (error) {
      await options.stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * @throws FsError EBUSY while programs use it, EIO while something written is not published; it
   * goes on then
   */
  async unmount(): Promise<void> {
    const failed = await this.vfs.publishAll();
    if (failed > 0) throw new FsError('EIO', unpublished(failed));
    // Someone may have lost patience meanwhile; what is mounted there now is not ours.
    if (this.#released !== undefined) return;
    await this.driver.unmount();
    await this.release();
  }

  /** Ends it although programs use it; release() is still to be called. */
  detach(): Promise<void> {
    return this.driver.detach();
  }

  /**
   * The orderly end of the node: whatever cannot be unmounted within `ms` is detached, whatever
   * cannot be published then is left to the next mount, with a line in the log.
   */
  async close(ms: number): Promise<void> {
    const endMs = this.#clock.bootMs() + ms;
    try {
      await within(this.unmount(), ms, 'unmounting');
    } catch (error) {
      this.#log.warn('detaching a mount that cannot be unmounted', { error });
      await this.#detachAnyhow();
    }
    try {
      const leftMs = Math.max(LAST_MS, endMs - this.#clock.bootMs());
      await within(this.release(), leftMs, 'publishing what is left');
    } catch (error) {
      this.#log.error('the mount ends with files unpublished', { error });
      await this.#stack[Symbol.asyncDispose]();
    }
  }

  /** After the connection ended, by whomever: publishes what is left and ends the session. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    try {
      await within(this.#publishLeft(), RELEASE_MS, 'publishing what is left');
    } catch (error) {
      this.#log.error('files stay unpublished at the end of the mount', { error });
    }
    await this.#stack[Symbol.asyncDispose]();
  }

  async #publishLeft(): Promise<void> {
    const failed = await this.vfs.publishAll();
    await this.vfs.settle();
    if (failed > 0) throw new FsError('EIO', unpublished(failed));
  }

  async #detachAnyhow(): Promise<void> {
    try {
      await this.detach();
    } catch (error) {
      this.#log.error('the mount could not be detached', { error });
    }
  }
}

function unpublished(count: number): string {
  const files = count === 1 ? '1 file' : `${count} files`;
  return `size and times of ${files} could not be published: the metaserver must answer first`;
}
