/**
 * Attributes and names as the metaserver last told them. They may be answered while this mount has
 * a lease on the inode, or on the directory: whoever gives the lease up forgets them here. Every
 * change of the namespace by this mount is learned from its reply before anybody waiting for it
 * goes on; an older attribute version never replaces a newer one.
 *
 * Bounded: the oldest entries go first.
 */
import type { Attr } from '../common/attr.ts';
import { BoundedMap } from '../common/core/bounded-map.ts';
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
const DIRECTORIES_MAX = 16_384;
/** Of one directory: beyond them it is asked about names anew. */
const NAMES_MAX = 65_536;

export class MetaCache {
  /** What a reply said of an inode, as it arrives. */
  onAttr: (attr: Attr) => void = () => undefined;
  readonly #attrs = new BoundedMap<Ino, Attr>(ATTRS_MAX);
  /** Names by directory. */
  readonly #names = new BoundedMap<Ino, Map<string, Ino | 'absent'>>(DIRECTORIES_MAX);
  readonly #holds: (ino: Ino) => boolean;

  /** @param holds whether this mount has a lease on the inode at this moment */
  constructor(holds: (ino: Ino) => boolean = () => true) {
    this.#holds = holds;
  }

  attr(ino: Ino): Attr | undefined {
    return this.#holds(ino) ? this.#attrs.get(ino) : undefined;
  }

  /** The inode under a name, 'absent' when there is none, undefined when that is not known. */
  lookup(parent: Ino, name: string): Attr | 'absent' | undefined {
    if (!this.#holds(parent)) return undefined;
    const ino = this.#names.get(parent)?.get(name);
    return ino === undefined || ino === 'absent' ? ino : this.attr(ino);
  }

  /**
   * The name leads there as far as this mount knows, and it will be told when that changes: it was
   * learned under the lease that is held now.
   */
  isNamed(dir: Ino, name: string, found: Ino | 'absent'): boolean {
    return this.#holds(dir) && this.#names.get(dir)?.get(name) === found;
  }

  /** Names known in a directory. */
  names(dir: Ino): string[] {
    return [...(this.#names.get(dir)?.keys() ?? [])];
  }

  /** The lease on this inode is given up. */
  forget(ino: Ino): void {
    this.#attrs.delete(ino);
    this.#names.delete(ino);
  }

  clear(): void {
    this.#attrs.clear();
    this.#names.clear();
  }

  /** Takes over what the metaserver answered, and what came with leases that were taken over. */
  learn(
    op: Operation,
    reply: OperationResult | FsError,
    grants: readonly { readonly attr?: WireAttr | undefined }[] = [],
  ): void {
    for (const { attr } of grants) this.#put(attr);
    if (reply instanceof FsError) this.#learnError(op, reply);
    else this.#learnResult(op, reply);
  }

  #learnError(op: Operation, error: FsError): void {
    if (op.$case !== 'lookup' || error.code !== 'ENOENT') return;
    this.#name(asIno(op.value.parent), nameFromBytes(op.value.name), 'absent');
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
        if (op.$case === 'link') this.#linked(op.value, reply.value.attr);
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
      case 'waits':
      case 'inspect':
      case 'fsck':
      case 'backingFiles':
      case 'lock':
      case 'testLock':
      case 'cancelLock':
      case 'listLocks':
      case 'empty':
        return;
    }
  }

  #found(entry: { readonly parent: bigint; readonly name: Uint8Array }, attr?: WireAttr): void {
    const name = nameFromBytes(entry.name);
    if (attr === undefined || name === '.' || name === '..') return;
    this.#name(asIno(entry.parent), name, asIno(attr.ino));
  }

  #linked({ newName, newParent }: OperationValue<'link'>, attr?: WireAttr): void {
    if (attr !== undefined) this.#name(asIno(newParent), nameFromBytes(newName), asIno(attr.ino));
  }

  #removed(op: OperationValue<'remove'>, { parent, attr }: ResultValue<'remove'>): void {
    this.#put(parent);
    this.#name(asIno(op.parent), nameFromBytes(op.name), 'absent');
    this.#lostName(attr);
  }

  #renamed(op: OperationValue<'rename'>, reply: ResultValue<'rename'>): void {
    this.#put(reply.parent);
    this.#put(reply.newParent);
    this.#put(reply.attr);
    this.#unname(op.parent, op.name);
    this.#unname(op.newParent, op.newName);
    this.#lostName(reply.other);
  }

  /** Only a page of the directory as it is known now: an older one may name what has gone. */
  #listed(dir: Ino, page: ResultValue<'readdir'>): void {
    if (this.#attrs.get(dir)?.dirv !== safeInteger(page.dirv)) return;
    for (const { attr, name } of page.entries) {
      if (attr === undefined) continue;
      this.#put(attr);
      this.#name(dir, nameFromBytes(name), asIno(attr.ino));
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
    if (known !== undefined && known.av > attr.av) return;
    this.#attrs.set(attr.ino, attr);
    this.onAttr(attr);
  }

  /** Without a lease on the directory nobody would tell when the name changes. */
  #name(dir: Ino, name: string, found: Ino | 'absent'): void {
    if (!this.#holds(dir)) return;
    const known = this.#names.get(dir);
    if (known === undefined || known.size >= NAMES_MAX) {
      this.#names.set(dir, new Map([[name, found]]));
    } else known.set(name, found);
  }

  #unname(dir: bigint, name: Uint8Array): void {
    this.#names.get(asIno(dir))?.delete(nameFromBytes(name));
  }
}
