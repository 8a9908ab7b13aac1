/** Random operations, as the model and as the wire see them. */
import type { Request } from '../../gen/meta.ts';
import { type Binding, TYPE_BITS } from './binding.ts';
import type { ModelTree } from './model-tree.ts';
import { type ModelOp, type NodeType, type Ref, ROOT } from './model-types.ts';
import type { Random } from './random.ts';

type Op = NonNullable<Request['op']>;

const NAMES = ['a', 'b', 'c', 'd', 'e', '\xff\x80'] as const;
const ODD_NAMES = ['.', '..', 'x/y', 'n'.repeat(256), 'm'.repeat(255)] as const;
const TYPES: readonly [NodeType, ...NodeType[]] = ['file', 'file', 'dir', 'dir', 'symlink', 'fifo'];
const NODES_WANTED = 25;

export class Generator {
  readonly #random: Random;
  readonly #binding: Binding;

  constructor(random: Random, binding: Binding) {
    this.#random = random;
    this.#binding = binding;
  }

  /** @param tree what clients may know of; only nodes whose ino a reply told are referred to */
  next(tree: ModelTree): ModelOp {
    const random = this.#random;
    if (tree.nodes.size > NODES_WANTED && random.chance(0.5)) return this.#remove(tree);
    switch (random.below(14)) {
      case 0:
        return { kind: 'lookup', dir: this.#dir(tree), name: this.#lookupName() };
      case 1:
        return random.chance(0.5)
          ? { kind: 'getattr', node: this.#node(tree) }
          : { kind: 'readlink', node: this.#node(tree, 'symlink') };
      case 2:
        return { kind: 'readdir', node: this.#dir(tree) };
      case 3:
      case 4:
      case 5:
        return this.#make(tree);
      case 6:
      case 7:
        return this.#remove(tree);
      case 8:
      case 9:
        return this.#rename(tree);
      case 10:
        return {
          kind: 'link',
          node: this.#node(tree, 'file'),
          dir: this.#dir(tree),
          name: this.#name(),
        };
      case 11:
        return this.#setattr(tree);
      case 12:
        return this.#flush(tree);
      default:
        return this.#rare(tree);
    }
  }

  #flush(tree: ModelTree): ModelOp {
    const random = this.#random;
    const node = this.#node(tree, 'file');
    return {
      kind: 'flush',
      node,
      size: random.below(5) * 1000,
      // Long ago, or not far from now.
      mtime: random.pick([1_600_000_000_000, 1_700_000_000_000]) + random.below(30_000),
      cuts: this.#cuts(tree, node),
      stale: random.chance(0.1),
    };
  }

  #rare(tree: ModelTree): ModelOp {
    const roll = this.#random.below(3);
    if (roll === 0) return { kind: 'statfs' };
    const kept = [...tree.nodes].filter(([, node]) => node.openers.size > 0).map(([id]) => id);
    return { kind: 'close', nodes: kept.filter((id) => this.#binding.knows(id)) };
  }

  #make(tree: ModelTree): ModelOp {
    const random = this.#random;
    return {
      kind: 'make',
      dir: this.#dir(tree),
      name: this.#name(),
      type: random.pick(TYPES),
      perm: random.pick([0o644, 0o755, 0o4755, 0o6771]),
      uid: random.below(3),
      gid: random.below(3),
      target: `target ${random.below(10)}`,
      openExisting: random.chance(0.3),
    };
  }

  #remove(tree: ModelTree): ModelOp {
    const { dir, name } = this.#existing(tree);
    const target = this.#child(tree, dir, name);
    const isDir = target !== undefined && tree.nodes.get(target)?.type === 'dir';
    const directory = this.#random.chance(0.15) ? !isDir : isDir;
    return { kind: 'remove', dir, name, directory, ...this.#knowledge(target) };
  }

  #rename(tree: ModelTree): ModelOp {
    const random = this.#random;
    const { dir, name } = this.#existing(tree);
    const onto = random.chance(0.5);
    const { dir: newDir, name: newName } = onto
      ? this.#existing(tree)
      : { dir: this.#dir(tree), name: this.#name() };
    const flags = random.pick([0, 0, 0, 1, 2, 2, random.chance(0.2) ? 4 : 0]);
    const known = this.#knowledge(this.#child(tree, newDir, newName));
    return { kind: 'rename', dir, name, newDir, newName, flags, ...known };
  }

  #setattr(tree: ModelTree): ModelOp {
    const random = this.#random;
    const maybe = (value: number): number | undefined => (random.chance(0.4) ? value : undefined);
    const node = this.#node(tree, 'file');
    return {
      kind: 'setattr',
      node,
      cut: random.chance(0.2),
      cuts: this.#cuts(tree, node),
      perm: maybe(random.pick([0o600, 0o6755])),
      uid: maybe(random.below(3)),
      size: maybe(random.below(3) * 100),
      mtime: maybe(1_500_000_000_000 + random.below(1000)),
    };
  }

  /** How often the caller believes a file was cut: mostly the truth. */
  #cuts(tree: ModelTree, node: Ref): number {
    const cuts = node === undefined ? 0 : (tree.nodes.get(node)?.cuts ?? 0);
    return this.#random.chance(0.9) ? cuts : Math.max(0, cuts + this.#random.pick([-1, 1]));
  }

  /** What the caller believes of a target: mostly the truth. */
  #knowledge(target: Ref): { known: Ref; open: boolean } {
    const known = this.#random.chance(0.85) ? target : undefined;
    const told = known !== undefined && this.#binding.knows(known) ? known : undefined;
    return { known: told, open: this.#random.chance(0.3) };
  }

  #child(tree: ModelTree, dir: Ref, name: string): Ref {
    return dir === undefined ? undefined : tree.nodes.get(dir)?.children.get(name);
  }

