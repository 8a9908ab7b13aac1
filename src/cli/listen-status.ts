/** What `dfs status` tells of listeners: where they are, and which of them others reach. */
import { formatAddress, isLoopback, parseAddress } from '../common/address.ts';
import { readListenRecord } from '../common/listen-record.ts';
import type { LoadedState } from '../common/state-dir.ts';
import type { Problem } from '../mount/problems.ts';

/** HOST:PORT each; `metaserver` is empty where none of this folder runs. */
export interface Listening {
  readonly metaserver: readonly string[];
  readonly peer: string | null;
}

/** Where the metaserver of this folder listens, as long as it runs. */
export async function metaserverListeners(
  { paths, roles }: LoadedState,
  metaserver: 'up' | 'down' | 'unknown',
): Promise<readonly string[]> {
  if (!roles.includes('metaserver') || metaserver !== 'up') return [];
  return (await readListenRecord(paths)).metaserver.map(formatAddress);
}

export function insecureProblems({ metaserver, peer }: Listening): Problem[] {
  const open = [...metaserver, ...(peer === null ? [] : [peer])];
  const beyond = open.filter((address) => !isLoopback(parseAddress(address, 0).host));
  if (beyond.length === 0) return [];
  return [
    {
      code: 'insecure-listener',
      message: `${beyond.join(' and ')} ${beyond.length === 1 ? 'is' : 'are'} open to the network: whoever reaches that can read and change every file, unencrypted`,
      action: 'use it only in a network you trust; TLS is not built yet',
    },
  ];
}
