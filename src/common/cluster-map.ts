/** Who is in the cluster and where the bytes live, as the metaserver last told it. */
import type { Epoch, GroupId, NodeId } from './ids.ts';

/** A replica group: one member today. */
export interface GroupView {
  readonly rg: GroupId;
  readonly epoch: Epoch;
  readonly primary: NodeId | undefined;
  readonly members: readonly NodeId[];
}

export interface PeerView {
  readonly nodeId: NodeId;
  readonly name: string;
  /** HOST:PORT to dial; undefined when it cannot be reached from here. */
  readonly address: string | undefined;
  readonly up: boolean;
  /** Milliseconds since 1970 of the last change of `up`. */
  readonly sinceMs: number;
  /** It stores files; otherwise it is a client only. */
  readonly stores: boolean;
}

export interface ClusterMap {
  /** Grows; a smaller one is a late message. */
  readonly version: number;
  readonly peers: ReadonlyMap<NodeId, PeerView>;
  readonly groups: ReadonlyMap<GroupId, GroupView>;
}

export const EMPTY_MAP: ClusterMap = { version: 0, peers: new Map(), groups: new Map() };
