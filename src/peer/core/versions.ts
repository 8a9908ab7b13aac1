/**
 * The replica groups of this peer as the metaserver last told them, the fence that follows from
 * them, and the counter behind chunk versions. A version is (group epoch, sequence): a peer that
 * starts is given a new epoch before it serves, so a sequence may start again at 1 with each.
 */
import { assert } from '../../common/assert.ts';
import type { GroupView } from '../../common/cluster-map.ts';
import { FsError } from '../../common/errno.ts';
import type { Epoch, GroupId } from '../../common/ids.ts';

export interface Version {
  readonly epoch: number;
  readonly seq: number;
}

interface Group {
  readonly epoch: Epoch;
  seq: number;
}

const EPOCH_MAX = 2 ** 32 - 1;

export class GroupVersions {
  #groups = new Map<GroupId, Group>();
  /** Also groups led before: one that comes back in its epoch goes on counting. */
  readonly #known = new Map<GroupId, Group>();

  /** A view older than the one known is a late message: it changes nothing. */
  set(views: readonly GroupView[]): void {
    const next = new Map<GroupId, Group>();
    for (const view of views) {
      assert(view.epoch >= 1 && view.epoch <= EPOCH_MAX, `group epoch out of range: ${view.epoch}`);
      const known = this.#known.get(view.rg);
      const kept = known !== undefined && known.epoch >= view.epoch;
      const group = kept ? known : { epoch: view.epoch, seq: 0 };
      this.#known.set(view.rg, group);
      next.set(view.rg, group);
    }
    this.#groups = next;
  }

  /** @throws FsError ESTALE when the group is not ours or the epoch is not the current one */
  check(right: { readonly rg: GroupId; readonly rgEpoch: Epoch }): void {
    const group = this.#groups.get(right.rg);
    if (group === undefined) {
      throw new FsError('ESTALE', `replica group ${right.rg} is not served by this peer`);
    }
    if (group.epoch !== right.rgEpoch) {
      const epochs = `epoch ${right.rgEpoch}, now ${group.epoch}`;
      throw new FsError('ESTALE', `replica group ${right.rg} was asked for in ${epochs}`);
    }
  }

  /** @throws FsError ESTALE the group is not ours (any more) */
  take(rg: GroupId): Version {
    const version = this.next(rg);
    if (version !== undefined) return version;
    throw new FsError('ESTALE', `replica group ${rg} is not served by this peer`);
  }

  /** The next version of the group, or undefined when it is not ours (any more). */
  next(rg: GroupId): Version | undefined {
    const group = this.#groups.get(rg);
    if (group === undefined) return undefined;
    group.seq += 1;
    return { epoch: group.epoch, seq: group.seq };
  }
}
