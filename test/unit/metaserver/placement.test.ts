import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asGroupId, asNodeId } from '../../../src/common/ids.ts';
import { placeFile, type StoringPeer } from '../../../src/metaserver/core/placement.ts';

function peer(digit: string, rg: number, more: Partial<StoringPeer> = {}): StoringPeer {
  const nodeId = asNodeId(digit.repeat(32));
  return { nodeId, rg: asGroupId(rg), up: true, bytesFree: 100, ...more };
}

test('a file stays with the node that creates it, full or not', () => {
  const peers = [peer('a', 1, { bytesFree: 0 }), peer('b', 2)];
  assert.equal(placeFile(asGroupId(1), peers), 1);
});

test('a file of a client goes to the peer that is up and has most space', () => {
  const full = peer('a', 1, { bytesFree: 5 });
  const down = peer('b', 2, { bytesFree: 900, up: false });
  assert.equal(placeFile(undefined, [full, down, peer('c', 3)]), 3);
});

test('no file is made while no storing peer is up', () => {
  assert.throws(() => placeFile(undefined, [peer('a', 1, { up: false })]), { code: 'EIO' });
});
