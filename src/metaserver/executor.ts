/**
 * Executes requests: decode, run the core on a transaction, grant leases, encode, submit, all in
 * one synchronous stretch once nobody's lease is in the way. The answer waits for the disk. Only
 * readdir reads asynchronously, from a snapshot taken when it came.
 */
import type * as wire from '../../gen/meta.ts';
import { AssertionError } from '../common/assert.ts';
import type { Attr } from '../common/attr.ts';
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import type { GroupId, Ino, SessionId } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { nameFromBytes } from '../common/name.ts';
import type { AdminOp } from './admin.ts';
import type { CommitPath, View } from './commit.ts';
import { closeUnlinked } from './core/close-unlinked.ts';
import { flushAttr } from './core/flush-attr.ts';
import { FormerPlaces } from './core/former-places.ts';
import { type Unpublished, withUnpublished } from './core/glimpses.ts';
import type { OpContext } from './core/inodes.ts';
import { decodeU64, slotsAfter } from './core/keyspace.ts';
import type { Claim } from './core/leases.ts';
import { link } from './core/link.ts';
import { getattr, lookup, readlink } from './core/lookup.ts';
import { make } from './core/make.ts';
import { buildPage, type SeqSlot, startPage } from './core/readdir.ts';
import { finishReclaim } from './core/reclaim.ts';
import { remove } from './core/remove.ts';
import { rename } from './core/rename.ts';
import { setattr } from './core/setattr.ts';
import { Txn } from './core/txn.ts';
import type { LeaseDesk } from './lease-desk.ts';
import {
  claimsOf,
  releasesOf,
  takeGrants,
  type Wanted,
  wantedByPage,
  wantedOf,
} from './lease-ops.ts';
import type { Ledger } from './ledger.ts';
import { isLockOp, type LockDesk, type LockJob, type LockOp } from './lock-desk.ts';
import type { Session } from './session.ts';
import { storeCodecs } from './store-codec.ts';
import {
  attrResult,
  EMPTY_RESULT,
  encodeError,
  encodeGrants,
  encodeResult,
  flushAttrOf,
  glimpsedOf,
  inoOf,
  inosOf,
  integer,
  linkOf,
  linkResult,
  makeOf,
  makeResult,
  mutationIdOf,
  type Result,
  readdirResult,
  readlinkResult,
  removeOf,
  removeResult,
  renameOf,
  renameResult,
  setAttrOf,
} from './wire.ts';

type Op = NonNullable<wire.Request['op']>;
type LeaseOp = Extract<Op, { $case: 'release' | 'settled' | 'glimpsed' }>;
type ReadOp = Extract<Op, { $case: 'lookup' | 'getattr' | 'lease' | 'readlink' }>;
type ReaddirOp = Extract<Op, { $case: 'readdir' }>;
type ChangeOp = Exclude<Op, ReadOp | AdminOp | ReaddirOp | LeaseOp | LockOp>;

/**
 * An encoded Reply without its id. Not called when the server stops before it may be sent, or
 * another process goes on with the session.
 */
export type Answer = (reply: Uint8Array) => void;

export interface ExecutorOptions {
  readonly commit: CommitPath;
  readonly desk: LeaseDesk;
  readonly locks: LockDesk;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly mayGrow: () => boolean;
  readonly leads: (session: Session) => ReadonlySet<GroupId>;
  /** The session has not ended. What has ended may stand in the table of leases for a while. */
  readonly isLive: (sid: SessionId) => boolean;
  /** Where a file goes that this session creates. @throws FsError EIO */
  readonly placement: (session: Session) => GroupId;
  /** Requests that no namespace is needed for. */
  readonly admin: (session: Session, op: AdminOp) => Result;
  /** A peer's deletions are recorded, durably. */
  readonly onReclaimDone: (session: Session) => void;
  onFatal(error: Error): void;
}

/** An encoded reply, and what it says when it was made just now. */
interface Done {
  readonly reply: Uint8Array;
  readonly result?: Result;
}

