/**
 * Where everything of one node lies. Sockets live in run/ of the state folder, or, when their
 * path would not fit a socket address, in a short runtime folder named after it.
 */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of sun_path without its terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;
const LONGEST_SOCKET = 'metaserver-control.sock';

/** A process that owns a part of the folder. */
export type StateRole = 'node' | 'metaserver';

export interface StatePaths {
  readonly dir: string;
  readonly format: string;
  readonly config: string;
  readonly run: string;
  readonly log: string;
  /** Folder of the sockets. */
  readonly sockets: string;
  /** Full control of the node, its owner only. */
  readonly control: string;
  /** Status only, for everybody. */
  readonly status: string;
  readonly metaserverControl: string;
  /** The session stream. */
  readonly metaserver: string;
  /** What the guardian says of itself and of the roles. */
  readonly guardianReport: string;
  /** What the node has mounted at this moment. */
  readonly mountRecord: string;
  /** What the kernel may hold of the mount, for the guardian. */
  readonly kernelCache: string;
  /** Bytes of this node for files of others, until they are published. */
  readonly writeback: string;
  /** What of it, and of its files, is to be published by the next process of the node. */
  readonly journal: string;
  /** What of them could not be. */
  readonly lostAndFound: string;
  /** Where it listened last. */
  readonly listenRecord: string;
}

function ownerOf(dir: string): number {
  try {
    return statSync(dir).uid;
  } catch {
    return process.getuid?.() ?? 0;
  }
}

/** A short folder that only the owner of the state can have made. */
function shortRuntimeDir(dir: string): string {
  const uid = ownerOf(dir);
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  if (uid === 0) return join('/run/dfs', hash);
  const session = `/run/user/${uid}`;
  return existsSync(session) ? join(session, 'dfs', hash) : join(`/tmp/dfs-${uid}`, hash);
}

/** @param dir absolute */
export function statePaths(dir: string): StatePaths {
  const run = join(dir, 'run');
  const fits = Buffer.byteLength(join(run, LONGEST_SOCKET)) <= SOCKET_PATH_BYTES_MAX;
  const sockets = fits ? run : shortRuntimeDir(dir);
  return {
    dir,
    format: join(dir, 'format.json'),
    config: join(dir, 'config.json'),
    run,
    log: join(dir, 'log'),
    sockets,
    control: join(sockets, 'control.sock'),
    status: join(sockets, 'status.sock'),
    metaserverControl: join(sockets, LONGEST_SOCKET),
    metaserver: join(sockets, 'metaserver.sock'),
    guardianReport: join(run, 'guardian.json'),
    mountRecord: join(run, 'mount.json'),
    kernelCache: join(run, 'kernel-cache'),
    writeback: join(dir, 'writeback'),
    journal: join(dir, 'journal'),
    lostAndFound: join(dir, 'lost+found'),
    listenRecord: join(dir, 'listen.json'),
  };
}
