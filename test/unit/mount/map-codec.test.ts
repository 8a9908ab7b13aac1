import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as wire from '../../../gen/meta.ts';
import { asGroupId, asNodeId } from '../../../src/common/ids.ts';
import { nodeIdFromBytes, nodeIdToBytes } from '../../../src/common/rpc/codec.ts';
import { mapFromWire } from '../../../src/mount/map-codec.ts';

const ONE = asNodeId('01'.repeat(16));
const TWO = asNodeId('02'.repeat(16));

function peer(nodeId: typeof ONE, address: string): wire.PeerEntry {
  return {
    nodeId: nodeIdToBytes(nodeId),
    name: `peer ${address}`,
    address,
    up: true,
    sinceMs: 17n,
    stores: true,
  };
}

test('a node id survives the way over the wire', () => {
  assert.equal(nodeIdFromBytes(nodeIdToBytes(ONE)), ONE);
});

test('addresses of the map are those this node dials', () => {
  const peers = [peer(ONE, ':7001'), peer(TWO, '10.0.0.2:7002')];
  const map = mapFromWire({ version: 5n, peers, groups: [] }, '10.0.0.1:7000');
  assert.equal(map.version, 5);
  assert.equal(map.peers.get(ONE)?.address, '10.0.0.1:7001');
  assert.equal(map.peers.get(TWO)?.address, '10.0.0.2:7002');
  assert.equal(map.peers.get(TWO)?.sinceMs, 17);
});

test('a peer that cannot be reached has no address', () => {
  const map = mapFromWire({ version: 5n, peers: [peer(ONE, '')], groups: [] }, '10.0.0.1:7000');
  assert.equal(map.peers.get(ONE)?.address, undefined);
});

test('a group without a primary has none in the map', () => {
  const led = { rg: 1n, epoch: 3n, primary: nodeIdToBytes(ONE), members: [nodeIdToBytes(ONE)] };
  const lost = { rg: 2n, epoch: 9n, primary: new Uint8Array(0), members: [nodeIdToBytes(TWO)] };
  const map = mapFromWire({ version: 5n, peers: [], groups: [led, lost] }, '10.0.0.1:7000');
  assert.deepEqual(map.groups.get(asGroupId(1)), {
    rg: 1,
    epoch: 3,
    primary: ONE,
    members: [ONE],
  });
  assert.equal(map.groups.get(asGroupId(2))?.primary, undefined);
  assert.deepEqual(map.groups.get(asGroupId(2))?.members, [TWO]);
});
