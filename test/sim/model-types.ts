/** The words of the model: nodes, operations and what they must answer. */
export type NodeType = 'file' | 'dir' | 'symlink' | 'fifo';
export type NodeId = number;

export interface ModelNode {
  readonly type: NodeType;
  perm: number;
  uid: number;
  gid: number;
  size: number;
  nlink: number;
  /** Milliseconds of the clock. */
  mtime: number;
  ctime: number;
  dirv: number;
  dv: number;
  cuts: number;
  target: string;
  parent: NodeId;
  readonly children: Map<string, NodeId>;
  /** Sessions that keep it without a name. */
  readonly openers: Set<number>;
}

export type Shape = Omit<ModelNode, 'children' | 'openers' | 'parent' | 'target'>;

/** What an operation must answer. */
export type Outcome =
  | { readonly error: string }
  | {
      readonly error: undefined;
      /** The node of the reply's first attr, as it then is. */
      readonly node?: Named;
      readonly parent?: Named;
      readonly newParent?: Named;
      readonly other?: Named;
      readonly kept?: boolean;
      readonly existed?: boolean;
      readonly target?: string;
      readonly names?: ReadonlyMap<string, NodeId>;
      readonly files?: number;
    };

export interface Named {
  readonly id: NodeId;
  readonly shape: Shape;
}

export interface Caller {
  readonly sid: number;
  readonly nowMs: number;
  readonly mayGrow: boolean;
}

/** References to nodes: undefined stands for an ino that never existed. */
export type Ref = NodeId | undefined;

export type ModelOp =
  | { readonly kind: 'lookup'; readonly dir: Ref; readonly name: string }
  | { readonly kind: 'getattr' | 'readlink' | 'readdir'; readonly node: Ref }
  | { readonly kind: 'statfs' }
  | {
      readonly kind: 'make';
      readonly dir: Ref;
      readonly name: string;
      readonly type: NodeType;
      readonly perm: number;
      readonly uid: number;
      readonly gid: number;
      readonly target: string;
      readonly openExisting: boolean;
    }
  | {
      readonly kind: 'remove';
      readonly dir: Ref;
      readonly name: string;
      readonly directory: boolean;
      readonly known: Ref;
      readonly open: boolean;
    }
  | {
      readonly kind: 'rename';
      readonly dir: Ref;
      readonly name: string;
      readonly newDir: Ref;
      readonly newName: string;
      readonly flags: number;
      readonly known: Ref;
      readonly open: boolean;
    }
  | { readonly kind: 'link'; readonly node: Ref; readonly dir: Ref; readonly name: string }
  | {
      readonly kind: 'setattr';
      readonly node: Ref;
      readonly perm: number | undefined;
      readonly uid: number | undefined;
      readonly size: number | undefined;
      readonly mtime: number | undefined;
      readonly cut: boolean;
      /** What the caller knows of. */
      readonly cuts: number;
    }
  | {
      readonly kind: 'flush';
      readonly node: Ref;
      readonly size: number;
      readonly mtime: number;
      readonly cuts: number;
      /** The bytes went to the life of the home before this one. */
      readonly stale: boolean;
    }
  | { readonly kind: 'close'; readonly nodes: readonly Ref[] }
  | { readonly kind: 'reclaimed'; readonly nodes: readonly Ref[] };

export type RenameOp = Extract<ModelOp, { kind: 'rename' }>;

export const ROOT: NodeId = 1;
