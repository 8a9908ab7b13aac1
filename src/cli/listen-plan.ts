/**
 * Where this node is to listen: config.json over what it remembers over the defaults. Whoever
 * reaches a listener can read and change everything, so one beyond this machine must be wanted
 * with --insecure. Nothing is done here.
 */
import { formatAddress, isLoopback, parseAddress } from '../common/address.ts';
import type { Config } from '../common/config.ts';
import { FsError } from '../common/errno.ts';
import type { ListenRecord } from '../common/listen-record.ts';
import type { ListenWish } from '../common/rpc/listen-wish.ts';
import { METASERVER_PORT, PEER_PORT } from './settings.ts';

const LOOPBACK = '127.0.0.1';
export const EVERY_IPV4 = '0.0.0.0';

/** The settings that decide about listeners. */
export type ListenConfig = Pick<Config, 'join' | 'listen' | 'peerListen' | 'insecure'>;

interface WishInput {
  readonly text: string | undefined;
  readonly defaultHost: string;
  readonly defaultPort: number;
  readonly remembered: number | undefined;
}

function wish({ text, defaultHost, defaultPort, remembered }: WishInput): ListenWish {
  const port = remembered ?? defaultPort;
  if (text === undefined) return { host: defaultHost, port, exact: false };
  const named = parseAddress(text, -1);
  if (named.port > 0) return { ...named, exact: true };
  // `:0` wants any free port once; after that it is as good as a name.
  if (named.port === 0) return { host: named.host, port: remembered ?? 0, exact: false };
  return { host: named.host, port, exact: false };
}

/** @throws FsError EACCES */
function refuseOpen(wanted: ListenWish, insecure: boolean, flag: string): void {
  if (insecure || isLoopback(wanted.host)) return;
  throw new FsError(
    'EACCES',
    `${flag} ${formatAddress(wanted)} opens this node to the network without encryption: add --insecure if you trust everybody there, or listen on ${LOOPBACK}`,
  );
}

/** @throws FsError EACCES it lies beyond this machine and --insecure was never given */
export function planMetaserverListener(config: ListenConfig, record: ListenRecord): ListenWish {
  const wanted = wish({
    text: config.listen,
    defaultHost: LOOPBACK,
    defaultPort: METASERVER_PORT,
    remembered: record.metaserver[0]?.port,
  });
  refuseOpen(wanted, config.insecure === true, '--listen');
  return wanted;
}

/** A founder listens beside its metaserver; a joiner where the metaserver's network reaches it. */
function defaultPeerHost({ join, listen }: ListenConfig): string {
  if (join === undefined) return listen === undefined ? LOOPBACK : parseAddress(listen, 0).host;
  return isLoopback(parseAddress(join, 0).host) ? LOOPBACK : EVERY_IPV4;
}

/** Whether a node that joins through the network may not serve its data there. */
export function isClientOnly({ join, peerListen, insecure }: ListenConfig): boolean {
  if (join === undefined || peerListen !== undefined || insecure === true) return false;
  return !isLoopback(parseAddress(join, 0).host);
}

/**
 * @returns undefined for a node that is a client only
 * @throws FsError EACCES it lies beyond this machine and --insecure was never given
 */
export function planPeerListener(
  config: ListenConfig,
  record: ListenRecord,
): ListenWish | undefined {
  if (isClientOnly(config)) return undefined;
  const wanted = wish({
    text: config.peerListen,
    defaultHost: defaultPeerHost(config),
    defaultPort: PEER_PORT,
    remembered: record.peer?.port,
  });
  refuseOpen(wanted, config.insecure === true, '--peer-listen');
  return wanted;
}
