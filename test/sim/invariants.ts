/** Reads a whole database of the metaserver and checks that its records agree with each other. */
import assert from 'node:assert/strict';
import { isDirectory, isSymlink, S_IFMT } from '../../src/common/attr.ts';
import { asIno, type Ino, ROOT_INO } from '../../src/common/ids.ts';
import {
  decodeU64,
  INODES_KEY,
  NEXT_INO_KEY,
  RECLAIM_COUNT_KEY,
} from '../../src/metaserver/core/keyspace.ts';
import type { DirSlot, Entry, Inode } from '../../src/metaserver/core/records.ts';
import { storeCodecs } from '../../src/metaserver/store-codec.ts';
import type { Records } from './held-kv.ts';

export class Database {
  readonly inodes = new Map<Ino, Inode>();
  readonly entries = new Map<Ino, Map<string, Entry>>();
  readonly slots = new Map<Ino, Map<number, DirSlot>>();
  readonly openers = new Map<Ino, Set<number>>();
  readonly garbage = new Set<Ino>();
  readonly targets = new Map<Ino, string>();
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
    for (const [key, value] of records) this.#learn(key, value);
  }

  /** @throws AssertionError at the first disagreement */
  check(): void {
    assert.equal(this.#counter(INODES_KEY), this.inodes.size, 'the inode counter is wrong');
    assert.equal(
      this.#counter(RECLAIM_COUNT_KEY),
      this.garbage.size,
      'the reclaim counter is wrong',
    );
    const names = this.#checkEntries();
    for (const [ino, inode] of this.inodes) {
      assert.ok(ino < this.#counter(NEXT_INO_KEY), `ino ${ino} lies beyond the block taken`);
      assert.ok(!this.garbage.has(ino), `inode ${ino} is queued for reclaim and alive`);
      assert.equal(this.targets.has(ino), isSymlink(inode.mode), `target of ${ino}`);
      if (isDirectory(inode.mode)) this.#checkDirectory(ino, inode);
      else assert.equal(inode.nlink, names.get(ino) ?? 0, `nlink of ${ino}`);
      const openers = this.openers.get(ino)?.size ?? 0;
      assert.equal(inode.openers, openers, `openers of ${ino}`);
      if (inode.nlink === 0) assert.ok(openers > 0, `inode ${ino} has neither name nor opener`);
      else assert.equal(openers, 0, `inode ${ino} has a name and openers`);
    }
    for (const ino of [...this.openers.keys(), ...this.targets.keys()]) {
      assert.ok(this.inodes.has(ino), `records are left of inode ${ino}`);
    }
  }

  /** Every name has its slot and its inode, and every slot its name. @returns names per inode */
  #checkEntries(): Map<Ino, number> {
    const names = new Map<Ino, number>();
    for (const [dir, entries] of this.entries) {
      for (const [name, entry] of entries) {
        this.#checkEntry(dir, name, entry);
        names.set(entry.ino, (names.get(entry.ino) ?? 0) + 1);
      }
    }
    for (const dir of new Set([...this.slots.keys(), ...this.entries.keys()])) {
      const [slots, entries] = [this.slots.get(dir), this.entries.get(dir)];
      assert.equal(slots?.size ?? 0, entries?.size ?? 0, `slots and names of ${dir}`);
    }
    for (const [ino, inode] of this.inodes) {
      if (!isDirectory(inode.mode) || ino === ROOT_INO) continue;
      assert.equal(names.get(ino) ?? 0, inode.nlink === 0 ? 0 : 1, `names of directory ${ino}`);
    }
    return names;
  }

  #checkEntry(dir: Ino, name: string, { ino, type, seq }: Entry): void {
    const slot = this.slots.get(dir)?.get(seq);
    assert.deepEqual(slot, { name, ino, type }, `slot of ${name} in ${dir}`);
    const inode = this.inodes.get(ino);
    assert.ok(inode, `${name} in ${dir} names missing inode ${ino}`);
    assert.equal(inode.mode & S_IFMT, type, `type of ${name} in ${dir}`);
    if (isDirectory(inode.mode)) assert.equal(inode.parent, dir, `parent of ${ino}`);
  }

  #checkDirectory(ino: Ino, inode: Inode): void {
    const entries = [...(this.entries.get(ino)?.values() ?? [])];
    assert.equal(inode.entries, entries.length, `entries of ${ino}`);
    const subdirs = entries.filter((entry) => isDirectory(entry.type)).length;
    if (inode.nlink > 0) assert.equal(inode.nlink, 2 + subdirs, `nlink of ${ino}`);
    else assert.equal(entries.length, 0, `removed directory ${ino} has entries`);
    for (const { seq } of entries) assert.ok(seq >= 3 && seq < inode.nextSeq, `seq in ${ino}`);
  }

  #counter(key: string): number {
    const bytes = this.#records.get(key);
    return bytes === undefined ? 0 : storeCodecs.counter.decode(bytes);
  }

  #learn(key: string, value: Uint8Array): void {
    const letter = key.charAt(0);
    if (!'ideots'.includes(letter)) return;
    const ino = asIno(decodeU64(key, 1));
    switch (letter) {
      case 'i':
        this.inodes.set(ino, storeCodecs.inode.decode(value));
        break;
      case 'd':
        within(this.entries, ino).set(key.slice(9), storeCodecs.entry.decode(value));
        break;
      case 'e':
        within(this.slots, ino).set(decodeU64(key, 9), storeCodecs.slot.decode(value));
        break;
      case 'o': {
        const sids = this.openers.get(ino) ?? new Set();
        this.openers.set(ino, sids.add(decodeU64(key, 9)));
        break;
      }
      case 't':
        this.garbage.add(ino);
        break;
      case 's':
        this.targets.set(ino, storeCodecs.text.decode(value));
        break;
      default:
        break;
    }
  }
}

function within<K, V>(maps: Map<Ino, Map<K, V>>, ino: Ino): Map<K, V> {
  const map = maps.get(ino) ?? new Map<K, V>();
  maps.set(ino, map);
  return map;
}
