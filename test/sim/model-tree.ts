/**
 * What the namespace should do, written down a second time and as simply as possible: nodes in a
 * map, children in maps, every state copied whole. It knows nodes by its own ids; the world binds
 * them to the inos that replies tell.
 */
import {
  type Caller,
  type ModelNode,
  type ModelOp,
  type Named,
  type NodeId,
  type NodeType,
  type Outcome,
  type Ref,
  type RenameOp,
  ROOT,
} from './model-types.ts';

class Failure extends Error {}

function fail(errno: string): never {
  throw new Failure(errno);
}

export class ModelTree {
  readonly nodes = new Map<NodeId, ModelNode>();
  /** Regular files that are gone, until the peer says it deleted their bytes. */
  readonly garbage = new Set<NodeId>();
  /** Every node there has ever been. */
  readonly born = new Set<NodeId>([ROOT]);
  /** Successful changes by request: each happens once. */
  readonly done = new Map<string, Outcome>();

  static founded(nowMs: number): ModelTree {
    const tree = new ModelTree();
    tree.nodes.set(ROOT, newNode('dir', ROOT, { perm: 0o755, uid: 0, gid: 0, nowMs }));
    return tree;
  }

  clone(): ModelTree {
    const copy = new ModelTree();
    for (const [id, node] of this.nodes) {
      const children = new Map(node.children);
      copy.nodes.set(id, { ...node, children, openers: new Set(node.openers) });
    }
    for (const id of this.garbage) copy.garbage.add(id);
    for (const id of this.born) copy.born.add(id);
    for (const [request, outcome] of this.done) copy.done.set(request, outcome);
    return copy;
  }

  /** Executes, or answers as before when this request succeeded already. */
  execute(op: ModelOp, caller: Caller, request: string | undefined, newId: NodeId): Outcome {
    const before = request === undefined ? undefined : this.done.get(request);
    if (before !== undefined) return before;
    let outcome: Outcome;
    try {
      outcome = this.#apply(op, caller, newId);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return { error: error.message };
    }
    if (request !== undefined) this.done.set(request, outcome);
    return outcome;
  }

  endSession(sid: number): void {
    for (const id of [...this.nodes.keys()]) this.#close(id, sid);
  }

  named(id: NodeId): Named {
    const { children, openers, parent, target, ...shape } = this.#node(id);
    return { id, shape };
  }

  #apply(op: ModelOp, caller: Caller, newId: NodeId): Outcome {
    switch (op.kind) {
      case 'lookup': {
        checkName(op.name, undefined);
        const child = this.#dir(op.dir).children.get(op.name) ?? fail('ENOENT');
        return { error: undefined, node: this.named(child) };
      }
      case 'getattr':
        this.#node(op.node);
        return { error: undefined, node: this.named(op.node ?? 0) };
      case 'readlink': {
        const node = this.#node(op.node);
        return node.type === 'symlink' ? { error: undefined, target: node.target } : fail('EINVAL');
      }
      case 'readdir':
        return { error: undefined, names: new Map(this.#dir(op.node).children) };
      case 'statfs':
        return { error: undefined, files: this.nodes.size };
      case 'make':
        return this.#make(op, caller, newId);
      case 'remove':
        return this.#remove(op, caller);
      case 'rename':
        return this.#rename(op, caller);
      case 'link':
        return this.#link(op, caller);
      case 'setattr':
        return this.#setattr(op, caller);
      case 'flush':
        return this.#flush(op);
      case 'close':
        for (const node of op.nodes) if (node !== undefined) this.#close(node, caller.sid);
        return { error: undefined };
      case 'reclaimed':
        for (const node of op.nodes) if (node !== undefined) this.garbage.delete(node);
        return { error: undefined };
    }
  }

  #make(op: Extract<ModelOp, { kind: 'make' }>, caller: Caller, newId: NodeId): Outcome {
    checkName(op.name, 'EEXIST');
    const dir = this.#dir(op.dir);
    const there = dir.children.get(op.name);
    if (there !== undefined) {
      const opens = op.openExisting && op.type === 'file' && this.#node(there).type === 'file';
      if (!opens) fail('EEXIST');
      const parent = this.named(op.dir ?? 0);
      return { error: undefined, node: this.named(there), parent, existed: true };
    }
    if (!caller.mayGrow) fail('ENOSPC');
    const node = newNode(op.type, op.dir ?? 0, { ...op, nowMs: caller.nowMs });
    if ((dir.perm & 0o2000) !== 0) {
      node.gid = dir.gid;
      if (op.type === 'dir') node.perm |= 0o2000;
    }
    if (op.type === 'symlink') {
      node.target = op.target;
      node.size = op.target.length;
    }
    this.nodes.set(newId, node);
    this.born.add(newId);
    dir.children.set(op.name, newId);
    if (op.type === 'dir') dir.nlink += 1;
    touch(dir, caller.nowMs);
    const parent = this.named(op.dir ?? 0);
    return { error: undefined, node: this.named(newId), parent, existed: false };
  }

