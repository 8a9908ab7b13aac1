/**
 * Registered sessions. A session belongs to one process life of a node (its instance): the same
 * instance comes back to it after a lost stream; a mount that follows it goes on with it in the
 * next epoch; any other instance of the same node and kind ends it. Either is durable, with the
 * fall of all it kept alive, before the new instance is welcomed. Openings run one after the other.
 */
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import {
  asEpoch,
  asIno,
  asSessionId,
  type Epoch,
  type NodeId,
  type SessionId,
} from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { CommitPath } from './commit.ts';
import { closeUnlinked } from './core/close-unlinked.ts';
import { decodeU64, family, NEXT_SID_KEY, repliesOf } from './core/keyspace.ts';
import type { SessionKind } from './core/records.ts';
import { endSession, forgetSession, handOverSession, registerSession } from './core/sessions.ts';
import { Txn } from './core/txn.ts';
import type { EndedMount } from './evictions.ts';
import type { Ledger } from './ledger.ts';
import { entriesOf, pagesOf } from './pages.ts';
import { ReplyCache } from './reply-cache.ts';
import type { PeerIntroduction, Roster } from './roster.ts';
import type { Session } from './session.ts';
import { storeCodecs } from './store-codec.ts';

export interface SessionIdentity extends PeerIntroduction {
  readonly kind: SessionKind;
  readonly instance: bigint;
  /** Instances whose session it goes on with (rule C16 of docs/PROTOCOL.md); mounts only. */
  readonly follows?: readonly bigint[];
}

/** Refusals, as the node reads them: end for good, or come back to a new session. */
const SESSION_ENDED = 'session-ended';
const EVICTED = 'evicted';
const TAKEN_OVER = 'a newer process of this node has taken over';

interface Ending {
  readonly code: string;
  readonly message: string;
  readonly isSilent: boolean;
}

const EVICTION: Ending = {
  code: EVICTED,
  message: 'this mount did not answer in time: it starts anew',
  isSilent: true,
};

const SUCCESSION: Ending = { code: SESSION_ENDED, message: TAKEN_OVER, isSilent: false };

type LiveState = Pick<Session, 'sepoch' | 'nodeId' | 'kind' | 'instance' | 'follows'>;

export interface OpenedSession {
  readonly session: Session;
  readonly resumed: boolean;
}

/** It is over for good, durably. */
export interface EndedSession {
  readonly session: Session;
  /** The epoch after its own. */
  readonly sepoch: Epoch;
  /** Its process has not said so, and no other one has taken its place. */
  readonly isSilent: boolean;
}

export interface SessionTableOptions {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SessionTable {
  /** Called once for each session that ends in this life of the server. */
  onEnd: (ended: EndedSession) => void = () => undefined;
  /** Nothing of this one happens any more; another process is about to go on with the session. */
  onHandOver: (before: Session) => void = () => undefined;
  /** Mounts that ended in an earlier life of the server, and whose leases may not have fallen. */
  readonly ended: EndedMount[] = [];
  readonly #commit: CommitPath;
  readonly #ledger: Ledger;
  readonly #roster: Roster;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sessions = new Map<string, Session>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: SessionTableOptions) {
    this.#commit = options.commit;
    this.#ledger = options.ledger;
    this.#roster = options.roster;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Reads the sessions, and finishes what an earlier life was ending. */
  static async load(options: SessionTableOptions): Promise<SessionTable> {
    const table = new SessionTable(options);
    for await (const [key, value] of entriesOf(options.commit, family('n'))) {
      await table.#learn(key, value);
    }
    return table;
  }

  get count(): number {
    return this.#sessions.size;
  }

  mounts(): Session[] {
    return [...this.#sessions.values()].filter(({ kind }) => kind === 'mount');
  }

  /** The peer session of a node. */
  peer(nodeId: NodeId): Session | undefined {
    return this.#sessions.get(`${nodeId} peer`);
  }

  find(sid: number): Session | undefined {
    return [...this.#sessions.values()].find((session) => session.sid === sid);
  }

  /**
   * Resolves when the session is durable.
   * @throws FsError ESTALE a process that followed this one is here already · EIO
   */
  open(identity: SessionIdentity): Promise<OpenedSession> {
    const opened = this.#turn.then(() => this.#open(identity));
    this.#turn = opened.catch(() => undefined);
    return opened;
  }

  /** Looks when no session is being opened or ended, so that what is stored is whole. */
  between<T>(look: () => T): Promise<T> {
    const looked = this.#turn.then(look);
    this.#turn = looked.catch(() => undefined);
    return looked;
  }

  /** Its process ends in good order. Resolves when nothing of the session is left. */
  leave(session: Session): Promise<void> {
    const why = { code: SESSION_ENDED, message: 'this session has ended', isSilent: false };
    return this.#remove(session, why);
  }

  /** Others wait for it in vain. Its process may come back, to a new session. */
  evict(session: Session): Promise<void> {
    // Nothing it still says counts from now on, nor is it told that it lives.
    session.ended = true;
    return this.#remove(session, EVICTION);
  }

  #remove(session: Session, why: Ending): Promise<void> {
    const removed = this.#turn.then(async () => {
      const place = `${session.nodeId} ${session.kind}`;
      if (this.#sessions.get(place) !== session) return;
      this.#sessions.delete(place);
      await this.#endLive(session, why);
    });
    this.#turn = removed.catch(() => undefined);
    return removed;
  }

