/**
 * The namespace as the vfs sees it: domain values in and out, one method an operation, over the
 * mount session. Wire types stop here.
 */
import type { FileLock, Glimpse, InspectReply, RequestId } from '../../gen/meta.ts';
import type { Attr, Timespec } from '../common/attr.ts';
import type { InodeInfo } from '../common/core/inode-info.ts';
import { type ListedLock, shownEnd } from '../common/core/listed-lock.ts';
import type { Lock, LockPlace } from '../common/core/locks.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino, safeInteger } from '../common/ids.ts';
import type { Grant, Keep, LeaseKind } from '../common/lease.ts';
import { nameFromBytes, nameToBytes } from '../common/name.ts';
import { attrFromWire, timeToWire } from '../common/rpc/codec.ts';
import type {
  Learn,
  Operation,
  OperationResult,
  SessionClient,
} from '../common/rpc/session-client.ts';
import type { HomeState } from './data/data-path.ts';
import type { AttrChanges, MakeNode, RenameNode, RequestContext } from './driver/driver.ts';
import type { LockAnswer, LockQuestion } from './locks.ts';
import { MetaCache } from './meta-cache.ts';

type ResultOf<Case extends OperationResult['$case']> = Extract<
  OperationResult,
  { $case: Case }
>['value'];

/** What this session saw under a name, so that an open file outlives its last link. */
export interface KnownTarget {
  readonly ino: Ino | undefined;
  readonly open: boolean;
}

/** What goes along with a new size. */
export interface Resizing {
  /** The cuts this mount knows of; growth under others is refused. */
  readonly cuts: number;
  /** It cuts, whatever the metaserver thinks: more was written here than it knows of. */
  readonly cut: boolean;
}

export interface Removed {
  readonly attr: Attr;
  /** No link is left, but the inode lives until closeUnlinked. */
  readonly kept: boolean;
}

export interface DirPage {
  readonly entries: readonly {
    readonly cookie: number;
    readonly name: string;
    readonly ino: Ino;
    readonly type: number;
    readonly attr: Attr | undefined;
  }[];
  readonly end: boolean;
  readonly parent: Ino;
  /** Of the directory when it was read. */
  readonly dirv: number;
}

function attrOf(attr: Parameters<typeof attrFromWire>[0] | undefined): Attr {
  if (attr === undefined) throw new FsError('EPROTO', 'a reply of the metaserver lacks attributes');
  return attrFromWire(attr);
}

/** The id of the request's `nth` mutation (0 or 1). */
function requestId(context: RequestContext, nth: 0 | 1 = 0): RequestId {
  return {
    connection: BigInt(context.connection),
    unique: BigInt(context.unique + nth),
    acked: BigInt(Math.max(0, context.acked())),
  };
}

function timeChange(time: Timespec | 'now' | undefined): {
  time: ReturnType<typeof timeToWire> | undefined;
  now: boolean;
} {
  if (time === 'now') return { time: undefined, now: true };
  return { time: time === undefined ? undefined : timeToWire(time), now: false };
}

type MetaSession = Pick<SessionClient, 'request' | 'up'>;

/** A lease that is given up, or is going to be. */
export interface LeaseRelease {
  readonly ino: Ino;
  readonly lseq: number;
  readonly keep: Keep;
  readonly open: boolean;
  readonly progress: boolean;
}

/** What was written here and is not published: the file is at least that long. */
export interface Unpublished {
  readonly end: number;
  readonly mtime: Timespec;
}

/** Looks that go without a lease on what they look at. */
export interface LookOptions {
  readonly noGrant?: boolean;
  /** What is committed, whoever may be writing. */
  readonly committed?: boolean;
  /** A lease on the directory is wanted too. */
  readonly grantParent?: boolean;
}

export class MetaClient {
  /** What is known without asking. */
  readonly cache: MetaCache;
  /** A lease came with a reply whose attributes are learned. */
  onGrant: (ino: Ino, grant: Grant) => void = () => undefined;
  /** Nobody knows what became of a change. */
  onUnknown: () => void = () => undefined;
  readonly #session: MetaSession;

  constructor(session: MetaSession, cache = new MetaCache()) {
    this.#session = session;
    this.cache = cache;
  }

  /** Whether the metaserver is connected. */
  get up(): boolean {
    return this.#session.up;
  }

