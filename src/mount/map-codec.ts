/** The cluster's map as it comes over the wire, with addresses as this node dials them. */
import type * as wire from '../../gen/meta.ts';
import { resolvePeerAddress } from '../common/address.ts';
import type { ClusterMap, GroupView, PeerView } from '../common/cluster-map.ts';
import { asEpoch, asGroupId, safeInteger } from '../common/ids.ts';
import { nodeIdFromBytes } from '../common/rpc/codec.ts';

export function groupFromWire(group: wire.ReplicaGroup): GroupView {
  return {
    rg: asGroupId(group.rg),
    epoch: asEpoch(group.epoch),
    primary: group.primary.length === 0 ? undefined : nodeIdFromBytes(group.primary),
    members: group.members.map(nodeIdFromBytes),
  };
}

function peerFromWire(peer: wire.PeerEntry, metaserver: string): PeerView {
  return {
    nodeId: nodeIdFromBytes(peer.nodeId),
    name: peer.name,
    address: resolvePeerAddress(peer.address, metaserver),
    up: peer.up,
    sinceMs: safeInteger(peer.sinceMs),
    stores: peer.stores,
  };
}

/** @param metaserver the address this node dials it at: `:PORT` stands for a port on its host */
export function mapFromWire(map: wire.ClusterMap, metaserver: string): ClusterMap {
  const peers = map.peers.map((peer) => peerFromWire(peer, metaserver));
  const groups = map.groups.map(groupFromWire);
  return {
    version: safeInteger(map.version),
    peers: new Map(peers.map((peer) => [peer.nodeId, peer])),
    groups: new Map(groups.map((group) => [group.rg, group])),
  };
}
