/**
 * How a role opens its listeners, and remembers them. Each part of listen.json has one writer,
 * and is written only when it changes, so that two processes that start together do not undo each
 * other's.
 */
import { networkInterfaces } from 'node:os';
import { type Address, formatAddress, isLoopback } from '../common/address.ts';
import { FsError } from '../common/errno.ts';
import { type ListenRecord, readListenRecord, writeListenRecord } from '../common/listen-record.ts';
import type { Logger } from '../common/log.ts';
import type { Listen } from '../common/rpc/listen-wish.ts';
import type { StatePaths } from '../common/state-paths.ts';
import { covers } from './invite-plan.ts';
import { machineAddresses } from './machine-addresses.ts';

export async function rememberListeners(
  paths: StatePaths,
  part: Partial<ListenRecord>,
): Promise<void> {
  const before = await readListenRecord(paths);
  const record = { ...before, ...part };
  if (JSON.stringify(record) === JSON.stringify(before)) return;
  await writeListenRecord(paths, record);
}

async function unlessRefused(opened: Promise<Address>): Promise<Address | undefined> {
  try {
    return await opened;
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
}

/** The same port on each address that is wanted, where a loopback listener holds it already. */
async function openEach({ host: wanted, port }: Address, listen: Listen): Promise<Address[]> {
  const opened: Address[] = [];
  for (const host of machineAddresses(networkInterfaces())) {
    if (!covers(wanted, host)) continue;
    const address = await unlessRefused(listen({ host, port }));
    if (address !== undefined) opened.push(address);
  }
  return opened;
}

/**
 * Opens a running metaserver to the network.
 * @param open where it listens so far
 * @returns where it listens beyond this machine; the same as before when it did so already
 * @throws FsError nothing could be opened
 */
export async function openToNetwork(
  wanted: Address,
  open: readonly Address[],
  { listen, log }: { readonly listen: Listen; readonly log: Logger },
): Promise<readonly Address[]> {
  const already = open.filter(({ host }) => !isLoopback(host));
  if (already.length > 0) return already;
  const opened = await unlessRefused(listen(wanted));
  if (opened !== undefined) return [opened];
  if (open.some(({ port }) => port === wanted.port)) {
    const each = await openEach(wanted, listen);
    if (each.length > 0) return each;
  }
  log.warn('the port is taken, and a free one is used', { wanted: formatAddress(wanted) });
  return [await listen({ ...wanted, port: 0 })];
}
