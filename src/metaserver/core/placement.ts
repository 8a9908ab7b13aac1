/** Where a new file is to live: rule H1 of docs/PROTOCOL.md. */
import { FsError } from '../../common/errno.ts';
import type { GroupId, NodeId } from '../../common/ids.ts';

/** A peer that stores files. */
export interface StoringPeer {
  readonly nodeId: NodeId;
  readonly up: boolean;
  readonly bytesFree: number;
  /** The group it leads. */
  readonly rg: GroupId;
}

/**
 * With the node that creates it; a client's file goes where most space is.
 * @param own the group that node leads
 * @throws FsError EIO no storing peer is up
 */
export function placeFile(own: GroupId | undefined, peers: readonly StoringPeer[]): GroupId {
  if (own !== undefined) return own;
  const up = peers.filter((peer) => peer.up);
  const best = up.reduce<StoringPeer | undefined>(
    (found, peer) => (found === undefined || peer.bytesFree > found.bytesFree ? peer : found),
    undefined,
  );
  if (best === undefined) throw new FsError('EIO', 'no peer that stores files is up');
  return best.rg;
}
