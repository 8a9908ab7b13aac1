import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SessionKind } from '../../../gen/meta.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { FsError } from '../../../src/common/errno.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { SessionClient } from '../../../src/common/rpc/session-client.ts';
import { ClusterView } from '../../../src/mount/data/rights.ts';
import { PeerProbe } from '../../../src/mount/peer-probe.ts';
import { PeerSession } from '../../../src/mount/peer-session.ts';
import { Home } from '../../../src/peer/home.ts';
import { MemoryChunkStore } from '../../support/memory-chunk-store.ts';
import { CLUSTER, NODE, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

test('garbage pushed before the session is attached is deleted and answered', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-peer-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const server = await ScriptedMetaserver.start(join(dir, 's'));
  t.after(() => server[Symbol.asyncDispose]());
  const clock = new ManualClock();
  const store = new MemoryChunkStore();
  const gone = new FsError('ENOENT', 'gone');
  const bootMs = (): number => clock.bootMs();
  const client = { describe: () => Promise.reject(new FsError('EHOSTUNREACH', 'nobody')) };
  const peer = new PeerSession({
    nodeId: NODE,
    metaserver: `unix:${join(dir, 's')}`,
    store,
    home: new Home({ store, log: silentLogger, fetchAttr: () => Promise.reject(gone) }),
    view: new ClusterView(),
    probe: new PeerProbe({ client, bootMs }),
    log: silentLogger,
  });
  const session = await SessionClient.open({
    address: `unix:${join(dir, 's')}`,
    clusterId: CLUSTER,
    nodeId: NODE,
    nodeName: 'test',
    kind: SessionKind.PEER,
    instance: 1,
    waitMs: 60_000,
    bootMs: () => clock.bootMs(),
    log: silentLogger,
    onWelcome: () => undefined,
    onPush: (frame) => peer.onPush(frame),
  });
  peer.onPush({ body: { $case: 'reclaim', value: { inos: [1024n] } } });
  await new Promise((resolve) => setImmediate(resolve));
  peer.attach(session);
  await server.until(() => server.requests.some(({ op }) => op?.$case === 'reclaimDone'));
  // The server never answers: the end of the session ends the wait, then the peer can close.
  await session[Symbol.asyncDispose]();
  await peer.close();
  assert.equal(session.pendingCount, 0);
});
