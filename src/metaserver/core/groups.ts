import { FsError } from '../../common/errno.ts';
import { asEpoch, type GroupId, type NodeId } from '../../common/ids.ts';
import type { Group } from './records.ts';
import type { Txn } from './txn.ts';

/**
 * A new life of this peer takes a new epoch in every group it leads, before it serves, so that
 * nothing its predecessor promised to write can still arrive.
 * @returns the groups it belongs to, as they are afterwards
 */
export function bumpEpochs(txn: Txn, rgs: Iterable<GroupId>, nodeId: NodeId): Map<GroupId, Group> {
  const groups = new Map<GroupId, Group>();
  for (const rg of rgs) {
    const group = txn.group(rg);
    if (group === undefined) throw new FsError('EIO', `replica group ${rg} has no record`);
    if (!group.members.includes(nodeId)) continue;
    if (group.primary !== nodeId) {
      groups.set(rg, group);
      continue;
    }
    const bumped: Group = { ...group, epoch: asEpoch(group.epoch + 1) };
    txn.putGroup(rg, bumped);
    groups.set(rg, bumped);
  }
  return groups;
}
