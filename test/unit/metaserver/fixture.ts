/** A namespace in memory for tests of the core: one map of records, operations run directly. */
import assert from 'node:assert/strict';
import { type Attr, S_IFDIR, S_IFLNK, S_IFREG, type Timespec } from '../../../src/common/attr.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { FsError } from '../../../src/common/errno.ts';
import {
  asClusterId,
  asEpoch,
  asGroupId,
  asIno,
  asNodeId,
  asSessionId,
  type Epoch,
  type Ino,
  ROOT_INO,
  type SessionId,
} from '../../../src/common/ids.ts';
import { foundingWrites } from '../../../src/metaserver/cluster.ts';
import { FormerPlaces } from '../../../src/metaserver/core/former-places.ts';
import type { OpContext } from '../../../src/metaserver/core/inodes.ts';
import { decodeU64, reclaimKey, slotsAfter } from '../../../src/metaserver/core/keyspace.ts';
import { type MakeRequest, make } from '../../../src/metaserver/core/make.ts';
import type { SeqSlot } from '../../../src/metaserver/core/readdir.ts';
import type { Inode } from '../../../src/metaserver/core/records.ts';
import { remove } from '../../../src/metaserver/core/remove.ts';
import {
  type RenameRequest,
  type RenameResult,
  rename,
} from '../../../src/metaserver/core/rename.ts';
import { Txn } from '../../../src/metaserver/core/txn.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import { applyWrites, type Records } from '../../sim/held-kv.ts';

export const NODE = asNodeId('aa'.repeat(16));
export const CLUSTER = asClusterId('cc'.repeat(16));

export class Fixture {
  readonly records: Records = new Map();
  readonly clock = new ManualClock();
  sid = asSessionId(1);
  mayGrow = true;
  /** Other sessions that have every file open. */
  openers: SessionId[] = [];
  places = new FormerPlaces();
  #nextIno = 1024;

  constructor() {
    const rootOwner = { uid: 1000, gid: 1000 };
    const founding = { clusterId: CLUSTER, clusterName: 'test', nodeId: NODE, rootOwner };
    applyWrites(this.records, foundingWrites({ ...founding, clock: this.clock }));
  }

  get now(): Timespec {
    return this.clock.realtime();
  }

  /** How a writer publishes to a file that was never cut. */
  get writer(): { readonly cuts: number; readonly rgEpoch: Epoch } {
    return { cuts: 0, rgEpoch: asEpoch(1) };
  }

  get context(): OpContext {
    const { now, sid, mayGrow, places } = this;
    const takeIno = (): Ino => asIno(this.#nextIno++);
    const openElsewhere = (): SessionId[] => this.openers;
    return { now, sid, placement: () => asGroupId(1), mayGrow, places, takeIno, openElsewhere };
  }

  /** Runs one transaction; what it wrote is kept unless it throws. */
  run<T>(operation: (txn: Txn, context: OpContext) => T): T {
    const txn = new Txn({ get: (key) => this.records.get(key) }, storeCodecs);
    const result = operation(txn, this.context);
    applyWrites(this.records, txn.finish());
    return result;
  }

  /** Asserts the errno, and that nothing was written. */
  fails(code: string, operation: (txn: Txn, context: OpContext) => unknown): void {
    const before = new Map(this.records);
    assert.throws(
      () => this.run(operation),
      (error) => {
        assert.ok(error instanceof FsError, String(error));
        assert.equal(error.code, code);
        return true;
      },
    );
    assert.deepEqual(this.records, before);
  }

  make(name: string, request: Partial<MakeRequest> = {}): Attr {
    return this.run((txn, context) => make(txn, this.makeRequest(name, request), context)).attr;
  }

  makeRequest(name: string, request: Partial<MakeRequest> = {}): MakeRequest {
    const common = { parent: ROOT_INO, rdev: 0, target: '', uid: 1000, gid: 1000 };
    return { ...common, mode: S_IFREG | 0o644, openExisting: false, name, ...request };
  }

  mkdir(name: string, parent = ROOT_INO): Ino {
    return this.make(name, { mode: S_IFDIR | 0o755, parent }).ino;
  }

  symlink(name: string, target: string): Attr {
    return this.make(name, { mode: S_IFLNK | 0o777, target });
  }

  /** unlink of a file nobody has open, or rmdir. */
  remove(name: string, { parent = ROOT_INO, directory = false } = {}): void {
    this.run((txn, context) => {
      const knownIno = txn.entry(parent, name)?.ino ?? 0;
      const request = { parent, name, directory, knownIno, knownOpen: false };
      return remove(txn, request, context);
    });
  }

  rename(name: string, newName: string, request: Partial<RenameRequest> = {}): RenameResult {
    return this.run((txn, context) => {
      return rename(txn, this.renameRequest(name, newName, request), context);
    });
  }

  renameRequest(
    name: string,
    newName: string,
    request: Partial<RenameRequest> = {},
  ): RenameRequest {
    const newParent = request.newParent ?? ROOT_INO;
    const known = this.read((txn) => txn.entry(newParent, newName)?.ino) ?? 0;
    const common = { parent: ROOT_INO, newParent, flags: 0, knownIno: known, knownOpen: false };
    return { ...common, name, newName, ...request };
  }

  /** A piece of a listing: what stands behind the cookie. */
  list(dir: Ino, cookie: number, count: number): SeqSlot[] {
    const { gte, lt } = slotsAfter(dir, cookie);
    const keys = [...this.records.keys()].filter((key) => key >= gte && key < lt).sort();
    return keys.slice(0, count).map((key) => ({
      seq: decodeU64(key, 9),
      slot: storeCodecs.slot.decode(this.records.get(key) ?? new Uint8Array(0)),
    }));
  }

  read<T>(reader: (txn: Txn) => T): T {
    return reader(new Txn({ get: (key) => this.records.get(key) }, storeCodecs));
  }

  inode(ino: Ino): Inode {
    const inode = this.read((txn) => txn.inode(ino));
    assert.ok(inode, `inode ${ino} is missing`);
    return inode;
  }

  isGone(ino: Ino): boolean {
    return this.read((txn) => txn.inode(ino)) === undefined;
  }

  awaitsReclaim(ino: Ino): boolean {
    return this.records.has(reclaimKey(ino));
  }
}
