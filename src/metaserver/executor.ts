/**
 * Executes requests: decode, run the core on a transaction, encode, submit, all in one
 * synchronous stretch, so that the requests of a stream take effect in the order they came. The
 * answer waits for the disk. Only readdir reads asynchronously, from a snapshot taken in order.
 */
import type * as wire from '../../gen/meta.ts';
import { AssertionError } from '../common/assert.ts';
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import type { GroupId } from '../common/ids.ts';
import { TaskGroup } from '../common/lifecycle.ts';
import type { Logger } from '../common/log.ts';
import { nameFromBytes } from '../common/name.ts';
import type { AdminOp } from './admin.ts';
import type { CommitPath, View } from './commit.ts';
import { closeUnlinked } from './core/close-unlinked.ts';
import { flushAttr } from './core/flush-attr.ts';
import type { OpContext } from './core/inodes.ts';
import { decodeU64, slotsAfter } from './core/keyspace.ts';
import { link } from './core/link.ts';
import { getattr, lookup, readlink } from './core/lookup.ts';
import { make } from './core/make.ts';
import { buildPage, startPage } from './core/readdir.ts';
import { finishReclaim } from './core/reclaim.ts';
import { remove } from './core/remove.ts';
import { rename } from './core/rename.ts';
import { setattr } from './core/setattr.ts';
import { Txn } from './core/txn.ts';
import type { Ledger } from './ledger.ts';
import type { Session } from './session.ts';
import { storeCodecs } from './store-codec.ts';
import {
  attrResult,
  EMPTY_RESULT,
  encodeError,
  encodeResult,
  flushAttrOf,
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
type ReadOp = Extract<Op, { $case: 'lookup' | 'getattr' | 'readlink' }>;
type ReaddirOp = Extract<Op, { $case: 'readdir' }>;
type ChangeOp = Exclude<Op, ReadOp | AdminOp | ReaddirOp>;

/** An encoded Reply without its id. Not called when the server stops before it may be sent. */
export type Answer = (reply: Uint8Array) => void;

export interface ExecutorOptions {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly mayGrow: () => boolean;
  readonly leads: (session: Session) => ReadonlySet<GroupId>;
  /** Where a file goes that this session creates. @throws FsError EIO */
  readonly placement: (session: Session) => GroupId;
  /** Requests that no namespace is needed for. */
  readonly admin: (session: Session, op: AdminOp) => Result;
  /** A peer's deletions are recorded, durably. */
  readonly onReclaimDone: (session: Session) => void;
  onFatal(error: Error): void;
}

/** Replies stay below 256 KiB with the longest names and attributes. */
const ENTRIES_MAX = 512;
/** A repeat of these is harmless, so they may come without a request id. */
const REPEATABLE: ReadonlySet<string> = new Set(['flushAttr', 'closeUnlinked', 'reclaimDone']);

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #commit: CommitPath;
  readonly #pages: TaskGroup;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#commit = options.commit;
    this.#pages = new TaskGroup((error) => this.#unexpected(error));
  }

  execute(session: Session, request: wire.Request, answer: Answer): void {
    const view = this.#commit.view();
    const { op } = request;
    if (op?.$case === 'readdir') {
      this.#pages.run(() => this.#readdir(session, op.value, view, answer));
      return;
    }
    this.#answer(view, answer, () => this.#run(session, op, request.requestId, view));
  }

  /** Resolves when no page is being read. */
  async settle(): Promise<void> {
    await this.#pages.settle();
  }

  #answer(view: View, answer: Answer, run: () => Uint8Array): void {
    let reply: Uint8Array;
    try {
      reply = run();
    } catch (error) {
      reply = encodeError(error instanceof FsError ? error : this.#unexpected(error));
    }
    this.#commit.whenDurable(view, (failure) => {
      if (failure === undefined) answer(reply);
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
    op: Exclude<Op, ReaddirOp> | undefined,
    requestId: wire.RequestId | undefined,
    view: View,
  ): Uint8Array {
    if (op === undefined) throw new FsError('EPROTO', 'a request without a known operation');
    requireLive(session);
    switch (op.$case) {
      case 'lookup':
      case 'getattr':
      case 'readlink':
        return encodeResult(this.#read(new Txn(view, storeCodecs), op));
      case 'statfs':
      case 'peerReport':
      case 'clusterStatus':
      case 'shared':
      case 'leave':
      case 'dialBackDone':
        return encodeResult(this.#options.admin(session, op));
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

  #read(txn: Txn, op: ReadOp): Result {
    switch (op.$case) {
      case 'lookup':
        return attrResult(lookup(txn, inoOf(op.value.parent), nameFromBytes(op.value.name)));
      case 'getattr':
        return attrResult(getattr(txn, inoOf(op.value.ino)));
      case 'readlink':
        return readlinkResult(readlink(txn, inoOf(op.value.ino)));
    }
  }

  #change(
    session: Session,
    requestId: wire.RequestId | undefined,
    op: ChangeOp,
    view: View,
  ): Uint8Array {
    if (requestId === undefined && !REPEATABLE.has(op.$case)) {
      throw new FsError('EINVAL', `${op.$case} came without a request id`);
    }
    const id = requestId === undefined ? undefined : mutationIdOf(requestId);
    const done = id === undefined ? undefined : session.replies.find(view, id);
    if (done !== undefined) return done;
    const txn = new Txn(view, storeCodecs);
    const reply = encodeResult(this.#apply(txn, session, op, view));
    if (id !== undefined) session.replies.add(txn, id, reply);
    this.#options.ledger.submit(view, txn);
    if (op.$case === 'reclaimDone') {
      this.#commit.whenDurable(view, () => this.#options.onReclaimDone(session));
    }
    return reply;
  }

  #apply(txn: Txn, session: Session, op: ChangeOp, view: View): Result {
    const { sid } = session;
    const now = this.#options.clock.realtime();
    const context: OpContext = {
      now,
      sid,
      placement: () => this.#options.placement(session),
      mayGrow: this.#options.mayGrow(),
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
        return attrResult(flushAttr(txn, flushAttrOf(op.value), now));
      case 'closeUnlinked':
        for (const ino of inosOf(op.value.inos)) closeUnlinked(txn, ino, sid);
        return EMPTY_RESULT;
      case 'reclaimDone':
        finishReclaim(txn, inosOf(op.value.inos), this.#options.leads(session));
        return EMPTY_RESULT;
    }
  }

  async #readdir(
    session: Session,
    request: wire.ReadDirRequest,
    view: View,
    answer: Answer,
  ): Promise<void> {
    let result: Result;
    try {
      requireLive(session);
      const ino = inoOf(request.ino);
      const cookie = integer(request.cookie, 'a cookie');
      const asked = request.entriesMax === 0 ? ENTRIES_MAX : request.entriesMax;
      const limit = Math.min(asked, ENTRIES_MAX);
      const { dirv, parent } = startPage(new Txn(view, storeCodecs), ino);
      const stored = await this.#commit.scan(view, { ...slotsAfter(ino, cookie), limit });
      const slots = stored.map(([key, value]) => ({
        seq: decodeU64(key, 9),
        slot: storeCodecs.slot.decode(value),
      }));
      const entries = buildPage(new Txn(view, storeCodecs), slots, request.withAttrs);
      result = readdirResult({ entries, end: stored.length < limit, dirv, parent });
    } catch (error) {
      const failure = error instanceof FsError ? error : this.#unexpected(error);
      this.#answer(view, answer, () => encodeError(failure));
      return;
    }
    this.#answer(view, answer, () => encodeResult(result));
  }
}

function requireLive(session: Session): void {
  if (session.ended) throw new FsError('ESTALE', `session ${session.sid} has ended`);
}
