/**
 * What this kernel keeps of a mount: noted inode by inode, also for the guardian, and taken back
 * by notifications from threads of their own.
 */
import { constants } from 'node:os';
import type { FuseNotifier } from '../../../../native/index.ts';
import type { Ino } from '../../../common/ids.ts';
import { delay } from '../../../common/lifecycle.ts';
import { KeptNames, type ToldName } from '../../core/kept-names.ts';
import type { KernelCache, MovedName } from '../../kernel-cache.ts';
import type { KernelCacheTable } from './kernel-cache-table.ts';

/** As good as for ever: a guardian takes it back when this process cannot. */
const WATCHED_MS = 3_600_000;
/** Where nobody could take it back. */
const UNWATCHED_MS = 5_000;
/** Names that cannot be taken back within this are forgotten with all others. */
const IN_THE_WAY_MS = 5;
/** Without INC_EPOCH names are waited out when they cannot be taken back at once. */
const SHORT_NAME_MS = 1_000;

export interface KernelConnection {
  readonly notifier: FuseNotifier;
  readonly table: KernelCacheTable;
  /** The kernel can be told that no name holds any more. */
  readonly incEpoch: boolean;
}

/** Of one inode its attributes, data or size, one name, or every name of the mount. */
type NotificationKind = 'attributes' | 'data' | 'size' | 'name' | 'epoch';

const { EFAULT, ENOENT } = constants.errno;
/** The kernel takes up what it was told within this, or drops it. */
const UNKNOWN_MS = 32;

export class NativeKernelCache implements KernelCache {
  /** How many of each were sent. */
  readonly counts = new Map<NotificationKind, number>();
  readonly #namesOf: (dir: Ino) => readonly string[];
  readonly #bootMs: () => number;
  #connection: KernelConnection | undefined;
  /** The kernel was told something of them. */
  readonly #told = new Set<Ino>();
  readonly #names = new KeptNames();
  /** Resolves when every INC_EPOCH that was sent has taken effect. */
  #epochs: Promise<void> = Promise.resolve();
  /** Without INC_EPOCH: when a name in the directory was told last. */
  readonly #nameToldMs = new Map<Ino, number>();
  /** Without INC_EPOCH: directories with names that came by a rename. */
  readonly #movedInto = new Set<Ino>();
  #closed = false;

  /** @param options.namesOf the names a directory was told to have */
  constructor(options: {
    namesOf(dir: Ino): readonly string[];
    bootMs(): number;
  }) {
    this.#namesOf = (dir) => options.namesOf(dir);
    this.#bootMs = () => options.bootMs();
  }

  attach(connection: KernelConnection): void {
    this.#connection = connection;
  }

  /** Before the mount ends: nothing more is told. */
  close(): void {
    this.#closed = true;
    this.#connection?.table.close();
    this.#connection?.notifier.close();
  }

