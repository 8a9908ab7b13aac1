/** Puts the ways to file data of one mount together, on what all mounts of the node share. */

import type { NodeId } from '../../common/ids.ts';
import { TaskGroup } from '../../common/lifecycle.ts';
import type { Logger } from '../../common/log.ts';
import type { SessionClient } from '../../common/rpc/session-client.ts';
import type { ChunkCache } from '../../peer/chunk-cache.ts';
import type { ChunkClient } from '../../peer/chunk-client.ts';
import type { ChunkStore } from '../../peer/chunk-store.ts';
import type { Home } from '../../peer/home.ts';
import type { RequestContext } from '../driver/driver.ts';
import type { MetaClient } from '../meta-client.ts';
import type { Inode } from '../vfs/inode.ts';
import { refresh } from '../vfs/refresh.ts';
import { FileData } from './file-data.ts';
import { HomeCalls } from './home-calls.ts';
import type { KnownVersions } from './known-versions.ts';
import { LocalData } from './local-data.ts';
import { RemoteData } from './remote-data.ts';
import { type ReadCounts, RemoteReader } from './remote-reader.ts';
import { type ClusterView, Rights } from './rights.ts';
import { SpaceGrants } from './space-grants.ts';
import type { WriteJournal } from './write-journal.ts';
import type { WritebackFiles } from './writeback-files.ts';

export interface NodeData {
  /** This node. */
  readonly self: NodeId;
  readonly store: ChunkStore;
  readonly home: Home;
  readonly cache: ChunkCache;
  readonly client: ChunkClient;
  readonly view: ClusterView;
  readonly versions: KnownVersions;
  readonly files: WritebackFiles;
  readonly journal: WriteJournal;
  readonly counts: ReadCounts;
}

/** What one mount uses of it. */
export type MountParts = Omit<NodeData, 'client'> & {
  readonly client: Pick<ChunkClient, 'read' | 'write' | 'cut' | 'sync' | 'reserve'>;
};

export interface MountDataOptions {
  readonly session: Pick<SessionClient, 'sid' | 'sepoch'>;
  readonly meta: MetaClient;
  /** Bound of all tries to reach a home, milliseconds. */
  readonly waitMs: number;
  readonly log: Logger;
  bootMs(): number;
}

export function mountData(node: MountParts, mount: MountDataOptions): FileData {
  const { view } = node;
  const { log, meta, session, waitMs } = mount;
  const tasks = new TaskGroup((error) => log.warn('a transfer failed', { error }));
  const rights = new Rights({ view, session: () => session });
  const shared = {
    ...node,
    rights,
    tasks,
    log,
    refresh: (inode: Inode, waiter: RequestContext | undefined) => refresh(meta, inode, waiter),
  };
  const bootMs = (): number => mount.bootMs();
  const calls = new HomeCalls({ ...shared, waitMs, bootMs });
  const space = new SpaceGrants({ ...shared, calls, bootMs });
  const reader = new RemoteReader({ ...shared, calls });
  return new FileData({
    view,
    tasks,
    local: new LocalData(shared),
    remote: new RemoteData({ ...shared, calls, reader, space }),
    space: () => node.store.space(),
    chargedBytes: () => space.chargedBytes,
  });
}
