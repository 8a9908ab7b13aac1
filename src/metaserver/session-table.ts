/**
 * Registered sessions. A session belongs to one process life of a node (its instance): the same
 * instance comes back to it after a lost stream; another instance of the same node and kind ends
 * it, durably and with all it kept alive, before the new one is welcomed. Openings run one after
 * the other.
 */
import { asGroupId, asIno, asSessionId, type GroupId, type NodeId } from '../common/ids.ts';
import type { Logger } from '../common/log.ts';
import type { CommitPath } from './commit.ts';
import { closeUnlinked } from './core/close-unlinked.ts';
import { bumpEpochs } from './core/groups.ts';
import { decodeU64, family, type KeyRange, NEXT_SID_KEY, repliesOf } from './core/keyspace.ts';
import type { Group, SessionKind } from './core/records.ts';
import { endSession, forgetSession, registerSession } from './core/sessions.ts';
import { Txn } from './core/txn.ts';
import type { KvEntry } from './kv.ts';
import type { Ledger } from './ledger.ts';
import type { Peers } from './peers.ts';
import { ReplyCache } from './reply-cache.ts';
import type { Session } from './session.ts';
import { nodeIdFromBytes, storeCodecs } from './store-codec.ts';

const PAGE = 1000;

export interface SessionIdentity {
  readonly nodeId: NodeId;
  readonly nodeName: string;
  readonly kind: SessionKind;
  readonly instance: bigint;
}

export interface OpenedSession {
  readonly session: Session;
  readonly resumed: boolean;
}

export interface SessionTableOptions {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly peers: Peers;
  readonly log: Logger;
}

export class SessionTable {
  readonly #commit: CommitPath;
  readonly #ledger: Ledger;
  readonly #peers: Peers;
  readonly #log: Logger;
  readonly #sessions = new Map<string, Session>();
  readonly #groups = new Map<GroupId, Group>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: SessionTableOptions) {
    this.#commit = options.commit;
    this.#ledger = options.ledger;
    this.#peers = options.peers;
    this.#log = options.log;
  }

  /** Reads sessions, peers and groups, and finishes what an earlier life was ending. */
  static async load(options: SessionTableOptions): Promise<SessionTable> {
    const table = new SessionTable(options);
    for await (const [key, value] of table.#all(family('p'))) {
      const nodeId = nodeIdFromBytes(Buffer.from(key.slice(1), 'latin1'));
      options.peers.add(nodeId, storeCodecs.peer.decode(value));
    }
    for await (const [key, value] of table.#all(family('g'))) {
      table.#groups.set(asGroupId(decodeU64(key, 1)), storeCodecs.group.decode(value));
    }
    for await (const [key, value] of table.#all(family('n'))) await table.#learn(key, value);
    return table;
  }

  get count(): number {
    return this.#sessions.size;
  }

  values(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  group(rg: GroupId): Group | undefined {
    return this.#groups.get(rg);
  }

  groupsOf(nodeId: NodeId): [GroupId, Group][] {
    return [...this.#groups].filter(([, group]) => group.members.includes(nodeId));
  }

  /**
   * Another node that has the filesystem mounted. One mount at a time is welcomed: it answers from
   * what it has seen, so nobody else may change names and attributes.
   */
  otherMount(identity: SessionIdentity): NodeId | undefined {
    if (identity.kind !== 'mount') return undefined;
    const others = [...this.#sessions.values()];
    return others.find(({ kind, nodeId }) => kind === 'mount' && nodeId !== identity.nodeId)
      ?.nodeId;
  }

  /** Resolves when the session is durable. @throws FsError EIO */
  open(identity: SessionIdentity): Promise<OpenedSession> {
    const opened = this.#turn.then(() => this.#open(identity));
    this.#turn = opened.catch(() => undefined);
    return opened;
  }

  async #open(identity: SessionIdentity): Promise<OpenedSession> {
    const { nodeId, kind, instance } = identity;
    const place = `${nodeId} ${kind}`;
    const known = this.#sessions.get(place);
    if (known?.instance === instance) return { session: known, resumed: true };
    if (known !== undefined) {
      this.#sessions.delete(place);
      await this.#end(known);
    }
    const session = await this.#register(identity);
    this.#sessions.set(place, session);
    this.#log.info('a session begins', { sid: session.sid, node: nodeId, kind });
    return { session, resumed: false };
  }

  async #register({ nodeId, nodeName, kind, instance }: SessionIdentity): Promise<Session> {
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    const next = txn.get(NEXT_SID_KEY);
    const sid = asSessionId(next === undefined ? 1 : storeCodecs.counter.decode(next));
    txn.put(NEXT_SID_KEY, storeCodecs.counter.encode(sid + 1));
    const { sepoch } = registerSession(txn, sid, { nodeId, kind, instance });
    if (kind === 'peer') {
      txn.putPeer(nodeId, nodeName);
      this.#peers.add(nodeId, nodeName);
      for (const [rg, group] of bumpEpochs(txn, this.#groups.keys(), nodeId)) {
        this.#groups.set(rg, group);
      }
    }
    this.#ledger.submit(view, txn);
    await this.#commit.durable(view);
    const replies = new ReplyCache(sid, storeCodecs);
    return { sid, sepoch, nodeId, kind, instance, replies, sink: undefined, ended: false };
  }

  /** Fences the session, then drops what it kept; the record goes last, so a crash resumes here. */
  async #end(session: Pick<Session, 'sid'> & Partial<Session>): Promise<void> {
    const { sid } = session;
    session.ended = true;
    session.sink?.close('session-ended', 'a newer process of this node has taken over');
    await this.#change((txn) => endSession(txn, sid));
    for await (const page of this.#pages(family('o'))) {
      const inos = page
        .filter(([key]) => decodeU64(key, 9) === sid)
        .map(([key]) => asIno(decodeU64(key, 1)));
      await this.#change((txn) => {
        for (const ino of inos) closeUnlinked(txn, ino, sid);
      });
    }
    for await (const page of this.#pages(repliesOf(sid))) {
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
    const session = { sid, sepoch, nodeId, kind, instance, replies, sink: undefined, ended: false };
    this.#sessions.set(`${nodeId} ${kind}`, session);
  }

  async #change(change: (txn: Txn) => void): Promise<void> {
    const view = this.#commit.view();
    const txn = new Txn(view, storeCodecs);
    change(txn);
    this.#ledger.submit(view, txn);
    await this.#commit.durable(view);
  }

  async *#all(range: KeyRange): AsyncGenerator<KvEntry> {
    for await (const page of this.#pages(range)) yield* page;
  }

  async *#pages({ gte, lt }: KeyRange): AsyncGenerator<KvEntry[]> {
    for (let from = gte; ; ) {
      const page = await this.#commit.scan(this.#commit.view(), { gte: from, lt, limit: PAGE });
      yield page;
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) return;
      from = `${last[0]}\0`;
    }
  }
}
