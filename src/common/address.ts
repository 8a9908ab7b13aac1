/** Addresses as people type them and as the wire carries them: HOST:PORT, IPv6 in brackets. */
import { isIP } from 'node:net';
import { FsError } from './errno.ts';

export interface Address {
  /** Without brackets; empty in `:PORT`. */
  readonly host: string;
  /** 0 to 65535; 0 means any free one where something listens. */
  readonly port: number;
}

const PORT_MAX = 65_535;
const SHAPE = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]*))(?::(\d{1,5}))?$/;

/**
 * `HOST`, `HOST:PORT`, `[IPv6]:PORT`, `:PORT`.
 * @param defaultPort where the text names none
 * @throws FsError EINVAL saying what is wrong with it
 */
export function parseAddress(text: string, defaultPort: number): Address {
  const match = SHAPE.exec(text);
  if (match === null)
    throw new FsError('EINVAL', `'${text}' is no address: give HOST or HOST:PORT`);
  const [, bracketed, plain = '', digits] = match;
  if (bracketed !== undefined && isIP(bracketed) !== 6) {
    throw new FsError('EINVAL', `'${text}' is no address: [${bracketed}] is not IPv6`);
  }
  const host = bracketed ?? plain;
  if (host === '' && digits === undefined) throw new FsError('EINVAL', 'the address is empty');
  const port = digits === undefined ? defaultPort : Number(digits);
  if (port > PORT_MAX) throw new FsError('EINVAL', `'${text}': ports go up to ${PORT_MAX}`);
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach it. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || /^(?:.*\.)?localhost\.?$/i.test(host);
}

/**
 * Where to dial a peer, as the map of the cluster says it.
 * @param address HOST:PORT; `:PORT` stands for the metaserver's own host; empty: not reachable
 * @param metaserver as this node dials it, `unix:PATH` or HOST:PORT
 * @returns HOST:PORT, or undefined where there is nothing to dial
 * @throws FsError EINVAL it is no address
 */
export function resolvePeerAddress(address: string, metaserver: string): string | undefined {
  if (address === '') return undefined;
  const peer = parseAddress(address, 0);
  if (peer.host !== '') return formatAddress(peer);
  const host = metaserver.startsWith('unix:') ? '' : parseAddress(metaserver, 0).host;
  const isHere = host === '' || isLoopback(host);
  return formatAddress({ host: isHere ? '127.0.0.1' : host, port: peer.port });
}
