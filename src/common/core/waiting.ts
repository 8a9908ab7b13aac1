/** Requests of programs that wait, as `dfs status` shows them. */

/** A machine that stands in the way of a request, as the metaserver tells it. */
export interface Blocker {
  /** Name of the machine; empty when nobody knows it. */
  readonly node: string;
  /** It is this machine. */
  readonly own: boolean;
  /**
   * `holds`: a lease that was called back · `earlier`: an operation of it comes first · `unsettled`:
   * the metaserver was restarted, and it has not said what it holds · `evicted`: it was silent for
   * too long, and its leases are about to fall.
   */
  readonly because: 'holds' | 'earlier' | 'unsettled' | 'evicted';
  /** The inode it is about; 0: all of them. */
  readonly ino: number;
  /** Since the lease was called back, or until those of an evicted machine are over. */
  readonly ms: number;
  /** Machines that have not confirmed yet that they refuse the evicted one. */
  readonly homes: readonly string[];
}

/** A request of the kernel, and what it is about. */
export interface Subject {
  /** `WRITE` */
  readonly op: string;
  readonly ms: number;
  /** The inode; the directory, for what is about a name. */
  readonly ino: number;
  /** From the mountpoint on, with the name where that is known. */
  readonly path: string;
}

/** As `dfs status --json` shows it; field names are stable. */
export interface WaitingRequest extends Subject {
  /**
   * `metaserver`, `lease`, `disk`, the home of the file (`peer beta`), or `here`: something that was
   * begun on this machine before.
   */
  readonly for: string;
  /** The same in a sentence, with the machines that stand in the way. */
  readonly why: string;
  /** Of a request that waits for a lease. */
  readonly blockers: readonly Blocker[];
}

/** `inode` of these is a directory. */
const ABOUT_NAMES: ReadonlySet<string> = new Set([
  'LOOKUP',
  'CREATE',
  'MKNOD',
  'MKDIR',
  'SYMLINK',
  'UNLINK',
  'RMDIR',
  'RENAME',
  'RENAME2',
  'LINK',
]);

/** The request is about a name in the directory `ino`. */
export function isAboutName(op: string): boolean {
  return ABOUT_NAMES.has(op);
}

/** `write of src/a.c (inode 7), 6 s: machine "nas" has not given it up` */
export function waitingText({ ino, ms, op, path, why }: WaitingRequest): string {
  const what = op.toLowerCase().replace(/2$|plus$/, '');
  const name = path === '' ? 'the mountpoint' : printable(path);
  const place = isAboutName(op) ? `in inode ${ino}` : `inode ${ino}`;
  return `${what} of ${name} (${place}), ${seconds(ms)}: ${printable(why)}`;
}

export function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** Names are what programs choose: nothing in them moves the cursor. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