  nameMs(dir: Ino, told: ToldName, validMs: number): number {
    const nowMs = this.#bootMs();
    if (!this.#names.tell(dir, told, nowMs)) return 0;
    if (this.#connection?.incEpoch === true) return validMs;
    this.#nameToldMs.set(dir, nowMs);
    return Math.min(validMs, SHORT_NAME_MS);
  }

  moved(from: Ino, to: Ino, at: MovedName): Promise<void> | undefined {
    const connection = this.#connection;
    if (connection === undefined) return undefined;
    if (connection.incEpoch) {
      // Nor is it answered while the kernel forgets where the name comes from.
      return this.#names.moved(from, to, at) ? this.#incEpoch(connection) : this.#epochs;
    }
    const nowMs = this.#bootMs();
    const leftMs = this.#shortMs(from, nowMs);
    if (leftMs <= 0) return undefined;
    if (!at.held) return delay(leftMs);
    this.#names.mark(to);
    this.#nameToldMs.set(to, nowMs);
    this.#movedInto.add(to);
    return undefined;
  }

  /** Boot milliseconds until which what is told may stay. */
  extend(leaseEndMs: number): void {
    if (!this.#closed) this.#connection?.table.extend(leaseEndMs);
  }

  keepMs(ino: Ino, restMs: number): number {
    const { table } = this.#connection ?? {};
    if (table === undefined || this.#closed) return 0;
    this.note(ino);
    return table.watched ? WATCHED_MS : Math.min(UNWATCHED_MS, restMs);
  }

  note(ino: Ino): void {
    const { table } = this.#connection ?? {};
    if (table === undefined || this.#told.has(ino)) return;
    this.#told.add(ino);
    // There are more places than leases.
    table.add(ino);
  }

  dropped(ino: Ino): void {
    this.#names.emptied(ino);
    this.#nameToldMs.delete(ino);
    this.#movedInto.delete(ino);
    if (this.#told.delete(ino)) this.#connection?.table.remove(ino);
  }

  forget(ino: Ino, directory: boolean): Promise<void> | undefined {
    const connection = this.#connection;
    if (connection === undefined || !this.#told.has(ino)) return undefined;
    const names = directory ? [this.#forgetNamesOf(connection, ino)] : [];
    return Promise.all([...this.#forgetInode(connection, ino), ...names]).then(() => undefined);
  }

  forgetAttributes(ino: Ino): Promise<void> | undefined {
    if (this.#connection === undefined || !this.#told.has(ino)) return undefined;
    return this.#forgetAttributes(this.#connection.notifier, ino);
  }

  forgetRange(ino: Ino, offset: number, length: number): Promise<void> | undefined {
    if (this.#connection === undefined || !this.#told.has(ino)) return undefined;
    this.#count('data');
    return this.#connection.notifier.invalInode(ino, offset, length).then(() => undefined);
  }

  grow(ino: Ino, size: number): Promise<boolean> | undefined {
    if (this.#connection === undefined || this.#closed) return undefined;
    this.#count('size');
    return this.#connection.notifier.extend(ino, size).then((errno) => errno === EFAULT);
  }

  async forgetNames(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    await (connection.incEpoch ? this.#incEpoch(connection) : delay(SHORT_NAME_MS));
  }

  async forgetEverything(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    const names = this.forgetNames();
    const each = [...this.#told].flatMap((ino) => this.#forgetInode(connection, ino));
    await Promise.all<unknown>([names, ...each]);
  }

  /** Attributes first, which waits for nobody; data may wait for answers to requests. */
  #forgetInode({ notifier }: KernelConnection, ino: Ino): Promise<void>[] {
    this.#count('data');
    const data = notifier.invalInode(ino, 0, 0).then(() => undefined);
    return [this.#forgetAttributes(notifier, ino), data];
  }

  /** What introduced the inode may be on its way: it is waited for, a moment. */
  async #forgetAttributes(notifier: FuseNotifier, ino: Ino): Promise<void> {
    for (let waitMs = 1; ; waitMs *= 2) {
      this.#count('attributes');
      const errno = await notifier.invalInode(ino, -1, 0);
      if (errno !== ENOENT || waitMs > UNKNOWN_MS || !this.#told.has(ino)) return;
      await delay(waitMs);
    }
  }

  #incEpoch({ notifier }: KernelConnection): Promise<void> {
    this.#count('epoch');
    // What is told from now on may be kept: it is forgotten by the next one.
    this.#names.forgotten();
    this.#epochs = Promise.all([this.#epochs, notifier.incEpoch()]).then(() => undefined);
    return this.#epochs;
  }

  async #forgetNamesOf(connection: KernelConnection, dir: Ino): Promise<void> {
    const names = this.#names.recalled(dir, this.#bootMs());
    if (!connection.incEpoch) {
      if (names !== 'nothing') await this.#forgetEachName(connection, dir);
    } else if (names === 'everything') await this.#incEpoch(connection);
    else {
      if (names !== 'nothing') await this.#forgetThese(connection, dir, names);
      await this.#epochs;
    }
  }

  /** One by one, which leaves other names alone; all at once where that cannot be done soon. */
  async #forgetThese(
    connection: KernelConnection,
    dir: Ino,
    names: ReadonlySet<string>,
  ): Promise<void> {
    this.#count('name', names.size);
    const { notifier } = connection;
    const each = async (): Promise<boolean> => {
      for (const name of names) await notifier.invalEntry(dir, Buffer.from(name, 'latin1'));
      return true;
    };
    // A request of our own in that directory may be in the way, and wait for whoever calls.
    const done = await Promise.race([each(), delay(IN_THE_WAY_MS)]);
    if (done === undefined) await this.#incEpoch(connection);
    this.#names.takenBack(dir);
  }

  /** Without INC_EPOCH. */
  async #forgetEachName({ notifier }: KernelConnection, dir: Ino): Promise<void> {
    const leftMs = this.#shortMs(dir, this.#bootMs());
    this.#names.emptied(dir);
    const hasMoved = this.#movedInto.delete(dir);
    if (leftMs <= 0) return;
    const names = this.#namesOf(dir).map((name) => Buffer.from(name, 'latin1'));
    this.#count('name', names.length);
    const each = names.map((name) => notifier.invalEntry(dir, name));
    const waitedOut = delay(leftMs);
    if (hasMoved) await waitedOut;
    const done = await Promise.race([Promise.all(each), waitedOut]);
    // A request of our own in that directory was in the way: it had to be waited out.
    if (done === undefined) this.#names.avoid(dir, this.#bootMs());
  }

  /** Without INC_EPOCH: how long names in the directory may be kept yet. */
  #shortMs(dir: Ino, nowMs: number): number {
    return (this.#nameToldMs.get(dir) ?? 0) + SHORT_NAME_MS - nowMs;
  }

  #count(kind: NotificationKind, by = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + by);
  }
}
