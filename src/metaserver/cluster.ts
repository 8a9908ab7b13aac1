/** The first records of a database: which cluster it belongs to, its format, an empty root. */
import { ClusterRecord } from '../../gen/store.ts';
import { S_IFDIR } from '../common/attr.ts';
import type { Clock } from '../common/clock.ts';
import { FsError } from '../common/errno.ts';
import {
  asClusterId,
  asEpoch,
  type ClusterId,
  FIRST_GROUP,
  FIRST_INO,
  type NodeId,
  ROOT_INO,
} from '../common/ids.ts';
import { CLUSTER_KEY, INODES_KEY, NEXT_INO_KEY, NEXT_SID_KEY, SHARD_KEY } from './core/keyspace.ts';
import { FIRST_SEQ } from './core/records.ts';
import { type Reader, Txn, type Writes } from './core/txn.ts';
import { shardCodec, storeCodecs } from './store-codec.ts';

/** Databases of a larger one are refused. */
const FORMAT = 1;

export interface Founding {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  readonly nodeId: NodeId;
  readonly rootOwner: { readonly uid: number; readonly gid: number };
  readonly clock: Clock;
}

/** What a new database starts with. */
export function foundingWrites(founding: Founding): Writes {
  const { clusterId, clusterName: name, nodeId, rootOwner, clock } = founding;
  const now = clock.realtime();
  const txn = new Txn({ get: () => undefined }, storeCodecs);
  const cluster = { clusterId: Buffer.from(clusterId, 'hex'), name, format: FORMAT };
  txn.put(CLUSTER_KEY, ClusterRecord.encode(cluster).finish());
  txn.put(SHARD_KEY, shardCodec.encode(1));
  txn.put(NEXT_INO_KEY, storeCodecs.counter.encode(FIRST_INO));
  txn.put(NEXT_SID_KEY, storeCodecs.counter.encode(1));
  txn.put(INODES_KEY, storeCodecs.counter.encode(1));
  txn.putGroup(FIRST_GROUP, { epoch: asEpoch(1), primary: nodeId, members: [nodeId] });
  txn.addInode(ROOT_INO, {
    mode: S_IFDIR | 0o755,
    nlink: 2,
    ...rootOwner,
    rdev: 0,
    size: 0,
    atime: now,
    mtime: now,
    ctime: now,
    btime: now,
    av: 1,
    rg: FIRST_GROUP,
    parent: ROOT_INO,
    entries: 0,
    dirv: 1,
    nextSeq: FIRST_SEQ,
    openers: 0,
    dv: 0,
    cuts: 0,
  });
  return txn.finish();
}

/** @throws FsError EINVAL another cluster's, newer, or no database of a metaserver; EIO damaged */
export function readCluster(reader: Reader, expected: ClusterId): { readonly name: string } {
  const bytes = reader.get(CLUSTER_KEY);
  if (bytes === undefined) {
    throw new FsError('EINVAL', 'this is not the database of a metaserver, or it is incomplete');
  }
  const { clusterId, name, format } = decode(bytes);
  if (format > FORMAT) {
    throw new FsError('EINVAL', `the database has format ${format}; this version knows ${FORMAT}`);
  }
  if (clusterId !== expected) {
    throw new FsError('EINVAL', `the database belongs to cluster ${clusterId}, not ${expected}`);
  }
  return { name };
}

function decode(bytes: Uint8Array): { clusterId: ClusterId; name: string; format: number } {
  try {
    const { clusterId, name, format } = ClusterRecord.decode(bytes);
    return { clusterId: asClusterId(Buffer.from(clusterId).toString('hex')), name, format };
  } catch (cause) {
    throw new FsError('EIO', 'the cluster record is damaged', { cause });
  }
}
