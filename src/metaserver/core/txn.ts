/**
 * One transaction: point reads through a synchronous reader, writes gathered on the side and seen
 * by its own reads. Nothing of it exists until the caller takes `finish()` to the commit path, so
 * an FsError thrown in between discards it whole.
 */
import type { GroupId, Ino, NodeId, SessionId } from '../../common/ids.ts';
import {
  dentryKey,
  groupKey,
  inodeKey,
  openerKey,
  peerKey,
  reclaimKey,
  sessionKey,
  slotKey,
  symlinkKey,
} from './keyspace.ts';
import type { Codec, Codecs, Entry, Group, Inode, PeerState, SessionState } from './records.ts';

export interface Reader {
  get(key: string): Uint8Array | undefined;
}

/** undefined deletes the key. */
export type Writes = ReadonlyMap<string, Uint8Array | undefined>;

const EMPTY = new Uint8Array(0);

export class Txn {
  readonly codecs: Codecs;
  readonly #reader: Reader;
  readonly #writes = new Map<string, Uint8Array | undefined>();
  /** Inodes wait here decoded: several steps of one operation may change the same. */
  readonly #inodes = new Map<Ino, Inode | undefined>();
  #inodesDelta = 0;
  #reclaimDelta = 0;

  constructor(reader: Reader, codecs: Codecs) {
    this.#reader = reader;
    this.codecs = codecs;
  }

  /** How many inodes, and inodes awaiting reclaim, there are more afterwards. */
  get inodesDelta(): number {
    return this.#inodesDelta;
  }

  get reclaimDelta(): number {
    return this.#reclaimDelta;
  }

  finish(): Writes {
    for (const [ino, inode] of this.#inodes) {
      const value = inode === undefined ? undefined : this.codecs.inode.encode(inode);
      this.#writes.set(inodeKey(ino), value);
    }
    this.#inodes.clear();
    return this.#writes;
  }

  get(key: string): Uint8Array | undefined {
    return this.#writes.has(key) ? this.#writes.get(key) : this.#reader.get(key);
  }

  put(key: string, value: Uint8Array): void {
    this.#writes.set(key, value);
  }

  delete(key: string): void {
    this.#writes.set(key, undefined);
  }

  inode(ino: Ino): Inode | undefined {
    if (this.#inodes.has(ino)) return this.#inodes.get(ino);
    return this.#read(this.codecs.inode, inodeKey(ino));
  }

  putInode(ino: Ino, inode: Inode): void {
    this.#inodes.set(ino, inode);
  }

  addInode(ino: Ino, inode: Inode): void {
    this.#inodes.set(ino, inode);
    this.#inodesDelta += 1;
  }

  deleteInode(ino: Ino): void {
    this.#inodes.set(ino, undefined);
    this.#inodesDelta -= 1;
  }

  entry(dir: Ino, name: string): Entry | undefined {
    return this.#read(this.codecs.entry, dentryKey(dir, name));
  }

  /** Writes both directions: by name, and by seq for readdir. */
  putEntry(dir: Ino, name: string, entry: Entry): void {
    this.put(dentryKey(dir, name), this.codecs.entry.encode(entry));
    const slot = { name, ino: entry.ino, type: entry.type };
    this.put(slotKey(dir, entry.seq), this.codecs.slot.encode(slot));
  }

  deleteEntry(dir: Ino, name: string, seq: number): void {
    this.delete(dentryKey(dir, name));
    this.delete(slotKey(dir, seq));
  }

  hasSlot(dir: Ino, seq: number): boolean {
    return this.get(slotKey(dir, seq)) !== undefined;
  }

  symlink(ino: Ino): string | undefined {
    return this.#read(this.codecs.text, symlinkKey(ino));
  }

  putSymlink(ino: Ino, target: string): void {
    this.put(symlinkKey(ino), this.codecs.text.encode(target));
  }

  deleteSymlink(ino: Ino): void {
    this.delete(symlinkKey(ino));
  }

  hasOpener(ino: Ino, sid: SessionId): boolean {
    return this.get(openerKey(ino, sid)) !== undefined;
  }

  putOpener(ino: Ino, sid: SessionId): void {
    this.put(openerKey(ino, sid), EMPTY);
  }

  deleteOpener(ino: Ino, sid: SessionId): void {
    this.delete(openerKey(ino, sid));
  }

  reclaim(ino: Ino): GroupId | undefined {
    return this.#read(this.codecs.reclaim, reclaimKey(ino));
  }

  addReclaim(ino: Ino, rg: GroupId): void {
    this.put(reclaimKey(ino), this.codecs.reclaim.encode(rg));
    this.#reclaimDelta += 1;
  }

  deleteReclaim(ino: Ino): void {
    this.delete(reclaimKey(ino));
    this.#reclaimDelta -= 1;
  }

  session(sid: SessionId): SessionState | undefined {
    return this.#read(this.codecs.session, sessionKey(sid));
  }

  putSession(sid: SessionId, session: SessionState): void {
    this.put(sessionKey(sid), this.codecs.session.encode(session));
  }

  deleteSession(sid: SessionId): void {
    this.delete(sessionKey(sid));
  }

  group(rg: GroupId): Group | undefined {
    return this.#read(this.codecs.group, groupKey(rg));
  }

  putGroup(rg: GroupId, group: Group): void {
    this.put(groupKey(rg), this.codecs.group.encode(group));
  }

  peer(nodeId: NodeId): PeerState | undefined {
    return this.#read(this.codecs.peer, peerKey(nodeId));
  }

  putPeer(nodeId: NodeId, peer: PeerState): void {
    this.put(peerKey(nodeId), this.codecs.peer.encode(peer));
  }

  #read<T>(codec: Codec<T>, key: string): T | undefined {
    const bytes = this.get(key);
    return bytes === undefined ? undefined : codec.decode(bytes);
  }
}
