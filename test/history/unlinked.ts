/**
 * Files that lose their names while they are open. Their content is named by name and mark, as
 * `r5/d2/w0.17`; when they are gone nobody can read them in the end, so that the longest read of an
 * appended one stands for that: of what nobody read, and was not appended before it, nobody knows.
 */
import type { AppendCall } from './core/append.ts';
import { precedes } from './core/history.ts';
import type { Entry } from './record.ts';

export function isUnlinkable(file: string): boolean {
  return /\/d2\/[aw]\d\.\d+$/.test(file);
}

type Read = AppendCall & { readonly kind: 'read' };

/** Of the last of the longest reads. */
export function lastSeen(calls: readonly AppendCall[]): Read | undefined {
  return calls
    .filter((call) => call.kind === 'read')
    .reduce<Read | undefined>((longest, read) => {
      if (longest === undefined || read.records.length > longest.records.length) return read;
      const isLater = read.invokeNs > longest.invokeNs;
      return read.records.length === longest.records.length && isLater ? read : longest;
    }, undefined);
}

/** The calls, and the records that the file had as far as anybody has seen. */
export function untilLastSeen(calls: readonly AppendCall[]): {
  readonly calls: readonly AppendCall[];
  readonly final: readonly (number | undefined)[];
} {
  const last = lastSeen(calls);
  const final = last?.records ?? [];
  const seen = new Set(calls.flatMap((call) => (call.kind === 'read' ? call.records : [])));
  const isUnseen = (call: AppendCall): boolean =>
    call.kind === 'append' &&
    !seen.has(call.record) &&
    (last === undefined || !precedes(call, last));
  return {
    calls: calls.map((call) =>
      isUnseen(call) ? { ...call, optional: true, returnNs: Number.POSITIVE_INFINITY } : call,
    ),
    final,
  };
}

/** The name and the mark, as the calls by name say them. */
function namesOf(file: string): { readonly group: string; readonly name: string; mark: number } {
  const [, group = '', name = '', mark = ''] = /^(.*)\/(\w+)\.(\d+)$/.exec(file) ?? [];
  return { group, name, mark: Number(mark) };
}

/** When each file was made, by group, name and mark, and when each name was removed. */
function removals(entries: readonly Entry[]): (file: string) => number {
  const made = new Map<string, number>();
  const removed = new Map<string, number[]>();
  for (const { op, error, file, about, returnNs } of entries) {
    if (error !== undefined) continue;
    const { a = '', m = 0 } = about;
    if (op === 'create') made.set(`${file} ${a} ${m}`, returnNs);
    if (op === 'unlink')
      removed.set(`${file} ${a}`, [...(removed.get(`${file} ${a}`) ?? []), returnNs]);
  }
  return (file) => {
    const { group, name, mark } = namesOf(file);
    const madeNs = made.get(`${group} ${name} ${mark}`);
    if (madeNs === undefined) return Number.POSITIVE_INFINITY;
    const later = (removed.get(`${group} ${name}`) ?? []).filter((ns) => ns > madeNs);
    return Math.min(...later);
  };
}

/** How many calls succeeded on files that had no name any more. */
export function callsWithoutName(entries: readonly Entry[]): number {
  const removedNs = removals(entries);
  return entries.filter(
    ({ file, error, invokeNs }) =>
      isUnlinkable(file) && error === undefined && invokeNs > removedNs(file),
  ).length;
}
