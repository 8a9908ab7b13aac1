/** Locks as `dfs locks` shows them. */
import { type LockKind, type LockType, WHOLE_FILE } from './locks.ts';

/** Field names are stable: programs read them. */
export interface ListedLock {
  readonly ino: number;
  /** From the mountpoint on, where it is known; else `inode 1025`. */
  readonly path: string;
  readonly kind: LockKind;
  readonly type: LockType;
  /** First and last byte, decimal, as offsets may be larger than a double can say. */
  readonly start: string;
  /** null: to the end of the file, wherever that is. */
  readonly end: string | null;
  /** Name of the machine; empty when nobody knows it. */
  readonly machine: string;
  readonly pid: number;
  /** It is not had yet. */
  readonly waits: boolean;
}

export interface LockList {
  readonly locks: readonly ListedLock[];
  /** There are more. */
  readonly truncated: boolean;
}

function bytesOf({ end, start }: ListedLock): string {
  if (end === null) return start === '0' ? 'whole file' : `from ${start}`;
  return start === end ? start : `${start}-${end}`;
}

/** A table for people; undefined when nothing is locked. */
export function lockTable({ locks, truncated }: LockList): string | undefined {
  if (locks.length === 0) return undefined;
  const rows = [
    ['KIND', 'MODE', 'BYTES', 'MACHINE', 'PID', '', 'FILE'],
    ...locks.map((lock) => [
      lock.kind,
      lock.type,
      bytesOf(lock),
      lock.machine,
      String(lock.pid),
      lock.waits ? 'waits' : '',
      lock.path,
    ]),
  ];
  const widths = [0, 1, 2, 3, 4, 5].map((at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  );
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '));
  return [...lines, ...(truncated ? ['there are more'] : [])].join('\n');
}

/** As it is shown: nobody writes the last offset there is. */
export function shownEnd(end: bigint): string | null {
  return end === WHOLE_FILE.end ? null : String(end);
}
