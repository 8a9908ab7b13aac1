/**
 * Where other nodes dial a peer, as far as the metaserver can tell: what the peer advertises, else
 * where its connection comes from. A loopback address means the metaserver's own host, written
 * `:PORT`, because it would lead another host to itself.
 */
import { isIP } from 'node:net';
import { formatAddress, isLoopback } from '../common/address.ts';

const HOST_CHARS_MAX = 253;
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?$/i;
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const BRACKETS = /^\[(.*)\]$/;

export interface PeerPlace {
  /** The host others should dial; empty: the one the connection comes from. */
  readonly advertise: string;
  /** See sourceHost; undefined is the metaserver's own host. */
  readonly source: string | undefined;
  /** Above 0. */
  readonly port: number;
}

/** Without brackets; IPv4 that is written as IPv6 becomes IPv4 again. */
function plain(host: string): string {
  const inner = BRACKETS.exec(host)?.[1] ?? host;
  return MAPPED.exec(inner)?.[1] ?? inner;
}

/** Whether somebody can dial this: a name, or an address of one machine. */
export function isDialable(host: string): boolean {
  const bare = plain(host);
  if (bare.length > HOST_CHARS_MAX || bare === '0.0.0.0' || bare === '::') return false;
  return isIP(bare) !== 0 || HOST_NAME.test(bare);
}

/**
 * @param peer the other end of a connection as gRPC names it: IP:PORT, IPv6 without brackets
 * @returns undefined for this host: loopback, or no address as on a unix socket
 */
export function sourceHost(peer: string): string | undefined {
  const end = peer.lastIndexOf(':');
  const host = plain(end < 0 ? peer : peer.slice(0, end));
  return isIP(host) === 0 || isLoopback(host) ? undefined : host;
}

/** HOST:PORT, or `:PORT` for the metaserver's own host. */
export function peerAddress({ advertise, source, port }: PeerPlace): string {
  const host = advertise === '' ? source : plain(advertise);
  if (host === undefined || isLoopback(host)) return `:${port}`;
  return formatAddress({ host, port });
}
