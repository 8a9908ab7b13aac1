/** What `dfs invite` opens and prints. Nothing is done here. */
import { isIP } from 'node:net';
import { type Address, formatAddress, isLoopback, parseAddress } from '../common/address.ts';
import type { Config, ConfigChanges } from '../common/config.ts';
import { EVERY_IPV4 } from './listen-plan.ts';
import { METASERVER_PORT, PEER_PORT } from './settings.ts';

const EVERY_IPV6 = '::';

export interface InvitePlan {
  readonly metaserver: Address;
  readonly peer: Address;
  /** For config.json, so that a restart opens the same. */
  readonly settings: ConfigChanges;
}

/** A host that others reach stays; a port that the user named stays too. */
function opened(text: string | undefined, host: string): string {
  if (text === undefined) return host;
  const named = parseAddress(text, -1);
  if (!isLoopback(named.host)) return text;
  if (named.port <= 0) return host;
  return formatAddress({ host, port: named.port });
}

function addressOf(text: string, remembered: number | undefined, defaultPort: number): Address {
  const { host, port } = parseAddress(text, 0);
  return { host, port: port === 0 ? (remembered ?? defaultPort) : port };
}

export interface InviteInput {
  readonly config: Pick<Config, 'listen' | 'peerListen'>;
  /** The ports in use. */
  readonly remembered: {
    readonly metaserver: number | undefined;
    readonly peer: number | undefined;
  };
  /** Of this machine; at least one. */
  readonly addresses: readonly string[];
}

export function planInvite({ config, remembered, addresses }: InviteInput): InvitePlan {
  const every = addresses.some((address) => isIP(address) === 4) ? EVERY_IPV4 : `[${EVERY_IPV6}]`;
  const listen = opened(config.listen, every);
  const peerListen = opened(config.peerListen, every);
  return {
    metaserver: addressOf(listen, remembered.metaserver, METASERVER_PORT),
    peer: addressOf(peerListen, remembered.peer, PEER_PORT),
    settings: { listen, peerListen, insecure: true },
  };
}

/** Whether a listener on `host` answers at `address`. */
export function covers(host: string, address: string): boolean {
  if (host === EVERY_IPV6) return true;
  return host === EVERY_IPV4 ? isIP(address) === 4 : host === address;
}

export interface ReachInput {
  /** Where the metaserver listens beyond this machine; at least one. */
  readonly listeners: readonly Address[];
  readonly addresses: readonly string[];
  readonly advertise: string | undefined;
}

/** HOST:PORT of every way in, the one to type first. */
export function waysIn({ listeners, addresses, advertise }: ReachInput): string[] {
  const ways = addresses.flatMap((host) =>
    listeners
      .filter((listener) => covers(listener.host, host))
      .map(({ port }) => formatAddress({ host, port })),
  );
  // A listener on a name, or on an address that no interface shows.
  const named = listeners
    .filter(({ host }) => host !== EVERY_IPV4 && host !== EVERY_IPV6)
    .map(formatAddress);
  const first = listeners.slice(0, advertise === undefined ? 0 : 1);
  const advertised = first.map(({ port }) =>
    formatAddress({ host: advertise?.replace(/^\[(.*)\]$/, '$1') ?? '', port }),
  );
  return [...new Set([...advertised, ...ways, ...named])];
}

/** The line to type on the next machine; on this one, it needs a folder and a place of its own. */
export function joinCommand(address: string): string {
  if (isLoopback(parseAddress(address, 0).host)) {
    return `./dfs mount /mnt/dfs2 --join ${address} --state /var/tmp/dfs2`;
  }
  return `./dfs mount /mnt/dfs --join ${address} --insecure`;
}
