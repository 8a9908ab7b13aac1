/**
 * Attributes and names as the metaserver last told them. They stay right while this mount is alone
 * (L1 in docs/PROTOCOL.md): every change of the namespace is asked for here then, and its reply is
 * learned before anybody waiting for it goes on, in the order the replies arrive. Replies that
 * depend on each other arrive in the order they were executed.
 *
 * Whatever makes an outcome unknown (a request given up, a stream lost) empties it. Bounded: the
 * oldest entries go first. Leases will take the place of being alone, entry by entry.
 */
import type { Attr } from '../common/attr.ts';
import { FsError } from '../common/errno.ts';
import { asIno, type Ino, safeInteger } from '../common/ids.ts';
import { nameFromBytes } from '../common/name.ts';
import { attrFromWire } from '../common/rpc/codec.ts';
import type { Operation, OperationResult } from '../common/rpc/session-client.ts';

type WireAttr = Parameters<typeof attrFromWire>[0];
type OperationValue<Case extends Operation['$case']> = Extract<Operation, { $case: Case }>['value'];
type ResultValue<Case extends OperationResult['$case']> = Extract<
  OperationResult,
  { $case: Case }
>['value'];

const ATTRS_MAX = 65_536;
const NAMES_MAX = 131_072;

/** A Map that drops its oldest entry when it is full. */
class BoundedMap<Key, Value> {
  readonly #map = new Map<Key, Value>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  set(key: Key, value: Value): void {
    this.#map.set(key, value);
    if (this.#map.size <= this.#max) return;
    const oldest = this.#map.keys().next();
    if (oldest.done !== true) this.#map.delete(oldest.value);
  }

  delete(key: Key): void {
    this.#map.delete(key);
  }

  clear(): void {
    this.#map.clear();
  }
}

export class MetaCache {
  readonly #attrs = new BoundedMap<Ino, Attr>(ATTRS_MAX);
  readonly #names = new BoundedMap<string, Ino | 'absent'>(NAMES_MAX);

  readonly #usable: () => boolean;

  /** @param usable whether what was learned may be relied on at this moment */
  constructor(usable: () => boolean = () => true) {
    this.#usable = usable;
  }

  get isUsable(): boolean {
    return this.#usable();
  }

  attr(ino: Ino): Attr | undefined {
    return this.#usable() ? this.#attrs.get(ino) : undefined;
  }

  /** The inode under a name, 'absent' when there is none, undefined when that is not known. */
  lookup(parent: Ino, name: string): Attr | 'absent' | undefined {
    if (!this.#usable()) return undefined;
    const ino = this.#names.get(nameKey(parent, name));
    return ino === undefined || ino === 'absent' ? ino : this.#attrs.get(ino);
  }

  clear(): void {
    this.#attrs.clear();
    this.#names.clear();
  }

  /** Takes over what the metaserver answered. */
  learn(op: Operation, reply: OperationResult | FsError): void {
    if (reply instanceof FsError) this.#learnError(op, reply);
    else this.#learnResult(op, reply);
  }

  #learnError(op: Operation, error: FsError): void {
    if (op.$case !== 'lookup' || error.code !== 'ENOENT') return;
    const parent = asIno(op.value.parent);
    // Only a directory that is known to be there: names of a removed one are nobody's business.
    if (this.#attrs.get(parent) === undefined) return;
    this.#names.set(nameKey(parent, nameFromBytes(op.value.name)), 'absent');
  }

  #learnResult(op: Operation, reply: OperationResult): void {
    switch (reply.$case) {
      case 'attr':
        this.#put(reply.value.attr);
        if (op.$case === 'lookup') this.#found(op.value, reply.value.attr);
        return;
      case 'make':
        this.#put(reply.value.parent);
        this.#put(reply.value.attr);
        if (op.$case === 'make') this.#found(op.value, reply.value.attr);
        return;
      case 'link':
        this.#put(reply.value.parent);
        this.#put(reply.value.attr);
        if (op.$case === 'link') this.#names.delete(newNameKey(op.value));
        return;
      case 'remove':
        if (op.$case === 'remove') this.#removed(op.value, reply.value);
        return;
      case 'rename':
        if (op.$case === 'rename') this.#renamed(op.value, reply.value);
        return;
      case 'readdir':
        if (op.$case === 'readdir') this.#listed(asIno(op.value.ino), reply.value);
        return;
      case 'readlink':
      case 'statfs':
      case 'clusterStatus':
      case 'empty':
        return;
    }
  }

  #found(entry: { readonly parent: bigint; readonly name: Uint8Array }, attr?: WireAttr): void {
    const name = nameFromBytes(entry.name);
    if (attr === undefined || name === '.' || name === '..') return;
    this.#names.set(nameKey(asIno(entry.parent), name), asIno(attr.ino));
  }

  #removed(op: OperationValue<'remove'>, { parent, attr }: ResultValue<'remove'>): void {
    this.#put(parent);
    this.#names.set(nameKey(asIno(op.parent), nameFromBytes(op.name)), 'absent');
    this.#lostName(attr);
  }

  #renamed(op: OperationValue<'rename'>, reply: ResultValue<'rename'>): void {
    this.#put(reply.parent);
    this.#put(reply.newParent);
    this.#put(reply.attr);
    this.#names.delete(nameKey(asIno(op.parent), nameFromBytes(op.name)));
    this.#names.delete(newNameKey(op));
    this.#lostName(reply.other);
  }

  /** Only a page of the directory as it is known now: an older one may name what has gone. */
  #listed(dir: Ino, page: ResultValue<'readdir'>): void {
    if (this.#attrs.get(dir)?.dirv !== safeInteger(page.dirv)) return;
    for (const { attr, name } of page.entries) {
      if (attr === undefined) continue;
      this.#put(attr);
      this.#names.set(nameKey(dir, nameFromBytes(name)), asIno(attr.ino));
    }
  }

  /** An inode lost a name, and may be gone. */
  #lostName(attr: WireAttr | undefined): void {
    if (attr === undefined) return;
    if (attr.nlink === 0) this.#attrs.delete(asIno(attr.ino));
    else this.#put(attr);
  }

  #put(wire: WireAttr | undefined): void {
    if (wire === undefined) return;
    const attr = attrFromWire(wire);
    const known = this.#attrs.get(attr.ino);
    if (known === undefined || known.av <= attr.av) this.#attrs.set(attr.ino, attr);
  }
}

function nameKey(parent: Ino, name: string): string {
  return `${parent}/${name}`;
}

function newNameKey(op: { readonly newParent: bigint; readonly newName: Uint8Array }): string {
  return nameKey(asIno(op.newParent), nameFromBytes(op.newName));
}