  #remove(op: Extract<ModelOp, { kind: 'remove' }>, caller: Caller): Outcome {
    checkName(op.name, 'EINVAL');
    const dir = this.#dir(op.dir);
    const id = dir.children.get(op.name) ?? fail('ENOENT');
    const node = this.#node(id);
    if (op.directory && node.type !== 'dir') fail('ENOTDIR');
    if (!op.directory && node.type === 'dir') fail('EISDIR');
    if (node.children.size > 0) fail('ENOTEMPTY');
    dir.children.delete(op.name);
    if (node.type === 'dir') dir.nlink -= 1;
    touch(dir, caller.nowMs);
    const { named, kept } = this.#unlinked(id, op, caller);
    return { error: undefined, node: named, parent: this.named(op.dir ?? 0), kept };
  }

  #rename(op: RenameOp, caller: Caller): Outcome {
    const { from, to, id, target } = this.#checkRename(op);
    const node = this.#node(id);
    if (target === id) return this.#renamed(op, id, { kept: false });
    if (op.flags !== 2) this.#checkReplace(node, target, caller);
    from.children.delete(op.name);
    if (op.flags === 2 && target !== undefined) {
      from.children.set(op.name, target);
      this.#node(target).parent = op.dir ?? 0;
      change(this.#node(target), caller.nowMs);
    }
    to.children.set(op.newName, id);
    node.parent = op.newDir ?? 0;
    change(node, caller.nowMs);
    for (const dir of new Set([from, to])) {
      dir.nlink = 2 + [...dir.children.values()].filter((at) => this.#isDir(at)).length;
      touch(dir, caller.nowMs);
    }
    if (target === undefined) return this.#renamed(op, id, { kept: false });
    if (op.flags === 2) return this.#renamed(op, id, { other: this.named(target), kept: false });
    const { named: other, kept } = this.#unlinked(target, op, caller);
    return this.#renamed(op, id, { other, kept });
  }

  #checkRename(op: RenameOp): {
    from: ModelNode;
    to: ModelNode;
    id: NodeId;
    target: NodeId | undefined;
  } {
    if (![0, 1, 2].includes(op.flags)) fail('EINVAL');
    checkName(op.name, 'EINVAL');
    checkName(op.newName, 'EINVAL');
    const [from, to] = [this.#dir(op.dir), this.#dir(op.newDir)];
    const id = from.children.get(op.name) ?? fail('ENOENT');
    const target = to.children.get(op.newName);
    if (op.flags === 1 && target !== undefined) fail('EEXIST');
    if (op.flags === 2 && target === undefined) fail('ENOENT');
    if (this.#isAbove(id, op.newDir ?? 0)) fail('EINVAL');
    if (op.flags === 2 && target !== undefined && this.#isAbove(target, op.dir ?? 0)) {
      fail('EINVAL');
    }
    return { from, to, id, target };
  }

  #renamed(op: RenameOp, id: NodeId, rest: { other?: Named; kept: boolean }): Outcome {
    const dirs = { parent: this.named(op.dir ?? 0), newParent: this.named(op.newDir ?? 0) };
    return { error: undefined, node: this.named(id), ...dirs, ...rest };
  }

  #checkReplace(node: ModelNode, target: NodeId | undefined, caller: Caller): void {
    if (target === undefined) {
      if (!caller.mayGrow) fail('ENOSPC');
      return;
    }
    const other = this.#node(target);
    if (node.type === 'dir' && other.type !== 'dir') fail('ENOTDIR');
    if (node.type !== 'dir' && other.type === 'dir') fail('EISDIR');
    if (other.children.size > 0) fail('ENOTEMPTY');
  }

  #link(op: Extract<ModelOp, { kind: 'link' }>, caller: Caller): Outcome {
    checkName(op.name, 'EEXIST');
    const dir = this.#dir(op.dir);
    if (dir.children.has(op.name)) fail('EEXIST');
    const node = this.#node(op.node);
    if (node.type === 'dir') fail('EPERM');
    if (node.nlink === 0) fail('ENOENT');
    if (!caller.mayGrow) fail('ENOSPC');
    node.nlink += 1;
    change(node, caller.nowMs);
    dir.children.set(op.name, op.node ?? 0);
    touch(dir, caller.nowMs);
    return { error: undefined, node: this.named(op.node ?? 0), parent: this.named(op.dir ?? 0) };
  }

  #setattr(op: Extract<ModelOp, { kind: 'setattr' }>, caller: Caller): Outcome {
    const node = this.#node(op.node);
    if (op.size !== undefined) checkSize(node, op.size, op.cuts);
    if (op.uid !== undefined && node.type !== 'dir') {
      node.perm &= (node.perm & 0o10) === 0 ? ~0o4000 : ~0o6000;
    }
    if (op.perm !== undefined) node.perm = op.perm;
    node.uid = op.uid ?? node.uid;
    if (op.size !== undefined) {
      if (op.size < node.size || op.cut) node.cuts += 1;
      node.dv += 1;
      node.size = op.size;
      node.mtime = Math.max(node.ctime, caller.nowMs);
    }
    node.mtime = op.mtime ?? node.mtime;
    change(node, caller.nowMs);
    return { error: undefined, node: this.named(op.node ?? 0) };
  }

  #flush(op: Extract<ModelOp, { kind: 'flush' }>): Outcome {
    const node = this.#node(op.node);
    if (node.type === 'dir') fail('EISDIR');
    if (node.type !== 'file') fail('EINVAL');
    if (op.cuts !== node.cuts || op.stale) fail('ESTALE');
    const isLast = op.mtime > node.ctime || op.mtime > node.mtime;
    if (op.size > node.size || isLast) node.mtime = op.mtime;
    node.size = Math.max(node.size, op.size);
    node.ctime = Math.max(node.ctime, op.mtime);
    node.dv += 1;
    return { error: undefined, node: this.named(op.node ?? 0) };
  }

  #unlinked(
    id: NodeId,
    op: { readonly known: Ref; readonly open: boolean },
    caller: Caller,
  ): { named: Named; kept: boolean } {
    const node = this.#node(id);
    node.nlink = node.type === 'dir' ? 0 : node.nlink - 1;
    change(node, caller.nowMs);
    const named = this.named(id);
    const kept = node.nlink === 0 && (op.open || op.known !== id);
    if (kept) node.openers.add(caller.sid);
    else if (node.nlink === 0) this.#drop(id);
    return { named, kept };
  }

  #close(id: NodeId, sid: number): void {
    const node = this.nodes.get(id);
    if (node?.openers.delete(sid) !== true || node.openers.size > 0) return;
    this.#drop(id);
  }

  #drop(id: NodeId): void {
    if (this.#node(id).type === 'file') this.garbage.add(id);
    this.nodes.delete(id);
  }

  #isDir(id: NodeId): boolean {
    return this.nodes.get(id)?.type === 'dir';
  }

  #isAbove(upper: NodeId, lower: NodeId): boolean {
    for (let at = lower; at !== ROOT; at = this.#node(at).parent) if (at === upper) return true;
    return upper === ROOT;
  }

  #node(ref: Ref): ModelNode {
    return (ref === undefined ? undefined : this.nodes.get(ref)) ?? fail('ENOENT');
  }

  #dir(ref: Ref): ModelNode {
    const node = this.#node(ref);
    if (node.type !== 'dir') fail('ENOTDIR');
    if (node.nlink === 0) fail('ENOENT');
    return node;
  }
}

