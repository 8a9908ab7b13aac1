/**
 * The native driver: mounts, answers INIT, and serves one connection from this event loop.
 * Never touches the mount itself: everything it knows of it comes from /proc and /sys.
 */
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { MNT_DETACH, native } from '../../../../native/index.ts';
import type { Clock } from '../../../common/clock.ts';
import { FsError, systemCode, toFsError } from '../../../common/errno.ts';
import { type Deferred, deferred, within } from '../../../common/lifecycle.ts';
import type { Logger } from '../../../common/log.ts';
import { findMount } from '../../../common/mount-table.ts';
import type { FileSystem } from '../driver.ts';
import { OUT_HEADER_BYTES } from './abi.ts';
import { type CapabilityMask, type KernelCapabilities, lacking } from './capabilities.ts';
import { FuseConnection } from './connection.ts';
import { dispatch } from './dispatch.ts';
import { answerInit, MAX_WRITE_BYTES } from './handshake.ts';
import type { NativeKernelCache } from './kernel-cache.ts';
import { KernelCacheTable } from './kernel-cache-table.ts';

const SLOT_COUNT = 32;
const SLOT_BYTES = MAX_WRITE_BYTES + 8192;
const REPLY_BYTES = OUT_HEADER_BYTES + MAX_WRITE_BYTES;
const INIT_MS = 10_000;
/** How long a lazily detached mount may stay busy before its connection is aborted. */
const DETACHED_MS = 1_000;
/** After umount(2) the kernel ends the connection at once, unless another namespace has it. */
const LET_GO_MS = 10_000;
const READ_AHEAD_KIB = 1024;
/** FUSE_NOTIFY_INC_EPOCH came with 7.44. */
const INC_EPOCH_MINOR = 44;

export interface NativeMountOptions {
  readonly mountpoint: string;
  readonly source: string;
  /** The type in the mount table is `fuse.<subtype>`. */
  readonly subtype: string;
  /** MS_* bits. */
  readonly flags: number;
  /** FUSE options such as allow_other, comma separated. */
  readonly options: string;
  readonly mask: CapabilityMask;
  /** What the kernel keeps can be taken back; undefined: nothing is ever told with a validity. */
  readonly keeps:
    | {
        readonly kernel: Pick<NativeKernelCache, 'attach' | 'close'>;
        /** Where the guardian reads what that is. */
        readonly tablePath: string;
      }
    | undefined;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly log: Logger;
  /** The connection ended: by unmount from anywhere, or abort. Called once. */
  onEnd(errno: number): void;
}

export class NativeDriver {
  readonly mountpoint: string;
  readonly connection: FuseConnection;
  readonly #fd: number;
  readonly #ended = deferred<number>();
  readonly #log: Logger;
  #capabilities: KernelCapabilities | undefined;

  private constructor(options: NativeMountOptions, initialized: Deferred<void>) {
    this.mountpoint = options.mountpoint;
    this.#log = options.log;
    this.#fd = native.fuseMount(options);
    const session = new native.FuseSession({
      fd: this.#fd,
      slotCount: SLOT_COUNT,
      slotBytes: SLOT_BYTES,
      replyBytes: REPLY_BYTES,
      onRequest: (slot, length) => {
        if (this.#capabilities !== undefined) dispatch(this.connection, slot, length);
        else this.#initialize(slot, length, options.mask, initialized);
      },
      onEnd: (errno) => {
        initialized.reject(new FsError('ENOTCONN', 'the mount ended before it was ready'));
        this.#ended.resolve(errno);
        // Before the number of the descriptor may be another one's.
        options.keeps?.kernel.close();
        session.close();
        options.onEnd(errno);
      },
    });
    this.connection = new FuseConnection({
      session,
      slotBytes: SLOT_BYTES,
      fs: options.fs,
      connection: randomInt(1, 2 ** 47),
      nowMs: () => options.clock.bootMs(),
      log: options.log,
    });
    session.start();
  }

  /** Resolves when the kernel has accepted the connection. */
  static async mount(options: NativeMountOptions): Promise<NativeDriver> {
    const initialized = deferred<void>();
    const driver = new NativeDriver(options, initialized);
    try {
      await within(initialized.promise, INIT_MS, 'the kernel’s INIT');
    } catch (error) {
      await driver.#discard();
      throw error;
    }
    driver.#watchCache(options);
    await driver.#raiseReadAhead();
    return driver;
  }

  get capabilities(): { minor: number; lacking: string[] } {
    const record = this.#capabilities;
    return record === undefined
      ? { minor: 0, lacking: [] }
      : { minor: record.minor, lacking: lacking(record) };
  }

  /**
   * Unmounts; requests go on being served until the kernel lets go.
   * @throws FsError EBUSY while programs use the mount (nothing has changed then), ETIMEDOUT when
   * it is gone here but lives on in another mount namespace
   */
  async unmount(): Promise<void> {
    try {
      await native.unmount(this.mountpoint, 0);
    } catch (error) {
      if (systemCode(error) === 'EINVAL') return;
      throw toFsError(error, `cannot unmount ${this.mountpoint}`);
    }
    await within(this.#ended.promise, LET_GO_MS, 'the last mount namespace that has it mounted');
  }

  /** Unmounts although programs use it: they keep what they have open for a moment, then lose it. */
  async detach(): Promise<void> {
    await native.unmount(this.mountpoint, MNT_DETACH).catch((error: unknown) => {
      if (systemCode(error) !== 'EINVAL') throw error;
    });
    try {
      await within(this.#ended.promise, DETACHED_MS, 'the last program on the mount');
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      this.#log.warn('programs still use the mount; ending the connection', { error });
      this.#abort();
    }
  }

  /** Whatever waits for an answer goes on: programs, notifications, a umount(2) under way. */
  #abort(): void {
    if (native.abortConnection(this.#fd)) return;
    // Ends it too, unless a notification that waits for an answer holds it.
    this.connection.session.close();
  }

  #initialize(slot: number, length: number, mask: CapabilityMask, done: Deferred<void>): void {
    try {
      this.#capabilities = answerInit(this.connection, { slot, length }, mask);
      if (this.#capabilities !== undefined) done.resolve();
    } catch (error) {
      done.reject(error);
    }
  }

  /** From now on the kernel may keep what it is told. */
  #watchCache({ keeps }: NativeMountOptions): void {
    if (keeps === undefined) return;
    const incEpoch = (this.#capabilities?.minor ?? 0) >= INC_EPOCH_MINOR;
    keeps.kernel.attach({
      notifier: new native.FuseNotifier({ fd: this.#fd }),
      table: KernelCacheTable.create(keeps.tablePath, { fuseFd: this.#fd, incEpoch }),
      incEpoch,
    });
  }

  /** A mount that never became ready: away with it, the first error is the one to show. */
  async #discard(): Promise<void> {
    this.#abort();
    await native.unmount(this.mountpoint, MNT_DETACH).catch((error: unknown) => {
      this.#log.warn('a failed mount could not be removed', { error });
    });
  }

  /** INIT can only lower the kernel's 128 KiB of read-ahead; root raises it here. */
  async #raiseReadAhead(): Promise<void> {
    const entry = await findMount(this.mountpoint);
    if (entry === undefined) return;
    const path = `/sys/class/bdi/${entry.major}:${entry.minor}/read_ahead_kb`;
    try {
      await writeFile(path, String(READ_AHEAD_KIB));
    } catch (error) {
      this.#log.debug('read-ahead stays at its default', { error });
    }
  }
}
