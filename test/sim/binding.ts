/** Which ino stands for which node of the model, as replies have told; and what must agree. */
import assert from 'node:assert/strict';
import type { Attr } from '../../gen/common.ts';
import type { Reply } from '../../gen/meta.ts';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from '../../src/common/attr.ts';
import { errnoName } from '../../src/common/errno.ts';
import { asIno, type Ino, ROOT_INO } from '../../src/common/ids.ts';
import { attrFromWire } from '../../src/common/rpc/codec.ts';
import { attrOf, type Entry } from '../../src/metaserver/core/records.ts';
import type { Database } from './invariants.ts';
import type { ModelTree } from './model-tree.ts';
import {
  type Named,
  type NodeId,
  type NodeType,
  type Outcome,
  type Ref,
  ROOT,
  type Shape,
} from './model-types.ts';

export const TYPE_BITS: Record<NodeType, number> = {
  file: S_IFREG,
  dir: S_IFDIR,
  symlink: S_IFLNK,
  fifo: S_IFIFO,
};
const MISSING_INO = 999_999_999n;

type DomainAttr = ReturnType<typeof attrFromWire>;
type Result = NonNullable<Reply['result']>;

function typeOf(mode: number): NodeType {
  for (const type of ['file', 'dir', 'symlink', 'fifo'] as const) {
    if (TYPE_BITS[type] === (mode & S_IFMT)) return type;
  }
  throw new Error(`unexpected mode ${mode.toString(8)}`);
}

export function shapeOf(attr: DomainAttr): Shape {
  // Nanoseconds only order changes of one millisecond.
  const ms = ({ sec, nsec }: { sec: number; nsec: number }): number =>
    sec * 1000 + Math.floor(nsec / 1e6);
  const { uid, gid, size, nlink, dirv, dv, cuts } = attr;
  const times = { mtime: ms(attr.mtime), ctime: ms(attr.ctime) };
  return {
    type: typeOf(attr.mode),
    perm: attr.mode & 0o7777,
    uid,
    gid,
    size,
    nlink,
    ...times,
    dirv,
    dv,
    cuts,
  };
}

export class Binding {
  readonly #inos = new Map<NodeId, Ino>([[ROOT, ROOT_INO]]);
  readonly #ids = new Map<Ino, NodeId>([[ROOT_INO, ROOT]]);

  get ids(): NodeId[] {
    return [...this.#inos.keys()];
  }

  knows(id: NodeId): boolean {
    return this.#inos.has(id);
  }

  ino(ref: Ref): bigint {
    const ino = ref === undefined ? undefined : this.#inos.get(ref);
    return ino === undefined ? MISSING_INO : BigInt(ino);
  }

  bind(id: NodeId, ino: Ino): void {
    assert.equal(this.#ids.get(ino) ?? id, id, `ino ${ino} was handed out twice`);
    assert.equal(this.#inos.get(id) ?? ino, ino, `node ${id} changed its ino`);
    this.#ids.set(ino, id);
    this.#inos.set(id, ino);
  }

  /** The reply says what the model says. */
  compare(expected: Outcome, reply: Reply, what: string): void {
    const errno = reply.errno === 0 ? undefined : errnoName(reply.errno);
    assert.equal(errno, expected.error, `${what}: ${reply.message}`);
    if (expected.error !== undefined) return;
    assert.ok(reply.result, what);
    this.#compareResult(expected, reply.result, what);
  }

  #compareResult(
    expected: Extract<Outcome, { error: undefined }>,
    result: Result,
    what: string,
  ): void {
    const same = (name: string, named: Named | undefined, attr: Attr | undefined): void => {
      this.#sameAttr(named, attr, `${name} of ${what}`);
    };
    switch (result.$case) {
      case 'attr':
        same('attr', expected.node, result.value.attr);
        break;
      case 'make':
        assert.equal(result.value.existed, expected.existed, what);
        same('attr', expected.node, result.value.attr);
        same('parent', expected.parent, result.value.parent);
        break;
      case 'remove':
        assert.equal(result.value.kept, expected.kept, what);
        same('attr', expected.node, result.value.attr);
        same('parent', expected.parent, result.value.parent);
        break;
      case 'rename':
        assert.equal(result.value.kept, expected.kept, what);
        same('attr', expected.node, result.value.attr);
        same('parent', expected.parent, result.value.parent);
        same('newParent', expected.newParent, result.value.newParent);
        same('other', expected.other, result.value.other);
        break;
      case 'link':
        same('attr', expected.node, result.value.attr);
        same('parent', expected.parent, result.value.parent);
        break;
      case 'readlink':
        assert.equal(Buffer.from(result.value.target).toString('latin1'), expected.target, what);
        break;
      case 'readdir': {
        const names = result.value.entries.map(({ name, ino }) => {
          const id = expected.names?.get(Buffer.from(name).toString('latin1'));
          assert.ok(id !== undefined, `${what}: an unexpected name`);
          this.bind(id, asIno(ino));
          return id;
        });
        assert.equal(names.length, expected.names?.size, what);
        assert.ok(result.value.end, what);
        break;
      }
      case 'statfs':
        assert.equal(Number(result.value.files), expected.files, what);
        break;
      case 'empty':
        break;
      case 'clusterStatus':
      case 'waits':
      case 'inspect':
      case 'fsck':
      case 'backingFiles':
      case 'lock':
      case 'testLock':
      case 'cancelLock':
      case 'listLocks':
        assert.fail('nobody asks for it');
    }
  }

  #sameAttr(named: Named | undefined, attr: Attr | undefined, what: string): void {
    assert.equal(attr === undefined, named === undefined, what);
    if (attr === undefined || named === undefined) return;
    assert.deepEqual(shapeOf(attrFromWire(attr)), named.shape, what);
    this.bind(named.id, asIno(attr.ino));
  }

  /** The database holds the tree of the model and nothing else. */
  compareTree(tree: ModelTree, database: Database): void {
    assert.equal(database.inodes.size, tree.nodes.size, 'number of inodes');
    assert.equal(database.garbage.size, tree.garbage.size, 'number of inodes to reclaim');
    for (const id of tree.garbage) {
      const ino = this.#inos.get(id);
      if (ino !== undefined) assert.ok(database.garbage.has(ino), `garbage ${ino} is forgotten`);
    }
    this.#compareNode(tree, database, ROOT, ROOT_INO);
    for (const [id, node] of tree.nodes) {
      const ino = this.#inos.get(id);
      if (node.nlink > 0 || ino === undefined) continue;
      assert.deepEqual(database.openers.get(ino), node.openers, `openers of ${ino}`);
      this.#compareNode(tree, database, id, ino);
    }
  }

  #compareNode(tree: ModelTree, database: Database, id: NodeId, ino: Ino): void {
    const [node, inode] = [tree.nodes.get(id), database.inodes.get(ino)];
    assert.ok(node && inode, `node ${id}, inode ${ino}`);
    assert.deepEqual(shapeOf(attrOf(ino, inode)), tree.named(id).shape, `inode ${ino}`);
    assert.equal(database.targets.get(ino) ?? '', node.target, `target of ${ino}`);
    assert.equal(this.#inos.get(id) ?? ino, ino, `node ${id} has another ino`);
    const entries = database.entries.get(ino) ?? new Map<string, Entry>();
    assert.deepEqual(
      [...entries.keys()].sort(),
      [...node.children.keys()].sort(),
      `names in ${ino}`,
    );
    for (const [name, child] of node.children) {
      const entry = entries.get(name);
      assert.ok(entry, `${name} in ${ino}`);
      this.#compareNode(tree, database, child, entry.ino);
    }
  }
}
