/** Which group holds the bytes of a file, who leads it, and under which right it is asked. */
import {
  type ClusterMap,
  EMPTY_MAP,
  type GroupView,
  type PeerView,
} from '../../common/cluster-map.ts';
import { FsError } from '../../common/errno.ts';
import { asEpoch, asSessionId, type GroupId } from '../../common/ids.ts';
import { type Deferred, deferred } from '../../common/lifecycle.ts';
import type { FileRight } from '../../peer/chunk-store.ts';

/** The map of the cluster as last told, and the groups this node itself leads. */
export class ClusterView {
  #map: ClusterMap = EMPTY_MAP;
  #own: ReadonlyMap<GroupId, GroupView> = new Map();
  #change: Deferred<void> = deferred();

  get map(): ClusterMap {
    return this.#map;
  }

  /** A map that is older than the known one changes nothing. */
  update(map: ClusterMap): void {
    if (map.version < this.#map.version) return;
    this.#map = map;
    this.#changed();
  }

  /** A Welcome told which groups this node leads. */
  lead(groups: readonly GroupView[]): void {
    this.#own = new Map(groups.map((group) => [group.rg, group]));
    this.#changed();
  }

  /** Resolves at the next update. */
  get changed(): Promise<void> {
    return this.#change.promise;
  }

  group(rg: GroupId): GroupView | undefined {
    return this.#own.get(rg) ?? this.#map.groups.get(rg);
  }

  leads(rg: GroupId): boolean {
    return this.#own.has(rg);
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = deferred();
  }
}

export interface RightsOptions {
  readonly view: ClusterView;
  session(): { readonly sid: number; readonly sepoch: number };
}

export class Rights {
  readonly view: ClusterView;
  readonly #session: RightsOptions['session'];

  constructor(options: RightsOptions) {
    this.view = options.view;
    this.#session = () => options.session();
  }

  /** @throws FsError EHOSTUNREACH when the group is not known (yet) */
  to(file: { readonly lseq: number; readonly rg: GroupId; readonly cuts: number }): FileRight {
    const group = this.view.group(file.rg);
    if (group === undefined) {
      throw new FsError('EHOSTUNREACH', `nothing is known of replica group ${file.rg} yet`);
    }
    const { sid, sepoch } = this.#session();
    return {
      sid: asSessionId(sid),
      sepoch: asEpoch(sepoch),
      lseq: file.lseq,
      rg: file.rg,
      rgEpoch: group.epoch,
      cuts: file.cuts,
    };
  }

  /** The peer that leads the group. @returns undefined while none is known */
  home(rg: GroupId): PeerView | undefined {
    const primary = this.view.group(rg)?.primary;
    return primary === undefined ? undefined : this.view.map.peers.get(primary);
  }
}
