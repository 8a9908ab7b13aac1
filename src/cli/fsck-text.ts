/** What a check found, in lines for people: `dfs fsck`. */
import type { BackingReport, FsckFinding, FsckReport } from '../common/core/fsck-report.ts';
import { formatBytes, formatCount } from '../common/units.ts';

function nameOf({ dir, name }: FsckFinding): string {
  if (dir === 0) return '';
  const shown = typeof name === 'string' ? JSON.stringify(name) : `base64 ${name.b64}`;
  return ` (${shown} in directory ${dir})`;
}

function lineOf(finding: FsckFinding): string {
  const { code, ino, message } = finding;
  const about = ino === 0 ? '' : `inode ${ino}: `;
  return `  ${code.padEnd(15)}  ${about}${message}${nameOf(finding)}`;
}

/** How many things are wrong in the namespace. */
export function namespaceCount({ namespace }: FsckReport): number {
  return Object.values(namespace.counts).reduce((sum, each) => sum + each, 0);
}

function backingText({ files, machine, strayBytes, strayInos, strays }: BackingReport): string[] {
  const told = `backing    ${formatCount(files, 'file')} on "${machine}"`;
  if (strays === 0) return [`${told}, all of them wanted`];
  const more = strays > strayInos.length ? ' and more' : '';
  return [
    `${told}, ${strays} of them for nothing: ${formatBytes(strayBytes)}`,
    `  inodes that are not there: ${strayInos.join(', ')}${more}`,
  ];
}

export function fsckText(report: FsckReport): string {
  const { findings, inodes, names, openers, reclaimPending } = report.namespace;
  const wrong = namespaceCount(report);
  const totals = [
    formatCount(inodes, 'inode'),
    formatCount(names, 'name'),
    `${openers} open without a name`,
    `${reclaimPending} to be deleted`,
  ];
  const more = wrong - findings.length;
  return [
    `namespace  ${totals.join(', ')}: ${wrong === 0 ? 'nothing is wrong' : `${wrong} wrong`}`,
    ...findings.map(lineOf),
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...backingText(report.backing),
  ].join('\n');
}

/** What is said beside it, when something is wrong. */
export function fsckVerdict(report: FsckReport): string {
  const wrong = namespaceCount(report);
  const { machine, strays } = report.backing;
  const parts = [
    ...(wrong > 0 ? [`${formatCount(wrong, 'thing')} in the namespace`] : []),
    ...(strays > 0 ? [`${formatCount(strays, 'backing file')} on "${machine}"`] : []),
  ];
  return `something is wrong with ${parts.join(' and ')}; nothing was changed`;
}