  async lookup(
    context: RequestContext,
    parent: Ino,
    name: string,
    { grantParent = false, noGrant }: LookOptions = {},
  ): Promise<Attr> {
    const value = { parent: BigInt(parent), name: nameToBytes(name), grantParent };
    return attrOf((await this.#read('attr', { $case: 'lookup', value }, context, noGrant)).attr);
  }

  async getattr(
    waiter: RequestContext | undefined,
    ino: Ino,
    { committed = false, noGrant }: LookOptions = {},
  ): Promise<Attr> {
    const value = { ino: BigInt(ino), committed };
    return attrOf((await this.#read('attr', { $case: 'getattr', value }, waiter, noGrant)).attr);
  }

  /** Waits its turn; the lease itself comes by onGrant. */
  async lease(ino: Ino, kind: LeaseKind): Promise<Attr> {
    const value = { ino: BigInt(ino), exclusive: kind === 'exclusive' };
    return attrOf((await this.#read('attr', { $case: 'lease', value })).attr);
  }

  async release(releases: readonly LeaseRelease[]): Promise<void> {
    const leases = releases.map(({ ino, lseq, keep, open, progress }) => ({
      ino: BigInt(ino),
      lseq: BigInt(lseq),
      keepShared: keep === 'shared',
      open,
      progress,
    }));
    await this.#read('empty', { $case: 'release', value: { leases } });
  }

  /** What somebody else wants to know who looks at a file. */
  async glimpsed({ id, ino, lseq }: Glimpse, unpublished: Unpublished | undefined): Promise<void> {
    const told = unpublished && {
      end: BigInt(unpublished.end),
      mtime: timeToWire(unpublished.mtime),
    };
    const value = { id, ino, lseq, unpublished: told };
    await this.#read('empty', { $case: 'glimpsed', value });
  }

  /** No lease of an earlier life of the metaserver is held; these files are open. */
  async settled(open: readonly Ino[]): Promise<void> {
    const value = { open: open.map((ino) => BigInt(ino)) };
    await this.#read('empty', { $case: 'settled', value });
  }

  async readlink(context: RequestContext, ino: Ino): Promise<string> {
    const op: Operation = { $case: 'readlink', value: { ino: BigInt(ino) } };
    return nameFromBytes((await this.#read('readlink', op, context)).target);
  }

  async readdir(
    context: RequestContext,
    ino: Ino,
    page: { readonly cookie: number; readonly entriesMax: number; readonly withAttrs: boolean },
  ): Promise<DirPage> {
    const value = { ino: BigInt(ino), ...page, cookie: BigInt(page.cookie) };
    const reply = await this.#read('readdir', { $case: 'readdir', value }, context);
    return {
      end: reply.end,
      parent: asIno(reply.parent),
      dirv: safeInteger(reply.dirv),
      entries: reply.entries.map((entry) => ({
        cookie: safeInteger(entry.seq),
        name: nameFromBytes(entry.name),
        ino: asIno(entry.ino),
        type: entry.type,
        attr: entry.attr === undefined ? undefined : attrFromWire(entry.attr),
      })),
    };
  }

  async statfs(context: RequestContext): Promise<{ files: number }> {
    const reply = await this.#read('statfs', { $case: 'statfs', value: {} }, context);
    return { files: safeInteger(reply.files) };
  }

  async setattr(
    context: RequestContext,
    ino: Ino,
    changes: AttrChanges & { readonly nth?: 0 | 1 } & Partial<Resizing>,
  ): Promise<Attr> {
    const atime = timeChange(changes.atime);
    const mtime = timeChange(changes.mtime);
    const value = {
      ino: BigInt(ino),
      mode: changes.mode,
      uid: changes.uid,
      gid: changes.gid,
      size: changes.size === undefined ? undefined : BigInt(changes.size),
      atime: atime.time,
      mtime: mtime.time,
      atimeNow: atime.now,
      mtimeNow: mtime.now,
      killSuidgid: changes.killSuidGid,
      cut: changes.cut ?? false,
      cuts: BigInt(changes.cuts ?? 0),
      caller: { uid: context.uid, gid: context.gid },
    };
    const reply = await this.#change('attr', { $case: 'setattr', value }, context, changes.nth);
    return attrOf(reply.attr);
  }

  async make(
    context: RequestContext,
    node: MakeNode & { readonly target?: string; readonly openExisting?: boolean },
  ): Promise<{ attr: Attr; existed: boolean }> {
    const value = {
      parent: BigInt(node.parent),
      name: nameToBytes(node.name),
      mode: node.mode,
      rdev: node.rdev,
      target: nameToBytes(node.target ?? ''),
      caller: { uid: context.uid, gid: context.gid },
      openExisting: node.openExisting ?? false,
    };
    const reply = await this.#change('make', { $case: 'make', value }, context);
    return { attr: attrOf(reply.attr), existed: reply.existed };
  }

  async remove(
    context: RequestContext,
    entry: { readonly parent: Ino; readonly name: string; readonly directory: boolean },
    known: KnownTarget,
  ): Promise<Removed> {
    const value = {
      parent: BigInt(entry.parent),
      name: nameToBytes(entry.name),
      directory: entry.directory,
      knownIno: BigInt(known.ino ?? 0),
      knownOpen: known.open,
    };
    const reply = await this.#change('remove', { $case: 'remove', value }, context);
    return { attr: attrOf(reply.attr), kept: reply.kept };
  }

  /** @returns the inode that was replaced, if any */
  async rename(
    context: RequestContext,
    node: RenameNode,
    known: KnownTarget,
  ): Promise<{ attr: Attr; replaced: Removed | undefined }> {
    const value = {
      parent: BigInt(node.parent),
      name: nameToBytes(node.name),
      newParent: BigInt(node.newParent),
      newName: nameToBytes(node.newName),
      flags: node.flags,
      knownIno: BigInt(known.ino ?? 0),
      knownOpen: known.open,
    };
    const reply = await this.#change('rename', { $case: 'rename', value }, context);
    const other = reply.other === undefined ? undefined : attrFromWire(reply.other);
    return {
      attr: attrOf(reply.attr),
      replaced: other === undefined ? undefined : { attr: other, kept: reply.kept },
    };
  }

  async link(
    context: RequestContext,
    node: { readonly ino: Ino; readonly newParent: Ino; readonly newName: string },
  ): Promise<Attr> {
    const value = {
      ino: BigInt(node.ino),
      newParent: BigInt(node.newParent),
      newName: nameToBytes(node.newName),
    };
    return attrOf((await this.#change('link', { $case: 'link', value }, context)).attr);
  }

  /**
   * The file is at least `size` long. A repeat is harmless and needs no request id.
   * @throws FsError ESTALE it was cut meanwhile, or its home restarted (H4 in docs/PROTOCOL.md)
   */
  async flushAttr(
    file: { readonly ino: Ino; readonly size: number; readonly mtime: Timespec } & HomeState,
    waiter?: RequestContext,
  ): Promise<Attr> {
    const value = {
      ino: BigInt(file.ino),
      size: BigInt(file.size),
      mtime: timeToWire(file.mtime),
      cuts: BigInt(file.cuts),
      rgEpoch: BigInt(file.rgEpoch),
    };
    return attrOf((await this.#read('attr', { $case: 'flushAttr', value }, waiter)).attr);
  }

  async closeUnlinked(inos: readonly Ino[]): Promise<void> {
    const value = { inos: inos.map((ino) => BigInt(ino)) };
    await this.#read('empty', { $case: 'closeUnlinked', value });
  }

  /** @throws FsError EAGAIN, EDEADLK, ENOLCK */
  async lock(
    lock: Lock,
    { again = false, ticket, tries = false }: LockQuestion,
    waiter?: RequestContext,
  ): Promise<LockAnswer> {
    const value = { lock: lockToWire(lock), ticket, again, tries };
    const { delegation, waits } = await this.#read('lock', { $case: 'lock', value }, waiter);
    return { waits, delegation: delegation === 0n ? undefined : delegation };
  }

  /** @param delegation undefined: none that is known here */
  async returnLocks(
    ino: Ino,
    delegation: bigint | undefined,
    locks: readonly Lock[],
  ): Promise<void> {
    const value = {
      ino: BigInt(ino),
      delegation: delegation ?? 0n,
      locks: locks.map(lockToWire),
    };
    await this.#read('empty', { $case: 'returnLocks', value });
  }

  async unlock(place: LockPlace): Promise<void> {
    const { end, ino, kind, owner, start } = place;
    const flock = kind === 'flock';
    const value = { ino: BigInt(ino), flock, owner: BigInt(owner), start, end };
    await this.#read('empty', { $case: 'unlock', value });
  }

  /** A lock in the way; its pid is 0 where it is another machine's. */
  async testLock(lock: Lock, waiter: RequestContext): Promise<Lock | undefined> {
    const value = { lock: lockToWire(lock) };
    const { lock: found, own } = await this.#read('testLock', { $case: 'testLock', value }, waiter);
    return found && { ...lockFromWire(found), pid: own ? found.pid : 0 };
  }

  /** @returns false when it does not wait */
  async cancelLock(ticket: bigint): Promise<boolean> {
    return (await this.#read('cancelLock', { $case: 'cancelLock', value: { ticket } })).cancelled;
  }

  /** What is known of an inode, but for where it is found. @throws FsError ENOENT */
  async inspect(ino: Ino): Promise<Omit<InodeInfo, 'path'>> {
    const op: Operation = { $case: 'inspect', value: { ino: BigInt(ino) } };
    return infoOf(await this.#read('inspect', op));
  }

  /** Of every mount. */
  async listLocks(): Promise<{ locks: Omit<ListedLock, 'path'>[]; truncated: boolean }> {
    const reply = await this.#read('listLocks', { $case: 'listLocks', value: {} });
    const locks = reply.locks.flatMap(({ lock, nodeName, waits }) => {
      if (lock === undefined) return [];
      const { end, ino, kind, pid, start, type } = lockFromWire(lock);
      const range = { start: String(start), end: shownEnd(end) };
      return [{ ino, kind, type, ...range, machine: nodeName, pid, waits }];
    });
    return { locks, truncated: reply.truncated };
  }

  async #read<Case extends OperationResult['$case']>(
    expected: Case,
    op: Operation,
    waiter?: RequestContext,
    noGrant = false,
  ): Promise<ResultOf<Case>> {
    return resultOf(expected, await this.#request(op, undefined, waiter, noGrant));
  }

  async #change<Case extends OperationResult['$case']>(
    expected: Case,
    op: Operation,
    context: RequestContext,
    nth?: 0 | 1,
  ): Promise<ResultOf<Case>> {
    return resultOf(expected, await this.#request(op, requestId(context, nth), context));
  }

  async #request(
    op: Operation,
    id?: RequestId,
    waiter?: RequestContext,
    noGrant = false,
  ): Promise<OperationResult> {
    let answered = false;
    const learn: Learn = (reply, grants) => {
      answered = true;
      for (const { ino, exclusive, lseq } of grants) {
        const kind = exclusive ? 'exclusive' : 'shared';
        this.onGrant(asIno(ino), { kind, lseq: safeInteger(lseq) });
      }
      this.cache.learn(op, reply, grants);
    };
    try {
      return await this.#session.request(op, id, waiter, learn, noGrant);
    } catch (error) {
      if (!answered && id !== undefined) this.onUnknown();
      throw error;
    }
  }
}

function resultOf<Case extends OperationResult['$case']>(
  expected: Case,
  result: OperationResult,
): ResultOf<Case> {
  if (result.$case !== expected) {
    throw new FsError('EPROTO', `the metaserver answered ${result.$case} instead of ${expected}`);
  }
  return result.value as ResultOf<Case>;
}

function lockToWire({ end, ino, kind, owner, pid, start, type }: Lock): FileLock {
  return {
    ino: BigInt(ino),
    flock: kind === 'flock',
    write: type === 'write',
    owner: BigInt(owner),
    start,
    end,
    pid,
  };
}

function lockFromWire({ end, flock, ino, owner, pid, start, write }: FileLock): Lock {
  return {
    ino: asIno(ino),
    kind: flock ? 'flock' : 'posix',
    type: write ? 'write' : 'read',
    owner: String(owner),
    start,
    end,
    pid,
  };
}

function infoOf(reply: InspectReply): Omit<InodeInfo, 'path'> {
  const { gid, ino, mode, mtime, nlink, size, uid } = attrOf(reply.attr);
  const { homeName, homeUp, leases, lockDecider, locks, openers, rg, waitingLocks } = reply;
  const home = { machine: homeName, up: homeUp, group: safeInteger(rg) };
  return {
    ...{ ino, mode, nlink, uid, gid, size, mtime: mtime.sec, openers, locks, waitingLocks },
    home: rg === 0n ? null : home,
    leases: leases.map(({ exclusive, nodeName, recalled }) => ({
      machine: nodeName,
      exclusive,
      recalled,
    })),
    lockDecider: lockDecider === '' ? null : lockDecider,
  };
}