function checkSize(node: ModelNode, size: number, cuts: number): void {
  if (node.type === 'dir') fail('EISDIR');
  if (node.type !== 'file') fail('EINVAL');
  if (size > node.size && cuts !== node.cuts) fail('ESTALE');
}

function newNode(
  type: NodeType,
  parent: NodeId,
  made: { perm: number; uid: number; gid: number; nowMs: number },
): ModelNode {
  return {
    type,
    perm: made.perm,
    uid: made.uid,
    gid: made.gid,
    size: 0,
    nlink: type === 'dir' ? 2 : 1,
    mtime: made.nowMs,
    ctime: made.nowMs,
    dirv: type === 'dir' ? 1 : 0,
    dv: 0,
    cuts: 0,
    target: '',
    parent,
    children: new Map(),
    openers: new Set(),
  };
}

/** A file has the times of a writer whose clock may be ahead. */
function change(node: ModelNode, nowMs: number): void {
  node.ctime = Math.max(node.ctime, nowMs);
}

function touch(dir: ModelNode, nowMs: number): void {
  dir.mtime = Math.max(dir.mtime, nowMs);
  change(dir, nowMs);
  dir.dirv += 1;
}

function checkName(name: string, dots: string | undefined): void {
  if (name.length > 255) fail('ENAMETOOLONG');
  if (name.includes('/')) fail('EINVAL');
  if (dots !== undefined && (name === '.' || name === '..')) fail(dots);
}
