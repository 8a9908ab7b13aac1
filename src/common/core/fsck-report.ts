/** What `dfs fsck` finds. Field names and codes are stable: programs read them. */

/** What each code means is in docs/FORMAT.md, as what always holds. */
export type FsckCode =
  /** A record that cannot be decoded. */
  | 'unreadable'
  /** A name, an opener or something else that belongs to an inode which is not there. */
  | 'missing-inode'
  /** A name whose type is not that of its inode, or an inode of no type at all. */
  | 'wrong-type'
  /** Names in what is no directory, or in one that was removed. */
  | 'no-directory'
  /** A directory that says it hangs elsewhere. */
  | 'wrong-parent'
  /** A directory that lies within itself. */
  | 'unreachable'
  /** The name and its place in the listing do not agree. */
  | 'wrong-slot'
  /** A count of an inode that is not what is counted: links, entries, openers. */
  | 'wrong-links'
  | 'wrong-entries'
  | 'wrong-openers'
  /** Neither a name nor an opener keeps it. */
  | 'orphan'
  /** An opener of an inode that has names, or of a session that has ended. */
  | 'stray-opener'
  /** A symbolic link without a target, or a target of something else. */
  | 'wrong-target'
  /** An inode that is there, and in the queue of those that are gone. */
  | 'reclaimed-alive'
  /** A file in a group that does not exist. */
  | 'no-group'
  /** The reply of a session that has ended. */
  | 'stray-reply'
  /** A counter of the database that is not what is counted. */
  | 'wrong-counter';

/** UTF-8, or what is not. */
export type ShownName = string | { readonly b64: string };

/** Inside the metaserver a name has one char a byte. */
export interface FsckFinding<Name = ShownName> {
  readonly code: FsckCode;
  /** 0: it is about no inode. */
  readonly ino: number;
  /** The directory and the name in it, where it is about a name; else 0 and ''. */
  readonly dir: number;
  readonly name: Name;
  readonly message: string;
}

/** How many of each were looked at. */
export interface FsckTotals {
  readonly inodes: number;
  readonly names: number;
  readonly openers: number;
  readonly reclaimPending: number;
}

export interface NamespaceReport<Name = ShownName> extends FsckTotals {
  readonly counts: Readonly<Partial<Record<FsckCode, number>>>;
  /** The first ones; `counts` has them all. */
  readonly findings: readonly FsckFinding<Name>[];
}

/** The backing files of one machine, and those that belong to no file. */
export interface BackingReport {
  readonly machine: string;
  readonly files: number;
  readonly strays: number;
  readonly strayBytes: number;
  /** The first ones. */
  readonly strayInos: readonly number[];
}

export interface FsckReport {
  readonly clean: boolean;
  readonly namespace: NamespaceReport;
  readonly backing: BackingReport;
}
