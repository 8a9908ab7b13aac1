/** Judges what several processes recorded: every object by itself, and how many calls failed. */
import { checkAppends } from './core/append.ts';
import { checkCounter } from './core/counter.ts';
import { describe, explain, type Fault, type Timed, type Verdict } from './core/history.ts';
import { checkLocks } from './core/locks.ts';
import { checkNames } from './core/names.ts';
import { checkBlock } from './core/register.ts';
import { isRefusal, type LockObjects, lockObjectsOf } from './lock-objects.ts';
import { type Objects, objectsOf } from './objects.ts';
import type { Entry } from './record.ts';
import { callsWithoutName, isUnlinkable, untilLastSeen } from './unlinked.ts';

/** From the moment at which something was broken until all nodes saw the cluster whole again. */
export interface Window {
  readonly what: string;
  readonly beginNs: number;
  readonly endNs: number;
  /** Machines whose programs may have lost what they had not synced. */
  readonly losers: readonly number[];
  /** Machines whose programs may have lost their descriptors and what they had locked. */
  readonly forgetters: readonly number[];
}

export interface Count {
  ok: number;
  failed: number;
  /** Nobody knows whether it happened: it failed, or its process ended. */
  unknown: number;
}

export interface LockCounts {
  /** Pieces of files that were surely locked for a time. */
  holds: number;
  refusals: number;
  /** In vain, and long enough to be judged. */
  waits: number;
  /** Certain ones, to counters under a lock. */
  additions: number;
}

export interface Report {
  readonly objects: number;
  readonly judged: number;
  readonly wrong: readonly string[];
  readonly undecided: readonly string[];
  /** Reads of a block while a program of the same machine wrote it, which saw some of that. */
  readonly metHere: number;
  readonly locks: LockCounts;
  /** Calls that succeeded on files that had no name any more. */
  readonly withoutName: number;
  readonly counts: Readonly<Record<string, { inside: Count; outside: Count }>>;
  readonly failuresOutside: readonly string[];
  /** Of the calls outside windows, how many succeeded. */
  readonly successOutside: number;
  readonly longestMs: number;
}

/** Answers that say what was there. */
const TELLING = new Set(['EEXIST', 'ENOENT']);
const BY_NAME = new Set(['create', 'unlink', 'rename', 'link', 'stat', 'hold']);
const CHANGES = new Set(['pwrite', 'cut', 'append', 'create', 'unlink', 'rename', 'link']);

function hasFailed(entry: Entry): boolean {
  const { op, error } = entry;
  return error !== undefined && !(BY_NAME.has(op) && TELLING.has(error)) && !isRefusal(entry);
}

/**
 * A call that failed because of what happened to the descriptor since it was opened is counted to
 * that: a program has to open a file anew when its node died, and an error is told once.
 */
function isInside(entry: Entry, windows: readonly Window[]): boolean {
  const sinceNs = hasFailed(entry) ? entry.heldSinceNs : entry.invokeNs;
  return windows.some(({ beginNs, endNs }) => sinceNs <= endNs && entry.returnNs >= beginNs);
}

function count(entries: readonly Entry[], windows: readonly Window[]): Report['counts'] {
  const counts: Record<string, { inside: Count; outside: Count }> = {};
  const none = (): Count => ({ ok: 0, failed: 0, unknown: 0 });
  for (const entry of entries) {
    const both = counts[entry.op] ?? { inside: none(), outside: none() };
    counts[entry.op] = both;
    const side = isInside(entry, windows) ? both.inside : both.outside;
    if (!hasFailed(entry)) side.ok += 1;
    else if (CHANGES.has(entry.op) && entry.error !== 'ENOTCONN') side.unknown += 1;
    else side.failed += 1;
  }
  return counts;
}

function faultsOf(windows: readonly Window[]): Fault[] {
  return windows.flatMap(({ losers, beginNs, endNs }) =>
    losers.map((mount) => ({ mount, beginNs, endNs })),
  );
}

/** Those that had not ended before any of the calls was made. */
function since(faults: readonly Fault[], calls: readonly Timed[]): readonly Fault[] {
  const beginNs = Math.min(...calls.map(({ invokeNs }) => invokeNs));
  return faults.filter(({ endNs }) => endNs >= beginNs);
}

function verdictsOf(
  { blocks, appends, names, finals }: Objects,
  faults: readonly Fault[],
): Verdict[] {
  return [
    ...[...blocks].map(([block, calls]) => checkBlock(block, calls, since(faults, calls))),
    ...[...appends].map(([file, calls]): Verdict => {
      if (isUnlinkable(file)) {
        const seen = untilLastSeen(calls);
        return checkAppends(file, seen.calls, seen.final, since(faults, calls));
      }
      const final = finals.get(file);
      if (final === undefined)
        return { kind: 'undecided', object: `${file}: never read in the end` };
      return checkAppends(file, calls, final, since(faults, calls));
    }),
    ...[...names].map(([group, calls]) => checkNames(`names in ${group}`, calls)),
  ];
}

