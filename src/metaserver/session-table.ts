/**
 * Registered sessions. A session belongs to one process life of a node (its instance): the same
 * instance comes back to it after a lost stream; another instance of the same node and kind ends
 * it, durably and with all it kept alive, before the new one is welcomed. Openings run one after
 * the other.
 */
import type { Clock } from '../common/clock.ts';
import { asIno, asSessionId, type SessionId } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { CommitPath } from './commit.ts';
import { closeUnlinked } from './core/close-unlinked.ts';
import { decodeU64, family, NEXT_SID_KEY, repliesOf } from './core/keyspace.ts';
import type { SessionKind } from './core/records.ts';
import { endSession, forgetSession, registerSession } from './core/sessions.ts';
import { Txn } from './core/txn.ts';
import type { Ledger } from './ledger.ts';
import { entriesOf, pagesOf } from './pages.ts';
import { ReplyCache } from './reply-cache.ts';
import type { PeerIntroduction, Roster } from './roster.ts';
import type { Session } from './session.ts';
import { storeCodecs } from './store-codec.ts';

export interface SessionIdentity extends PeerIntroduction {
  readonly kind: SessionKind;
  readonly instance: bigint;
}

type LiveState = Pick<Session, 'sepoch' | 'nodeId' | 'kind' | 'instance'>;

export interface OpenedSession {
  readonly session: Session;
  readonly resumed: boolean;
}

export interface SessionTableOptions {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SessionTable {
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

  find(sid: number): Session | undefined {
    return [...this.#sessions.values()].find((session) => session.sid === sid);
  }

  /** Resolves when the session is durable. @throws FsError EIO */
  open(identity: SessionIdentity): Promise<OpenedSession> {
    const opened = this.#turn.then(() => this.#open(identity));
    this.#turn = opened.catch(() => undefined);
    return opened;
  }

  /** Its process ends in good order. Resolves when nothing of the session is left. */
  leave(session: Session): Promise<void> {
    const left = this.#turn.then(async () => {
      const place = `${session.nodeId} ${session.kind}`;
      if (this.#sessions.get(place) !== session) return;
      this.#sessions.delete(place);
      await this.#end(session);
    });
    this.#turn = left.catch(() => undefined);
    return left;
  }

  async #open(identity: SessionIdentity): Promise<OpenedSession> {
    const { nodeId, kind, instance } = identity;
    const place = `${nodeId} ${kind}`;
    const known = this.#sessions.get(place);
    if (known?.instance === instance) {
      if (kind === 'peer') await this.#roster.reenrol(identity);
      return { session: known, resumed: true };
    }
    if (known !== undefined) {
      this.#sessions.delete(place);
      await this.#end(known);
    }
    const session = await this.#register(identity);
    this.#sessions.set(place, session);
    this.#log.info('a session begins', { sid: session.sid, node: nodeId, kind });
    return { session, resumed: false };
  }

  async #register(identity: SessionIdentity): Promise<Session> {
    const { nodeId, kind, instance } = identity;
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
    return this.#made({ sepoch, nodeId, kind, instance }, new ReplyCache(sid, storeCodecs), sid);
  }

  #made(state: LiveState, replies: ReplyCache, sid: SessionId): Session {
    const heardMs = this.#clock.bootMs();
    return { sid, ...state, replies, sink: undefined, ended: false, heardMs };
  }

  /** Fences the session, then drops what it kept; the record goes last, so a crash resumes here. */
  async #end(session: Pick<Session, 'sid'> & Partial<Session>): Promise<void> {
    const { sid } = session;
    session.ended = true;
    session.sink?.close('session-ended', 'a newer process of this node has taken over');
    await this.#change((txn) => endSession(txn, sid));
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
    await this.#change((txn) => forgetSession(txn, sid));
    this.#log.info('a session ended', { sid });
  }

  async #learn(key: string, value: Uint8Array): Promise<void> {
    const sid = asSessionId(decodeU64(key, 1));
    const { sepoch, nodeId, kind, instance } = storeCodecs.session.decode(value);
    if (instance === undefined) {
      await this.#end({ sid });
      return;
    }
    const replies = await ReplyCache.load(sid, this.#commit, storeCodecs);
    const session = this.#made({ sepoch, nodeId, kind, instance }, replies, sid);
    this.#sessions.set(`${nodeId} ${kind}`, session);
  }

  async #change(change: (txn: Txn) => void): Promise<void> {
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    change(txn);
    this.#ledger.submit(view, txn);
    await this.#commit.durable(view);
  }
}
