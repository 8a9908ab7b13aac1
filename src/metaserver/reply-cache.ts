/**
 * Exactly once: the reply of a mutation is stored in its own transaction under (sid, connection,
 * unique), so that a repeat is answered from there, also by the next life of the server. Replies
 * the client has acknowledged are deleted a few hundred at a time, together with a watermark:
 * what comes again from below it is refused, since nobody knows any more how it was answered.
 *
 * In memory lie only the numbers of what is stored.
 */
import { FsError } from '../common/errno.ts';
import type { SessionId } from '../common/ids.ts';
import type { CommitPath, View } from './commit.ts';
import { decodeU64, decodeU64Big, repliesOf, replyKey } from './core/keyspace.ts';
import type { Codecs } from './core/records.ts';
import type { Txn } from './core/txn.ts';

export interface MutationId {
  readonly connection: bigint;
  /** 1 or more. */
  readonly unique: number;
  /** All of this connection up to here have been answered to their askers. */
  readonly acked: number;
}

interface Connection {
  readonly uniques: Set<number>;
  /** Nothing at or below it is stored any more. */
  watermark: number;
  addedSinceTrim: number;
}

const TRIM_EVERY = 128;
const REPLIES_MAX = 65_536;
const CONNECTIONS_MAX = 256;
const WATERMARK_UNIQUE = 0;
const PAGE = 1000;

export class ReplyCache {
  readonly #sid: SessionId;
  readonly #codecs: Codecs;
  readonly #connections = new Map<bigint, Connection>();
  #count = 0;

  constructor(sid: SessionId, codecs: Codecs) {
    this.#sid = sid;
    this.#codecs = codecs;
  }

  /** Learns what an earlier life of the server stored for this session. */
  static async load(sid: SessionId, commit: CommitPath, codecs: Codecs): Promise<ReplyCache> {
    const cache = new ReplyCache(sid, codecs);
    const range = repliesOf(sid);
    for (let gte = range.gte; ; ) {
      const page = await commit.scan(commit.view(), { gte, lt: range.lt, limit: PAGE });
      for (const [key, value] of page) cache.#learn(key, value);
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) return cache;
      gte = `${last[0]}\0`;
    }
  }

  /**
   * The encoded reply when this mutation was executed before.
   * @throws FsError EIO when it was, but its reply is gone; EAGAIN when too many are unacknowledged
   */
  find(view: View, id: MutationId): Uint8Array | undefined {
    const stored = view.get(replyKey(this.#sid, id.connection, id.unique));
    if (stored !== undefined) return this.#codecs.reply.decode(stored);
    const connection = this.#connections.get(id.connection);
    if (connection !== undefined && id.unique <= connection.watermark) {
      throw new FsError('EIO', `request ${id.unique} was acknowledged and cannot be repeated`);
    }
    const full = connection === undefined && this.#connections.size >= CONNECTIONS_MAX;
    if (full || this.#count >= REPLIES_MAX) {
      throw new FsError('EAGAIN', 'too many replies of this session are not acknowledged');
    }
    return undefined;
  }

  /** Stores the reply in the transaction of its mutation. */
  add(txn: Txn, id: MutationId, reply: Uint8Array): void {
    const connection = this.#connection(id.connection);
    txn.put(replyKey(this.#sid, id.connection, id.unique), this.#codecs.reply.encode(reply));
    connection.uniques.add(id.unique);
    connection.addedSinceTrim += 1;
    this.#count += 1;
    const acked = Math.min(id.acked, id.unique - 1);
    if (acked > connection.watermark && connection.addedSinceTrim >= TRIM_EVERY) {
      this.#trim(txn, id.connection, acked);
    }
  }

  #trim(txn: Txn, connectionId: bigint, acked: number): void {
    const connection = this.#connection(connectionId);
    for (const unique of connection.uniques) {
      if (unique > acked) continue;
      txn.delete(replyKey(this.#sid, connectionId, unique));
      connection.uniques.delete(unique);
      this.#count -= 1;
    }
    connection.watermark = acked;
    connection.addedSinceTrim = 0;
    const watermarkKey = replyKey(this.#sid, connectionId, WATERMARK_UNIQUE);
    txn.put(watermarkKey, this.#codecs.counter.encode(acked));
  }

  #learn(key: string, value: Uint8Array): void {
    const connection = this.#connection(decodeU64Big(key, 9));
    const unique = decodeU64(key, 17);
    if (unique === WATERMARK_UNIQUE) {
      connection.watermark = this.#codecs.counter.decode(value);
      return;
    }
    connection.uniques.add(unique);
    this.#count += 1;
  }

  #connection(id: bigint): Connection {
    const known = this.#connections.get(id);
    if (known !== undefined) return known;
    const connection = { uniques: new Set<number>(), watermark: 0, addedSinceTrim: 0 };
    this.#connections.set(id, connection);
    return connection;
  }
}
