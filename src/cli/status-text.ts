/** `dfs status` for people: a few lines a screen, the problems last, each with what to do. */

import { waitingText } from '../common/core/waiting.ts';
import { formatBytes } from '../common/units.ts';
import type { StatusDocument } from './status-document.ts';

const WAITING_LINES_MAX = 10;

const CODES = { green: 32, red: 31, yellow: 33, bold: 1 } as const;
type Paint = (colour: keyof typeof CODES, text: string) => string;

function painter(colour: boolean): Paint {
  return (name, text) => (colour ? `\x1b[${CODES[name]}m${text}\x1b[0m` : text);
}

/** Columns as wide as their longest cell; colour codes come after measuring. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function stateText(paint: Paint, state: string): string {
  if (state === 'up') return paint('green', state);
  return paint(state === 'starting' || state === 'stopping' ? 'yellow' : 'red', state);
}

function headLines(status: StatusDocument, paint: Paint): string[] {
  const { cluster, metaserver, node } = status;
  const pid = node.pid === null ? '' : `, pid ${node.pid}`;
  return [
    `cluster     ${paint('bold', cluster.name)} (${cluster.id})`,
    `metaserver  ${stateText(paint, metaserver.state)}, ${metaserver.address}`,
    `node        ${stateText(paint, node.state)}, ${node.name}${pid}, state ${node.stateDir}`,
  ];
}

/** `guardian    up, pid 12 (node started again 2 times)` */
function guardianLine({ supervision }: StatusDocument): string {
  const { pid, roles, state } = supervision;
  if (state === 'none') return 'guardian    none';
  const again = Object.entries(roles)
    .filter(([, { restarts }]) => restarts > 0)
    .map(([name, { restarts }]) => `${name} started again ${restarts}x`);
  return `guardian    up, pid ${pid ?? '?'}${again.length === 0 ? '' : ` (${again.join(', ')})`}`;
}

function mountLines(status: StatusDocument, paint: Paint): string[] {
  if (status.mounts.length === 0) return ['mount       none'];
  return status.mounts.map((mount) => {
    const files = 'openFiles' in mount ? `, ${mount.openFiles} open files` : '';
    const mode = 'readOnly' in mount && mount.readOnly ? ', read-only' : '';
    const state = stateText(paint, mount.state);
    return `mount       ${state}, ${mount.mountpoint} (${mount.driver}${mode})${files}`;
  });
}

/** `write of src/a.c (inode 7), 6 s: machine "nas" has not given it up` */
function waitingLines(status: StatusDocument, paint: Paint): string[] {
  return status.mounts.flatMap((mount) => {
    if (!('waiting' in mount)) return [];
    const shown = mount.waiting.slice(0, WAITING_LINES_MAX);
    const lines = shown.map((request) => `waits       ${paint('yellow', waitingText(request))}`);
    const rest = mount.waitingCount - shown.length;
    return rest > 0 ? [...lines, `            and ${rest} more requests`] : lines;
  });
}

function cacheLine({ cache }: StatusDocument): string {
  const { bytes, limitBytes, hits, misses, bytesFetched, bytesServedToPeers } = cache;
  const reads = hits + misses;
  const ratio = reads === 0 ? '' : `, ${Math.floor((100 * hits) / reads)} % hits`;
  const size = `${formatBytes(bytes)} of ${formatBytes(limitBytes)}${ratio}`;
  const traffic = `${formatBytes(bytesFetched)} fetched, ${formatBytes(bytesServedToPeers)} served to peers`;
  return `cache       ${size}, ${traffic}`;
}

function listenLines({ listen }: StatusDocument): string[] {
  const { metaserver, peer } = listen;
  const parts = [
    ...(metaserver.length === 0 ? [] : [`metaserver ${metaserver.join(' ')}`]),
    ...(peer === null ? [] : [`data ${peer}`]),
  ];
  return parts.length === 0 ? [] : [`listens     ${parts.join(', ')}`];
}

type Peer = StatusDocument['peers'][number];

/** A peer that is up and stores nothing is a client, which is worth knowing first. */
function peerState({ state, stores, since }: Peer): string {
  if (state === 'down') return `down since ${since.slice(0, 16).replace('T', ' ')} UTC`;
  return state === 'up' && !stores ? 'client' : state;
}

function peerLines(status: StatusDocument): string[] {
  if (status.peers.length === 0) return [];
  const rows = status.peers.map((peer) => [
    peer.name,
    peerState(peer),
    peer.address === '' ? '-' : peer.address,
    peer.stores ? 'yes' : 'no',
    formatBytes(peer.bytesOwned),
    formatBytes(peer.bytesCached),
    formatBytes(peer.bytesFree),
    formatBytes(peer.bytesTotal),
    peer.unreachableFrom.join(', '),
  ]);
  return ['', ...table([headings(status), ...rows])];
}

function headings({ peers }: StatusDocument): string[] {
  const always = ['PEER', 'STATE', 'ADDRESS', 'STORES', 'OWNED', 'CACHED', 'FREE', 'DISK'];
  const cutOff = peers.some(({ unreachableFrom }) => unreachableFrom.length > 0);
  return cutOff ? [...always, 'UNREACHABLE FROM'] : always;
}

function problemLines(status: StatusDocument, paint: Paint): string[] {
  if (status.problems.length === 0) return ['', paint('green', 'no open problems')];
  return [
    '',
    ...status.problems.flatMap(({ message, action }) => [
      `${paint('red', 'problem')}  ${message}`,
      `         ${action}`,
    ]),
  ];
}

export function statusText(status: StatusDocument, options: { readonly colour: boolean }): string {
  const paint = painter(options.colour);
  return [
    ...headLines(status, paint),
    guardianLine(status),
    ...mountLines(status, paint),
    ...waitingLines(status, paint),
    ...(status.node.state === 'up' ? [cacheLine(status)] : []),
    ...listenLines(status),
    ...peerLines(status),
    ...problemLines(status, paint),
  ].join('\n');
}
