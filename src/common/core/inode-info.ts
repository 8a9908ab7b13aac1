/** An inode as `dfs info` shows it. */
/** Field names are stable: programs read them. */
export interface InodeInfo {
  readonly path: string;
  readonly ino: number;
  /** As stat(2) has it, with the bits of the type. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Of a file: the machine that keeps its bytes, in which group. */
  readonly home: { readonly machine: string; readonly up: boolean; readonly group: number } | null;
  readonly leases: readonly {
    readonly machine: string;
    /** It may write; else it may remember what it has seen. */
    readonly exclusive: boolean;
    /** Somebody waits for it. */
    readonly recalled: boolean;
  }[];
  /** Machines that have it open and no lease. */
  readonly openers: readonly string[];
  readonly locks: number;
  readonly waitingLocks: number;
  /** The machine that decides about its locks alone, and may have more; null: none does. */
  readonly lockDecider: string | null;
}
