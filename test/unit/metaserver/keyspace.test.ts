import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asIno, asNodeId, asSessionId } from '../../../src/common/ids.ts';
import {
  decodeU64,
  decodeU64Big,
  dentryKey,
  encodeU64,
  encodeU64Big,
  family,
  inodeKey,
  peerKey,
  repliesOf,
  replyKey,
  slotKey,
  slotsAfter,
} from '../../../src/metaserver/core/keyspace.ts';

const INTEGERS = [0, 1, 255, 256, 65_535, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7];
const EXTREMES = [...INTEGERS, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER];

function bytesOf(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

describe('keys', () => {
  it('round-trip every integer up to 2^53-1', () => {
    for (const value of EXTREMES) assert.equal(decodeU64(`x${encodeU64(value)}`, 1), value);
  });

  it('round-trip 64-bit connection ids', () => {
    for (const value of [0n, 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      assert.equal(decodeU64Big(`xy${encodeU64Big(value)}`, 2), value);
    }
  });

  it('are the big-endian bytes of the integers', () => {
    const expected = Buffer.alloc(9);
    expected.write('i');
    expected.writeBigUInt64BE(0x1234_5678_9abcn, 1);
    assert.deepEqual(bytesOf(inodeKey(asIno(0x1234_5678_9abc))), expected);
  });

  it('order as the integers do, as strings and as bytes', () => {
    for (let index = 1; index < EXTREMES.length; index += 1) {
      const lower = slotKey(asIno(5), EXTREMES[index - 1] ?? 0);
      const upper = slotKey(asIno(5), EXTREMES[index] ?? 0);
      assert.ok(lower < upper);
      assert.ok(Buffer.compare(bytesOf(lower), bytesOf(upper)) < 0);
    }
  });

  it('keep the slots of one directory together, behind the cookie', () => {
    const range = slotsAfter(asIno(7), 3);
    const inside = (key: string): boolean => key >= range.gte && key < range.lt;
    assert.ok(!inside(slotKey(asIno(7), 3)));
    assert.ok(inside(slotKey(asIno(7), 4)));
    assert.ok(inside(slotKey(asIno(7), Number.MAX_SAFE_INTEGER)));
    assert.ok(!inside(slotKey(asIno(8), 0)));
    assert.ok(!inside(slotKey(asIno(6), 9)));
  });

  it('keep the replies of one session together', () => {
    const range = repliesOf(asSessionId(9));
    const key = replyKey(asSessionId(9), 2n ** 64n - 1n, Number.MAX_SAFE_INTEGER);
    assert.ok(key >= range.gte && key < range.lt);
    assert.ok(replyKey(asSessionId(10), 0n, 0) >= range.lt);
  });

  it('hold any byte a name may have', () => {
    const name = Array.from({ length: 255 }, (_, code) => String.fromCharCode(code + 1)).join('');
    const key = bytesOf(dentryKey(asIno(1), name));
    assert.equal(key.length, 1 + 8 + 255);
    assert.equal(key.subarray(9).toString('latin1'), name);
  });

  it('hold a node id as its 16 bytes', () => {
    const nodeId = asNodeId('00ff'.repeat(8));
    assert.equal(bytesOf(peerKey(nodeId)).subarray(1).toString('hex'), nodeId);
    const { gte, lt } = family('p');
    assert.ok(peerKey(nodeId) >= gte && peerKey(nodeId) < lt);
  });
});
