/**
 * Peer records and replica groups, as they are stored. A change is seen by others only once it is
 * durable, so that no epoch and no group is ever told twice with different meanings. Groups are
 * never deleted: the next one is above all there are.
 */
import { asEpoch, asGroupId, FIRST_GROUP, type GroupId, type NodeId } from '../common/ids.ts';
import { nodeIdFromBytes } from '../common/rpc/codec.ts';
import type { CommitPath } from './commit.ts';
import { bumpEpochs } from './core/groups.ts';
import { decodeU64, family } from './core/keyspace.ts';
import type { Group, PeerState } from './core/records.ts';
import { Txn } from './core/txn.ts';
import type { Ledger } from './ledger.ts';
import { entriesOf } from './pages.ts';
import type { Peers } from './peers.ts';
import { storeCodecs } from './store-codec.ts';

export interface RosterOptions {
  readonly commit: CommitPath;
  readonly ledger: Ledger;
  readonly peers: Peers;
}

/** What a peer says of itself. */
export interface PeerIntroduction {
  readonly nodeId: NodeId;
  readonly nodeName: string;
  /** As in PeerEntry of the wire; undefined when it serves no chunks. */
  readonly chunkAddress?: string | undefined;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #groups = new Map<GroupId, Group>();
  /** With those that are not durable yet. */
  readonly #rgs = new Set<GroupId>();

  private constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** @throws FsError EIO when a record is damaged */
  static async load(options: RosterOptions): Promise<Roster> {
    const roster = new Roster(options);
    const { commit, peers } = options;
    for await (const [key, value] of entriesOf(commit, family('p'))) {
      const nodeId = nodeIdFromBytes(Buffer.from(key.slice(1), 'latin1'));
      peers.load(nodeId, storeCodecs.peer.decode(value));
    }
    for await (const [key, value] of entriesOf(commit, family('g'))) {
      const rg = asGroupId(decodeU64(key, 1));
      roster.#groups.set(rg, storeCodecs.group.decode(value));
      roster.#rgs.add(rg);
    }
    return roster;
  }

  get groups(): ReadonlyMap<GroupId, Group> {
    return this.#groups;
  }

  groupsOf(nodeId: NodeId): [GroupId, Group][] {
    return [...this.#groups].filter(([, group]) => group.members.includes(nodeId));
  }

  /** The group this peer leads, the oldest one if there are several. */
  ledBy(nodeId: NodeId): GroupId | undefined {
    for (const [rg, group] of this.#groups) if (group.primary === nodeId) return rg;
    return undefined;
  }

  /**
   * Puts into the transaction what is new about a peer, and for a new life of it the next epoch of
   * its groups. A peer that leads a group stores files, whatever its record says.
   * @returns shows it to others; to be called once the transaction is durable
   */
  enrol(txn: Txn, peer: PeerIntroduction, newLife: boolean): () => void {
    const { nodeId, nodeName: name, chunkAddress } = peer;
    const before = txn.peer(nodeId);
    const leads = [...this.#rgs].some((rg) => txn.group(rg)?.primary === nodeId);
    const stores = leads || before?.stores === true;
    const record: PeerState = { name, address: chunkAddress ?? '', stores };
    if (!isSame(before, record)) txn.putPeer(nodeId, record);
    const groups = newLife ? bumpEpochs(txn, this.#rgs, nodeId) : new Map<GroupId, Group>();
    return () => {
      for (const [rg, group] of groups) this.#groups.set(rg, group);
      this.#options.peers.enrol(nodeId, record, chunkAddress !== undefined);
    };
  }

  /** The same for a process life that is known already. @throws FsError EIO */
  async reenrol(peer: PeerIntroduction): Promise<void> {
    await this.#change((txn) => this.enrol(txn, peer, false));
  }

  /** Lets a peer store files, in a group of its own. @throws FsError EIO */
  async promote(nodeId: NodeId): Promise<void> {
    await this.#change((txn) => {
      const record = txn.peer(nodeId);
      if (record === undefined || record.stores) return () => undefined;
      const rg = asGroupId(Math.max(FIRST_GROUP - 1, ...this.#rgs) + 1);
      const group: Group = { epoch: asEpoch(1), primary: nodeId, members: [nodeId] };
      const storing = { ...record, stores: true };
      txn.putPeer(nodeId, storing);
      txn.putGroup(rg, group);
      this.#rgs.add(rg);
      return () => {
        this.#groups.set(rg, group);
        this.#options.peers.promote(nodeId);
      };
    });
  }

  async #change(change: (txn: Txn) => () => void): Promise<void> {
    const { commit, ledger } = this.#options;
    const view = commit.view();
    const txn = new Txn(view, storeCodecs);
    const show = change(txn);
    ledger.submit(view, txn);
    await commit.durable(view);
    show();
  }
}

function isSame(before: PeerState | undefined, { name, address, stores }: PeerState): boolean {
  return before?.name === name && before.address === address && before.stores === stores;
}
