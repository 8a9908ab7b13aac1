/** What commands ask a running node or metaserver; undefined always means that none listens. */
import type { Address } from '../common/address.ts';
import { callControl } from '../common/control-client.ts';
import type { FsckReport } from '../common/core/fsck-report.ts';
import type { InodeInfo } from '../common/core/inode-info.ts';
import type { LockList } from '../common/core/listed-lock.ts';
import { FsError } from '../common/errno.ts';
import type { StatePaths } from '../common/state-paths.ts';
import type { MountRequest } from '../mount/mounted.ts';
import type { NodeStatus } from '../mount/status.ts';
import { decodeAddress, fieldsOf } from './mount-request.ts';

const STATUS_MS = 5_000;
const STOP_MS = 5_000;
const LISTEN_MS = 10_000;
/** As long as a node waits for a metaserver that is away. */
const LOCKS_MS = 65_000;
/** The kernel's handshake, and the metaserver's answer before it. */
const MOUNT_MS = 90_000;
/** All of it is read. */
const FSCK_MS = 3_600_000;
/** Dirty data goes to disk first. */
const FLUSH_MS = 600_000;

/** A node of this same checkout wrote it, so its fields are those of the type. */
function asStatus(document: unknown): NodeStatus | undefined {
  return document === undefined ? undefined : (document as NodeStatus);
}

/** @throws FsError ETIMEDOUT it runs and does not answer · EACCES another user's */
export async function fetchStatus(socketPath: string): Promise<NodeStatus | undefined> {
  const call = { socketPath, method: 'GET', path: '/status', timeoutMs: STATUS_MS } as const;
  return asStatus(await callControl(call));
}

/** @returns whether a metaserver answers there */
export async function isMetaserverUp(paths: StatePaths): Promise<boolean> {
  const answer = await callControl({
    socketPath: paths.metaserverControl,
    method: 'GET',
    path: '/status',
    timeoutMs: STATUS_MS,
  });
  return answer !== undefined;
}

export async function postMount(paths: StatePaths, request: MountRequest): Promise<void> {
  const answer = await callControl({
    socketPath: paths.control,
    method: 'POST',
    path: '/mount',
    body: request,
    timeoutMs: MOUNT_MS,
  });
  if (answer === undefined) throw new FsError('ENOTCONN', 'the node ended while it was mounting');
}

/** @returns whether a node answered that the mount is gone */
export async function postUnmount(
  paths: StatePaths,
  options: { readonly mountpoint: string; readonly force: boolean; readonly timeoutMs?: number },
): Promise<boolean> {
  const { mountpoint, force, timeoutMs = FLUSH_MS } = options;
  const answer = await callControl({
    socketPath: paths.control,
    method: 'POST',
    path: '/unmount',
    body: { mountpoint, force },
    timeoutMs,
  });
  return answer !== undefined;
}

/** @throws FsError ENOTCONN nothing is mounted · EIO the metaserver is away */
export async function fetchLocks(paths: StatePaths): Promise<LockList | undefined> {
  const call = { method: 'GET', path: '/locks', timeoutMs: LOCKS_MS } as const;
  const answer = await callControl({ socketPath: paths.control, ...call });
  return answer === undefined ? undefined : (answer as LockList);
}

/** @throws FsError ENOENT · ENOTCONN nothing is mounted · EIO the metaserver is away */
export async function fetchInfo(paths: StatePaths, ino: number): Promise<InodeInfo | undefined> {
  const call = { method: 'POST', path: '/info', body: { ino }, timeoutMs: LOCKS_MS } as const;
  const answer = await callControl({ socketPath: paths.control, ...call });
  return answer === undefined ? undefined : (answer as InodeInfo);
}

/** @throws FsError EIO it could not be checked */
export async function fetchFsck(paths: StatePaths): Promise<FsckReport | undefined> {
  const call = { method: 'POST', path: '/fsck', timeoutMs: FSCK_MS } as const;
  const answer = await callControl({ socketPath: paths.control, ...call });
  return answer === undefined ? undefined : (answer as FsckReport);
}

export async function postFlush(paths: StatePaths): Promise<boolean> {
  const call = { method: 'POST', path: '/flush', timeoutMs: FLUSH_MS } as const;
  return (await callControl({ socketPath: paths.control, ...call })) !== undefined;
}

async function postListen(
  socketPath: string,
  address: Address,
): Promise<ReadonlyMap<string, unknown> | undefined> {
  const call = { method: 'POST', path: '/listen', timeoutMs: LISTEN_MS } as const;
  const answer = await callControl({ socketPath, ...call, body: address });
  return answer === undefined ? undefined : fieldsOf(answer);
}

/** Opens a running metaserver to the network. @returns where it listens beyond this machine */
export async function postListenMetaserver(
  paths: StatePaths,
  address: Address,
): Promise<readonly Address[] | undefined> {
  const addresses = (await postListen(paths.metaserverControl, address))?.get('addresses');
  return Array.isArray(addresses) ? addresses.map(decodeAddress) : undefined;
}

/** Opens the chunk service of a running node to the network. @returns where it listens */
export async function postListenNode(
  paths: StatePaths,
  address: Address,
): Promise<Address | undefined> {
  const answer = await postListen(paths.control, address);
  return answer === undefined ? undefined : decodeAddress(Object.fromEntries(answer));
}

/** Asks a process to end in good order; it does so after the answer. */
export async function postStop(socketPath: string): Promise<boolean> {
  const call = { socketPath, method: 'POST', path: '/stop', timeoutMs: STOP_MS } as const;
  return (await callControl(call)) !== undefined;
}