  async #open(identity: SessionIdentity): Promise<OpenedSession> {
    const { nodeId, kind, instance, follows = [] } = identity;
    const place = `${nodeId} ${kind}`;
    const known = this.#sessions.get(place);
    if (known?.instance === instance && !known.ended) {
      if (kind === 'peer') await this.#roster.reenrol(identity);
      return { session: known, resumed: true };
    }
    if (known?.follows.includes(instance)) throw new FsError('ESTALE', TAKEN_OVER);
    if (known !== undefined) {
      this.#sessions.delete(place);
      // An evicted one waits for its turn to be removed.
      if (kind === 'mount' && follows.includes(known.instance) && !known.ended) {
        const session = await this.#handOver(known, { instance, follows });
        this.#sessions.set(place, session);
        return { session, resumed: true };
      }
      await this.#endLive(known, known.instance === instance ? EVICTION : SUCCESSION);
    }
    const session = await this.#register(identity);
    this.#sessions.set(place, session);
    this.#log.info('a session begins', { sid: session.sid, node: nodeId, kind });
    return { session, resumed: false };
  }

  /**
   * What the process before kept falls first: if the server stops meanwhile, its session is found
   * as it was, and handed over anew.
   */
  async #handOver(before: Session, next: Pick<Session, 'instance' | 'follows'>): Promise<Session> {
    const { kind, nodeId, sid } = before;
    stop(before, SESSION_ENDED, TAKEN_OVER);
    this.onHandOver(before);
    await this.#dropKept(sid);
    const sepoch = await this.#change((txn) => handOverSession(txn, sid, next.instance));
    this.#log.info('another process goes on with a session', { sid, sepoch, node: nodeId });
    return this.#made({ sepoch, nodeId, kind, ...next }, new ReplyCache(sid, storeCodecs), sid);
  }

  async #register(identity: SessionIdentity): Promise<Session> {
    const { nodeId, kind, instance, follows = [] } = identity;
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    const next = txn.get(NEXT_SID_KEY);
    const sid = asSessionId(next === undefined ? 1 : storeCodecs.counter.decode(next));
    txn.put(NEXT_SID_KEY, storeCodecs.counter.encode(sid + 1));
    const { sepoch } = registerSession(txn, sid, { nodeId, kind, instance });
    const show = kind === 'peer' ? this.#roster.enrol(txn, identity, true) : undefined;
    this.#ledger.submit(view, txn);
    await this.#commit.durable(view);
    show?.();
    const state = { sepoch, nodeId, kind, instance, follows };
    return this.#made(state, new ReplyCache(sid, storeCodecs), sid);
  }

  #made(state: LiveState, replies: ReplyCache, sid: SessionId): Session {
    const heardMs = this.#clock.bootMs();
    return { sid, ...state, replies, sink: undefined, ended: false, heardMs };
  }

  async #endLive(session: Session, { code, message, isSilent }: Ending): Promise<void> {
    stop(session, code, message);
    await this.#end(session.sid);
    const { kind, sid } = session;
    if (kind === 'mount') this.onEnd({ session, sepoch: asEpoch(session.sepoch + 1), isSilent });
    else await this.forget(sid);
  }

  /** Nothing it held or wrote matters any more. */
  async forget(sid: SessionId): Promise<void> {
    await this.#change((txn) => forgetSession(txn, sid));
    this.#log.info('a session ended', { sid });
  }

  /**
   * Ends the session, then drops what it kept. The record stays until its leases have fallen, so a
   * later life of the server finds out.
   */
  async #end(sid: SessionId): Promise<void> {
    await this.#change((txn) => endSession(txn, sid));
    await this.#dropKept(sid);
  }

  /** Its openers, with what only they kept, and its replies. */
  async #dropKept(sid: SessionId): Promise<void> {
    for await (const page of pagesOf(this.#commit, family('o'))) {
      const inos = page
        .filter(([key]) => decodeU64(key, 9) === sid)
        .map(([key]) => asIno(decodeU64(key, 1)));
      await this.#change((txn) => {
        for (const ino of inos) closeUnlinked(txn, ino, sid);
      });
    }
    for await (const page of pagesOf(this.#commit, repliesOf(sid))) {
      await this.#change((txn) => {
        for (const [key] of page) txn.delete(key);
      });
    }
  }

  async #learn(key: string, value: Uint8Array): Promise<void> {
    const sid = asSessionId(decodeU64(key, 1));
    const { sepoch, nodeId, kind, instance } = storeCodecs.session.decode(value);
    if (instance === undefined) {
      await this.#end(sid);
      if (kind === 'mount') this.ended.push({ sid, sepoch, nodeId });
      else await this.forget(sid);
      return;
    }
    const replies = await ReplyCache.load(sid, this.#commit, storeCodecs);
    const session = this.#made({ sepoch, nodeId, kind, instance, follows: [] }, replies, sid);
    this.#sessions.set(`${nodeId} ${kind}`, session);
  }

  async #change<T>(change: (txn: Txn) => T): Promise<T> {
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    const result = change(txn);
    this.#ledger.submit(view, txn);
    await this.#commit.durable(view);
    return result;
  }
}

/** Nothing of it happens any more. */
function stop(session: Session, code: string, message: string): void {
  session.ended = true;
  session.sink?.close(code, message);
}
