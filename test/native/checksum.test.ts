import assert from 'node:assert/strict';
import { test } from 'node:test';
import { native } from '../../native/index.ts';
import { Random } from '../support/random.ts';

type Crc = (
  seed: number,
  data: Uint8Array,
  offset: number,
  length: number,
  portable?: boolean,
) => number;
const crc32c = native.crc32c as Crc;

/** One bit at a time, straight from the definition. */
function reference(seed: number, data: Uint8Array): number {
  let crc = ~seed;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

test('the published check values come out', () => {
  assert.equal(crc32c(0, Buffer.from('123456789'), 0, 9), 0xe3069283);
  assert.equal(crc32c(0, new Uint8Array(32), 0, 32), 0x8a9136aa);
  assert.equal(crc32c(0, new Uint8Array(32).fill(0xff), 0, 32), 0x62a8ab43);
  assert.equal(crc32c(0, new Uint8Array(0), 0, 0), 0);
});

test('hardware, tables and the definition agree at every alignment, whole or in pieces', () => {
  const random = Random.fromEnvironment();
  const data = random.bytes(5_000);
  for (let round = 0; round < 300; round++) {
    const offset = random.below(64);
    const length = random.below(data.length - offset);
    const expected = reference(0, data.subarray(offset, offset + length));
    const note = `seed ${random.seed} offset ${offset} length ${length}`;
    assert.equal(crc32c(0, data, offset, length), expected, note);
    assert.equal(crc32c(0, data, offset, length, true), expected, note);
    const cut = random.below(length + 1);
    const first = crc32c(0, data, offset, cut);
    assert.equal(crc32c(first, data, offset + cut, length - cut), expected, note);
  }
});
