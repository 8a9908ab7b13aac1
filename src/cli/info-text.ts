/** An inode in lines for people: `dfs info`. */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../common/attr.ts';
import type { InodeInfo } from '../common/core/inode-info.ts';
import { formatBytes, formatCount } from '../common/units.ts';

const TYPES = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symbolic link'],
]);

function locksOf({ lockDecider, locks, waitingLocks }: InodeInfo): string {
  if (lockDecider !== null) return `"${lockDecider}" alone, which decides about them itself`;
  if (locks + waitingLocks === 0) return 'none';
  return `${formatCount(locks, 'lock')}, ${waitingLocks} waiting: \`dfs locks\` shows them`;
}

export function infoText(info: InodeInfo): string {
  const { gid, home, ino, leases, mode, mtime, nlink, openers, path, size, uid } = info;
  const type = TYPES.get(mode & S_IFMT) ?? 'special file';
  const rights = (mode & 0o7777).toString(8).padStart(4, '0');
  const held = leases.map(({ exclusive, machine, recalled }) => {
    const does = exclusive ? 'may write' : 'remembers it';
    return `"${machine}" ${does}${recalled ? ', and is asked to let go' : ''}`;
  });
  const rows: [string, string][] = [
    ['path', path],
    ['inode', `${ino}, ${type}, ${formatBytes(size)}, ${formatCount(nlink, 'link')}`],
    ['rights', `${rights}, owner ${uid}:${gid}`],
    ['changed', new Date(mtime * 1_000).toISOString()],
  ];
  if (home !== null) {
    const where = home.machine === '' ? 'nobody has it' : `"${home.machine}"`;
    rows.push(['home', `${where}${home.up ? '' : ', which is down'} (group ${home.group})`]);
  }
  rows.push(
    ['leases', held.length === 0 ? 'none' : held.join('; ')],
    ['open', openers.length === 0 ? 'not known without a lease' : openers.join(', ')],
    ['locks', locksOf(info)],
  );
  return rows.map(([name, text]) => `${name.padEnd(10)}${text}`).join('\n');
}
