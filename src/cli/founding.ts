/** The state folder of a mount: the one that is there, or a new cluster of one node. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { asClusterId, asNodeId } from '../common/ids.ts';
import { createState, hasState, type LoadedState, loadState } from '../common/state-dir.ts';
import { SystemClock } from '../common/system-clock.ts';
import { Metaserver } from '../metaserver/node.ts';
import { Peer } from '../peer/node.ts';
import type { Environment } from './environment.ts';

export interface FoundOptions {
  readonly dir: string;
  readonly name: string | undefined;
  readonly environment: Environment;
}

const newId = (): string => randomBytes(16).toString('hex');

/** Who types sudo means to own the files. */
export function rootOwner(environment: Environment): { uid: number; gid: number } {
  const { env, uid, gid } = environment;
  const sudoUid = Number(env['SUDO_UID'] ?? Number.NaN);
  const sudoGid = Number(env['SUDO_GID'] ?? Number.NaN);
  if (uid !== 0 || !Number.isInteger(sudoUid) || !Number.isInteger(sudoGid)) return { uid, gid };
  return { uid: sudoUid, gid: sudoGid };
}

async function found({ dir, name, environment }: FoundOptions): Promise<LoadedState> {
  // The name of the machine, without its domain.
  const nodeName = name ?? hostname().split('.')[0] ?? 'node';
  const identity = {
    clusterId: asClusterId(newId()),
    clusterName: nodeName,
    nodeId: asNodeId(newId()),
  };
  // Databases and backing files are their owner's alone; createState opens what others may see.
  process.umask(0o077);
  return createState({
    dir,
    ...identity,
    nodeName,
    roles: ['metaserver', 'peer', 'mount'],
    async populate() {
      await Metaserver.found({
        stateDir: dir,
        ...identity,
        rootOwner: rootOwner(environment),
        clock: new SystemClock(),
      });
      await Peer.create(dir);
    },
  });
}

/** The caller holds the start lock. @throws FsError with a sentence for an unusable folder */
export async function loadOrFound(options: FoundOptions): Promise<LoadedState> {
  return (await hasState(options.dir)) ? loadState(options.dir) : found(options);
}
