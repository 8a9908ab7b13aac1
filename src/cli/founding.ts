/** Makes the state folder of a node: of a new cluster, or of one that another machine founded. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ConfigChanges } from '../common/config.ts';
import { asClusterId, asNodeId } from '../common/ids.ts';
import { createState, type LoadedState } from '../common/state-dir.ts';
import { SystemClock } from '../common/system-clock.ts';
import { Metaserver } from '../metaserver/node.ts';
import { Peer } from '../peer/node.ts';
import type { Environment } from './environment.ts';
import type { JoinTarget } from './join-check.ts';

export interface MakeOptions {
  readonly dir: string;
  readonly name: string | undefined;
  /** Remembered from the first day. */
  readonly settings: ConfigChanges;
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

/** By default the name of the machine, without its domain. */
function nodeNameOf(name: string | undefined): string {
  return name ?? hostname().split('.')[0] ?? 'node';
}

function configOf({ name, settings }: MakeOptions): ConfigChanges {
  return name === undefined ? settings : { ...settings, name };
}

/** A cluster of one node. The caller holds the start lock. */
export function foundCluster(options: MakeOptions): Promise<LoadedState> {
  const { dir, name, environment } = options;
  const nodeName = nodeNameOf(name);
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
    config: configOf(options),
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

/** A node of a cluster that is there already. The caller holds the start lock. */
export function joinCluster(options: MakeOptions, target: JoinTarget): Promise<LoadedState> {
  const { dir, name } = options;
  const { address, clusterId, clusterName } = target;
  process.umask(0o077);
  return createState({
    dir,
    clusterId,
    clusterName,
    nodeId: asNodeId(newId()),
    nodeName: nodeNameOf(name),
    roles: ['peer', 'mount'],
    config: { ...configOf(options), join: address },
    populate: () => Peer.create(dir),
  });
}