/**
 * The kernel copies into a page while programs of the same machine read it, on any filesystem: such
 * a read may see a part of a write that has not returned. Of other machines' writes it never may.
 */
function isTornHere({ torn: entry }: { torn: Entry }, entries: readonly Entry[]): boolean {
  const words = entry.value as readonly number[];
  const writes = entries.filter(
    ({ op, mount, about, invokeNs, returnNs }) =>
      op === 'pwrite' &&
      mount === entry.mount &&
      words.includes(about.w ?? 0) &&
      invokeNs <= entry.returnNs &&
      returnNs >= entry.invokeNs,
  );
  return writes.length > 0;
}

function tornReads(objects: Objects, entries: readonly Entry[]): { wrong: string[]; here: number } {
  const foreign = objects.torn.filter(({ entry }) => !isTornHere({ torn: entry }, entries));
  const wrong = foreign.map(({ block, entry }) =>
    explain({
      object: block,
      reason: 'half of one write and half of another were read',
      calls: [describe(entry, `read ${JSON.stringify(entry.value)}`)],
    }),
  );
  return { wrong, here: objects.torn.length - foreign.length };
}

function locksOf(
  { locks, counters }: LockObjects,
  windows: readonly Window[],
): { readonly verdicts: readonly Verdict[]; readonly counts: LockCounts } {
  const reports = [...locks].map(([object, calls]) => checkLocks(object, calls, windows));
  const counts: LockCounts = { holds: 0, refusals: 0, waits: 0, additions: 0 };
  for (const { holds, refusals, waits } of reports) {
    counts.holds += holds;
    counts.refusals += refusals;
    counts.waits += waits;
  }
  const verdicts = reports.map(({ verdict }) => verdict);
  for (const [file, additions] of counters) {
    counts.additions += additions.filter(({ optional }) => optional !== true).length;
    verdicts.push(checkCounter(`counter in ${file}`, additions));
  }
  return { verdicts, counts };
}

/**
 * A file of a round is there from the beginning, so that nobody may miss it; nor may it go while it
 * is open, with its name or without, as long as its machine keeps the descriptor.
 */
function missing(entries: readonly Entry[], windows: readonly Window[]): string[] {
  const isForgotten = ({ mount, heldSinceNs, returnNs }: Entry): boolean =>
    windows.some(
      ({ forgetters, beginNs, endNs }) =>
        forgetters.includes(mount) && heldSinceNs <= endNs && returnNs >= beginNs,
    );
  return entries
    .filter((entry) => {
      const { op, file, error } = entry;
      if (BY_NAME.has(op)) return false;
      if (isUnlinkable(file))
        return (error === 'ENOENT' || error === 'ESTALE') && !isForgotten(entry);
      return error === 'ENOENT';
    })
    .map((entry) => `${entry.file}: not found\n    ${describe(entry, entry.op)}`);
}

export function judge(entries: readonly Entry[], windows: readonly Window[]): Report {
  const objects = objectsOf(entries);
  const locks = locksOf(lockObjectsOf(entries), windows);
  const verdicts = [...verdictsOf(objects, faultsOf(windows)), ...locks.verdicts];
  const torn = tornReads(objects, entries);
  const outside = entries.filter((entry) => !isInside(entry, windows));
  const failures = outside.filter(hasFailed);
  const ms = ({ invokeNs, returnNs }: Entry): number => (returnNs - invokeNs) / 1e6;
  return {
    objects: verdicts.length,
    judged: entries.length,
    wrong: [
      ...verdicts.flatMap((each) => (each.kind === 'wrong' ? [explain(each.violation)] : [])),
      ...torn.wrong,
      ...missing(entries, windows),
    ],
    undecided: verdicts.flatMap((each) => (each.kind === 'undecided' ? [each.object] : [])),
    metHere: torn.here + objects.early,
    locks: locks.counts,
    withoutName: callsWithoutName(entries),
    counts: count(entries, windows),
    failuresOutside: failures.map(
      (entry) => `${describe(entry, entry.op)} ${entry.error} ${entry.file}`,
    ),
    successOutside: outside.length === 0 ? 0 : 1 - failures.length / outside.length,
    longestMs: entries
      .filter(({ returnNs }) => Number.isFinite(returnNs))
      .reduce((longest, entry) => Math.max(longest, ms(entry)), 0),
  };
}