  #existing(tree: ModelTree): { dir: Ref; name: string } {
    const dir = this.#dir(tree);
    const names = dir === undefined ? [] : [...(tree.nodes.get(dir)?.children.keys() ?? [])];
    const name = this.#random.chance(0.9) ? this.#random.some(names) : undefined;
    return { dir, name: name ?? this.#name() };
  }

  #name(): string {
    return this.#random.chance(0.04) ? this.#random.pick(ODD_NAMES) : this.#random.pick(NAMES);
  }

  /** '.' and '..' have an answer of their own, which unit tests check. */
  #lookupName(): string {
    const name = this.#name();
    return name === '.' || name === '..' ? 'a' : name;
  }

  /** Any node, gone and missing ones too; mostly of the type wanted. */
  #node(tree: ModelTree, wanted?: NodeType): Ref {
    const random = this.#random;
    if (random.chance(0.05)) return random.some([undefined, ...this.#binding.ids]);
    const known = [...tree.nodes].filter(([id]) => this.#binding.knows(id));
    const fitting = random.chance(0.8) ? known.filter(([, { type }]) => type === wanted) : [];
    return (random.some(fitting) ?? random.some(known))?.[0];
  }

  #dir(tree: ModelTree): Ref {
    const random = this.#random;
    if (random.chance(0.05)) return this.#node(tree);
    if (random.chance(0.2)) return ROOT;
    const dirs = [...tree.nodes].filter(([, node]) => node.type === 'dir').map(([id]) => id);
    return random.some(dirs.filter((id) => this.#binding.knows(id)));
  }
}

const bytes = (name: string): Buffer => Buffer.from(name, 'latin1');

function timeOf(ms: number): { sec: bigint; nsec: number } {
  return { sec: BigInt(Math.floor(ms / 1000)), nsec: (ms % 1000) * 1_000_000 };
}

export function toWire(op: ModelOp, binding: Binding, rgEpoch: bigint): Op {
  const ino = (ref: Ref): bigint => binding.ino(ref);
  switch (op.kind) {
    case 'lookup':
      return { $case: 'lookup', value: { parent: ino(op.dir), name: bytes(op.name) } };
    case 'getattr':
    case 'readlink':
      return { $case: op.kind, value: { ino: ino(op.node) } };
    case 'readdir': {
      const page = { cookie: 0n, entriesMax: 0, withAttrs: true };
      return { $case: 'readdir', value: { ino: ino(op.node), ...page } };
    }
    case 'statfs':
      return { $case: 'statfs', value: {} };
    case 'make':
      return {
        $case: 'make',
        value: {
          parent: ino(op.dir),
          name: bytes(op.name),
          mode: TYPE_BITS[op.type] | op.perm,
          rdev: 0,
          target: bytes(op.target),
          caller: { uid: op.uid, gid: op.gid },
          openExisting: op.openExisting,
        },
      };
    case 'remove': {
      const known = { knownIno: knownIno(op.known, binding), knownOpen: op.open };
      const place = { parent: ino(op.dir), name: bytes(op.name), directory: op.directory };
      return { $case: 'remove', value: { ...place, ...known } };
    }
    case 'rename': {
      const known = { knownIno: knownIno(op.known, binding), knownOpen: op.open };
      const from = { parent: ino(op.dir), name: bytes(op.name) };
      const to = { newParent: ino(op.newDir), newName: bytes(op.newName) };
      return { $case: 'rename', value: { ...from, ...to, flags: op.flags, ...known } };
    }
    case 'link':
      return {
        $case: 'link',
        value: { ino: ino(op.node), newParent: ino(op.dir), newName: bytes(op.name) },
      };
    case 'setattr':
      return {
        $case: 'setattr',
        value: {
          ino: ino(op.node),
          mode: op.perm,
          uid: op.uid,
          gid: undefined,
          size: op.size === undefined ? undefined : BigInt(op.size),
          atime: undefined,
          mtime: op.mtime === undefined ? undefined : timeOf(op.mtime),
          atimeNow: false,
          mtimeNow: false,
          killSuidgid: false,
          cut: op.cut,
          cuts: BigInt(op.cuts),
          caller: undefined,
        },
      };
    case 'flush': {
      const value = {
        ino: ino(op.node),
        size: BigInt(op.size),
        mtime: timeOf(op.mtime),
        cuts: BigInt(op.cuts),
        rgEpoch: op.stale ? rgEpoch - 1n : rgEpoch,
      };
      return { $case: 'flushAttr', value };
    }
    case 'close':
      return { $case: 'closeUnlinked', value: { inos: op.nodes.map(ino) } };
    case 'reclaimed':
      return { $case: 'reclaimDone', value: { inos: op.nodes.map(ino) } };
  }
}

function knownIno(known: Ref, binding: Binding): bigint {
  return known === undefined ? 0n : binding.ino(known);
}
