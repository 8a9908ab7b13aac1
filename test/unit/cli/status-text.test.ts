import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusDocument } from '../../../src/cli/status-document.ts';
import { statusText } from '../../../src/cli/status-text.ts';

const GIB = 2 ** 30;

const up: StatusDocument = {
  cluster: { id: 'c1', name: 'alpha' },
  metaserver: { address: '/s/run/metaserver.sock', state: 'up' },
  node: { id: 'n1', name: 'one', state: 'up', stateDir: '/s', pid: 42 },
  mounts: [{ mountpoint: '/mnt/dfs', driver: 'native', state: 'dead' }],
  peers: [
    {
      id: 'n1',
      name: 'one',
      address: 'local',
      state: 'up',
      since: '2026-01-01T00:00:00.000Z',
      bytesTotal: 252 * GIB,
      bytesFree: 76 * GIB,
      bytesOwned: 1.5 * GIB,
      bytesCached: 0,
    },
  ],
  cache: { bytes: 0, hits: 0, misses: 0, bytesServedToPeers: 0 },
  fuse: { requests: {} },
  leases: {},
  replication: { degraded: 0, missing: 0, etaSeconds: 0 },
  problems: [],
};

test('the table shows what the document says', () => {
  assert.equal(
    statusText(up, { colour: false }),
    [
      'cluster     alpha (c1)',
      'metaserver  up, /s/run/metaserver.sock',
      'node        up, one, pid 42, state /s',
      'mount       dead, /mnt/dfs (native)',
      '',
      'PEER  STATE  ADDRESS  OWNED    CACHED  FREE    DISK',
      'one   up     local    1.5 GiB  0 B     76 GiB  252 GiB',
      '',
      'no open problems',
    ].join('\n'),
  );
});

test('each problem comes with what to do', () => {
  const problems = [{ code: 'node-down', message: 'the node is down', action: 'start it' }];
  const node = { ...up.node, state: 'down', pid: null } as const;
  const text = statusText({ ...up, node, mounts: [], peers: [], problems }, { colour: false });
  assert.match(text, /node {8}down, one, state \/s\nmount {7}none\n/);
  assert.match(text, /problem {2}the node is down\n {9}start it$/);
});

test('colour is only there when asked for', () => {
  const introducer = '\x1b[';
  assert.equal(statusText(up, { colour: false }).includes(introducer), false);
  assert.equal(statusText(up, { colour: true }).includes(`${introducer}32mup`), true);
});