/** A page of a directory as it was read at version `dirv`. */
interface ReadPage {
  readonly ino: Ino;
  readonly dirv: number;
  readonly slots: readonly SeqSlot[];
  readonly end: boolean;
  readonly request: wire.ReadDirRequest;
  readonly noGrant: boolean;
}

interface AskedPage {
  readonly page: wire.ReadDirRequest;
  readonly noGrant: boolean;
}

/** Replies stay below 256 KiB with the longest names and attributes. */
const ENTRIES_MAX = 512;
/** A repeat of these is harmless, so they may come without a request id. */
const REPEATABLE: ReadonlySet<string> = new Set(['flushAttr', 'closeUnlinked', 'reclaimDone']);

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #commit: CommitPath;
  readonly #pages: TaskGroup;
  readonly #places = new FormerPlaces();

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#commit = options.commit;
    this.#pages = new TaskGroup((error) => this.#unexpected(error));
  }

  /** @returns whether it waits for a lease of somebody */
  execute(session: Session, request: wire.Request, answer: Answer): boolean {
    const { op } = request;
    if (op?.$case === 'readdir') {
      const view = this.#commit.view();
      const asked = { page: op.value, noGrant: request.noGrant === true };
      this.#pages.run(() => this.#readdir(session, asked, view, answer));
      return false;
    }
    const lock = isLockOp(op) ? lockJob(session, op, answer) : undefined;
    const run = (unpublished?: Unpublished): void => {
      if (lock === undefined) this.#execute(session, request, answer, unpublished);
      else this.#lock(lock);
    };
    if (session.kind !== 'mount') {
      run();
      return false;
    }
    if (lock !== undefined) this.#options.locks.arrived(lock);
    const asks = op?.$case === 'lease';
    return this.#options.desk.submit({
      session,
      id: request.id,
      asks,
      looks: op?.$case === 'lookup' || op?.$case === 'getattr',
      claims: () => this.#claims(session, request),
      run,
    });
  }

  /** Resolves when no page is being read. */
  async settle(): Promise<void> {
    await this.#pages.settle();
  }

  /** What cannot be worked out claims nothing: it fails when it runs. */
  #claims(session: Session, { op, requestId }: wire.Request): readonly Claim[] {
    const view = this.#commit.view();
    try {
      const done = requestId && session.replies.find(view, mutationIdOf(requestId));
      if (session.ended || done !== undefined) return [];
      return claimsOf(new Txn(view, storeCodecs), op);
    } catch (error) {
      if (error instanceof FsError) return [];
      throw error;
    }
  }

  #execute(
    session: Session,
    request: wire.Request,
    answer: Answer,
    unpublished: Unpublished | undefined,
  ): void {
    const view = this.#commit.view();
    let done: Done;
    try {
      done = this.#run(session, request, view, unpublished);
    } catch (error) {
      done = { reply: encodeError(error instanceof FsError ? error : this.#unexpected(error)) };
    }
    const leases = session.kind === 'mount' && !session.ended;
    const wanted = leases ? wantedOf(request, done.result) : [];
    this.#answer(session, view, done.reply, wanted, answer);
  }

  /** Answered now, or when another mount has said what it has locked. Nothing has to be durable. */
  #lock(job: LockJob): void {
    const { done, session } = job;
    if (session.ended) done(new FsError('ESTALE', `session ${session.sid} has ended`));
    else this.#options.locks.submit(job);
  }

  /** Grants what goes with the reply now, and sends both when they are durable. */
  #answer(
    session: Session,
    view: View,
    reply: Uint8Array,
    wanted: readonly Wanted[],
    answer: Answer,
  ): void {
    const { desk } = this.#options;
    const grants = takeGrants(desk.table, session, wanted, new Txn(view, storeCodecs));
    const whole = grants.length === 0 ? reply : Buffer.concat([reply, encodeGrants(grants)]);
    this.#commit.whenDurable(view, (failure) => {
      if (failure === undefined) answer(whole);
      if (grants.length > 0) desk.told(session, grants);
    });
  }

  /** A bug: a failed assertion stops the server, anything else fails this request alone. */
  #unexpected(error: unknown): FsError {
    this.#options.log.error('a request failed unexpectedly', { error });
    if (error instanceof AssertionError) this.#options.onFatal(error);
    return new FsError('EIO', 'the metaserver failed on this request, its log says how');
  }

  #run(
    session: Session,
    { op, requestId }: wire.Request,
    view: View,
    unpublished: Unpublished | undefined,
  ): Done {
    if (op === undefined) throw new FsError('EPROTO', 'a request without a known operation');
    requireLive(session);
    switch (op.$case) {
      case 'lookup':
      case 'getattr':
      case 'lease':
      case 'readlink':
        return whole(this.#read(new Txn(view, storeCodecs), op, unpublished));
      case 'statfs':
      case 'peerReport':
      case 'clusterStatus':
      case 'leave':
      case 'dialBackDone':
      case 'fenced':
      case 'waits':
      case 'inspect':
      case 'fsck':
      case 'backingFiles':
        return whole(this.#options.admin(session, op));
      case 'lock':
      case 'unlock':
      case 'testLock':
      case 'cancelLock':
      case 'listLocks':
      case 'returnLocks':
        throw new FsError('EPROTO', 'locks are decided about elsewhere');
      case 'release':
        this.#options.desk.release(session, releasesOf(op.value));
        return whole(EMPTY_RESULT);
      case 'glimpsed': {
        const { lease, unpublished: written } = glimpsedOf(op.value);
        this.#options.desk.glimpsed({ ...lease, sid: session.sid }, written);
        return whole(EMPTY_RESULT);
      }
      case 'settled':
        this.#options.desk.settled(session, inosOf(op.value.open));
        return whole(EMPTY_RESULT);
      case 'readdir':
        throw new FsError('EPROTO', 'a listing is read elsewhere');
      case 'setattr':
      case 'make':
      case 'remove':
      case 'rename':
      case 'link':
      case 'flushAttr':
      case 'closeUnlinked':
      case 'reclaimDone':
        return this.#change(session, requestId, op, view);
    }
  }

  #read(txn: Txn, op: ReadOp, unpublished: Unpublished | undefined): Result {
    const shown = (attr: Attr): Result =>
      attrResult(unpublished === undefined ? attr : withUnpublished(attr, unpublished));
    switch (op.$case) {
      case 'lookup':
        return shown(lookup(txn, inoOf(op.value.parent), nameFromBytes(op.value.name)));
      case 'getattr':
      case 'lease':
        return shown(getattr(txn, inoOf(op.value.ino)));
      case 'readlink':
        return readlinkResult(readlink(txn, inoOf(op.value.ino)));
    }
  }

  #change(session: Session, requestId: wire.RequestId | undefined, op: ChangeOp, view: View): Done {
    if (requestId === undefined && !REPEATABLE.has(op.$case)) {
      throw new FsError('EINVAL', `${op.$case} came without a request id`);
    }
    const id = requestId === undefined ? undefined : mutationIdOf(requestId);
    const done = id === undefined ? undefined : session.replies.find(view, id);
    if (done !== undefined) return { reply: done };
    const txn = new Txn(view, storeCodecs);
    const result = this.#apply(txn, session, op, view);
    const reply = encodeResult(result);
    if (id !== undefined) session.replies.add(txn, id, reply);
    this.#options.ledger.submit(view, txn);
    if (op.$case === 'reclaimDone') {
      this.#commit.whenDurable(view, () => this.#options.onReclaimDone(session));
    }
    return { reply, result };
  }

  #apply(txn: Txn, session: Session, op: ChangeOp, view: View): Result {
    const { sid } = session;
    const now = this.#options.clock.realtime();
    const context: OpContext = {
      now,
      sid,
      placement: () => this.#options.placement(session),
      mayGrow: this.#options.mayGrow(),
      places: this.#places,
      openElsewhere: (ino) => this.#options.desk.table.openers(ino).filter(this.#options.isLive),
      takeIno: () => this.#options.ledger.takeIno(view),
    };
    switch (op.$case) {
      case 'setattr':
        return attrResult(setattr(txn, setAttrOf(op.value), now));
      case 'make':
        return makeResult(make(txn, makeOf(op.value), context));
      case 'remove':
        return removeResult(remove(txn, removeOf(op.value), context));
      case 'rename':
        return renameResult(rename(txn, renameOf(op.value), context));
      case 'link':
        return linkResult(link(txn, linkOf(op.value), context));
      case 'flushAttr':
        this.#requireRight(session, inoOf(op.value.ino));
        return attrResult(flushAttr(txn, flushAttrOf(op.value)));
      case 'closeUnlinked': {
        const inos = inosOf(op.value.inos);
        this.#options.desk.closed(session, inos);
        for (const ino of inos) closeUnlinked(txn, ino, sid);
        return EMPTY_RESULT;
      }
      case 'reclaimDone':
        finishReclaim(txn, inosOf(op.value.inos), this.#options.leads(session));
        return EMPTY_RESULT;
    }
  }

  /** @throws FsError ENOLCK it lost the right to write what it publishes */
  #requireRight(session: Session, ino: Ino): void {
    if (session.kind === 'mount' && this.#options.desk.table.mayPublish(session.sid, ino)) return;
    throw new FsError('ENOLCK', `session ${session.sid} may not write inode ${ino} any more`);
  }

  async #readdir(
    session: Session,
    { page: request, noGrant }: AskedPage,
    view: View,
    answer: Answer,
  ): Promise<void> {
    try {
      requireLive(session);
      const ino = inoOf(request.ino);
      const cookie = integer(request.cookie, 'a cookie');
      const asked = request.entriesMax === 0 ? ENTRIES_MAX : request.entriesMax;
      const limit = Math.min(asked, ENTRIES_MAX);
      const { dirv } = startPage(new Txn(view, storeCodecs), ino);
      const stored = await this.#commit.scan(view, { ...slotsAfter(ino, cookie), limit });
      const slots = stored.map(([key, value]) => ({
        seq: decodeU64(key, 9),
        slot: storeCodecs.slot.decode(value),
      }));
      this.#sendPage(
        session,
        { ino, dirv, slots, end: stored.length < limit, request, noGrant },
        answer,
      );
    } catch (error) {
      const failure = error instanceof FsError ? error : this.#unexpected(error);
      this.#answer(session, view, encodeError(failure), [], answer);
    }
  }

  /** All at one instant: the attributes as they are now, and leases if the names still are. */
  #sendPage(session: Session, page: ReadPage, answer: Answer): void {
    const { ino, dirv, slots, end, noGrant, request } = page;
    const { desk } = this.#options;
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    const isWritten = (entry: Ino): boolean => desk.table.isWrittenElsewhere(session.sid, entry);
    const entries = buildPage(txn, slots, request.withAttrs, isWritten);
    const dir = txn.inode(ino);
    const same = dir?.dirv === dirv && dir.nlink > 0;
    const result = readdirResult({ entries, end, dirv, parent: dir?.parent ?? ino });
    const shown = entries.filter(({ attr }) => attr !== undefined);
    const leases = same && !noGrant && session.kind === 'mount' && !session.ended;
    const wanted = leases
      ? wantedByPage(
          ino,
          shown.map((entry) => entry.ino),
        )
      : [];
    this.#answer(session, view, encodeResult(result), wanted, answer);
  }
}

function lockJob(session: Session, op: LockOp, answer: Answer): LockJob {
  const done = (outcome: Result | FsError): void => {
    answer(outcome instanceof FsError ? encodeError(outcome) : encodeResult(outcome));
  };
  return { session, op, done };
}

function whole(result: Result): Done {
  return { reply: encodeResult(result), result };
}

function requireLive(session: Session): void {
  if (session.ended) throw new FsError('ESTALE', `session ${session.sid} has ended`);
}
