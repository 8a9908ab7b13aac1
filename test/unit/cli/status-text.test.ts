import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusDocument } from '../../../src/cli/status-document.ts';
import { statusText } from '../../../src/cli/status-text.ts';

const GIB = 2 ** 30;

const up: StatusDocument = {
  cluster: { id: 'c1', name: 'alpha' },
  metaserver: { address: 'unix:/s/run/metaserver.sock', state: 'up' },
  node: { id: 'n1', name: 'one', state: 'up', stateDir: '/s', pid: 42 },
  mounts: [{ mountpoint: '/mnt/dfs', driver: 'native', state: 'dead' }],
  peers: [
    {
      id: 'n1',
      name: 'one',
      address: ':7481',
      state: 'up',
      since: '2026-01-01T00:00:00.000Z',
      stores: true,
      unreachableFrom: [],
      clientReason: '',
      bytesTotal: 252 * GIB,
      bytesFree: 76 * GIB,
      bytesOwned: 1.5 * GIB,
      bytesCached: 0,
    },
  ],
  cache: {
    bytes: 3 * GIB,
    limitBytes: 20 * GIB,
    hits: 93,
    misses: 7,
    bytesFetched: 4 * GIB,
    bytesServedToPeers: GIB,
  },
  supervision: { state: 'up', pid: 7, roles: {} },
  listen: { metaserver: ['127.0.0.1:7480'], peer: '127.0.0.1:7481' },
  fuse: { requests: {}, notifications: {} },
  leases: {},
  replication: { degraded: 0, missing: 0, etaSeconds: 0 },
  problems: [],
};

test('the table shows what the document says', () => {
  assert.equal(
    statusText(up, { colour: false }),
    [
      'cluster     alpha (c1)',
      'metaserver  up, unix:/s/run/metaserver.sock',
      'node        up, one, pid 42, state /s',
      'guardian    up, pid 7',
      'mount       dead, /mnt/dfs (native)',
      'cache       3.0 GiB of 20 GiB, 93 % hits, 4.0 GiB fetched, 1.0 GiB served to peers',
      'listens     metaserver 127.0.0.1:7480, data 127.0.0.1:7481',
      '',
      'PEER  STATE  ADDRESS  STORES  OWNED    CACHED  FREE    DISK',
      'one   up     :7481    yes     1.5 GiB  0 B     76 GiB  252 GiB',
      '',
      'no open problems',
    ].join('\n'),
  );
});

test('each problem comes with what to do', () => {
  const problems = [{ code: 'node-down', message: 'the node is down', action: 'start it' }];
  const node = { ...up.node, state: 'down', pid: null } as const;
  const text = statusText({ ...up, node, mounts: [], peers: [], problems }, { colour: false });
  assert.match(
    text,
    /node {8}down, one, state \/s\nguardian {4}up, pid 7\nmount {7}none\nlistens /,
  );
  assert.match(text, /problem {2}the node is down\n {9}start it$/);
});

test('colour is only there when asked for', () => {
  const introducer = '\x1b[';
  assert.equal(statusText(up, { colour: false }).includes(introducer), false);
  assert.equal(statusText(up, { colour: true }).includes(`${introducer}32mup`), true);
});

const [one] = up.peers;

function peersText(...changes: readonly Partial<StatusDocument['peers'][number]>[]): string {
  assert.ok(one !== undefined);
  const peers = changes.map((change) => ({ ...one, ...change }));
  return statusText({ ...up, peers }, { colour: false });
}

test('the peers table says who is down since when, and who only joins or uses', () => {
  const text = peersText(
    { name: 'away', state: 'down', since: '2026-03-04T05:06:07.000Z' },
    { name: 'new', state: 'joining', stores: false, address: '10.0.0.3:7481' },
    { name: 'laptop', stores: false, address: '' },
  );
  assert.match(text, /^away +down since 2026-03-04 05:06 UTC +:7481 +yes /m);
  assert.match(text, /^new +joining +10\.0\.0\.3:7481 +no /m);
  assert.match(text, /^laptop +client +- +no /m);
  assert.equal(text.includes('UNREACHABLE'), false);
});

test('a peer that others cannot reach names them', () => {
  const text = peersText({ name: 'beta', unreachableFrom: ['gamma', 'delta'] }, { name: 'gamma' });
  assert.match(text, /DISK +UNREACHABLE FROM$/m);
  assert.match(text, /^beta .*252 GiB +gamma, delta$/m);
  assert.match(text, /^gamma .*252 GiB$/m);
});

test('a request that waits says for whom, and for how long', () => {
  const plain = { colour: false };
  const request = { op: 'WRITE', ms: 6_200, ino: 7, path: 'src/a.c', for: 'lease', blockers: [] };
  const why = 'machine "nas" has not given it up';
  const inDirectory = {
    op: 'MKDIR',
    ms: 12_400,
    ino: 5,
    path: 'src/\x1b[2Jnew',
    for: 'metaserver',
  };
  const waiting = [
    { ...request, why },
    { ...request, ...inDirectory, why: 'the metaserver has not answered for 12 s' },
    { ...request, op: 'READDIRPLUS', path: '', ino: 1, why },
  ];
  const fields = { readOnly: false, openFiles: 1, fuseMinor: 38, kernelLacks: [] } as const;
  const mount = { mountpoint: '/mnt/dfs', driver: 'native', state: 'up', ...fields } as const;
  const text = statusText({ ...up, mounts: [{ ...mount, waiting, waitingCount: 3 }] }, plain);
  assert.deepEqual(
    text.split('\n').filter((line) => line.startsWith('waits')),
    [
      'waits       write of src/a.c (inode 7), 6 s: machine "nas" has not given it up',
      'waits       mkdir of src/?[2Jnew (in inode 5), 12 s: the metaserver has not answered for 12 s',
      'waits       readdir of the mountpoint (inode 1), 6 s: machine "nas" has not given it up',
    ],
  );
  assert.equal(text.includes('more requests'), false);
  const many = Array.from({ length: 12 }, () => ({ ...request, why }));
  const whole = { ...mount, waiting: many, waitingCount: 40 };
  assert.match(
    statusText({ ...up, mounts: [whole] }, plain),
    /(?:^waits .*\n){10} {12}and 30 more requests$/m,
  );
});

test('a cache that was never asked has no hit ratio, and a client listens nowhere', () => {
  const cache = { ...up.cache, bytes: 0, hits: 0, misses: 0 };
  const listen = { metaserver: [], peer: null };
  const text = statusText({ ...up, cache, listen }, { colour: false });
  assert.match(text, /^cache {7}0 B of 20 GiB, 4\.0 GiB fetched/m);
  assert.equal(text.includes('listens'), false);
});
