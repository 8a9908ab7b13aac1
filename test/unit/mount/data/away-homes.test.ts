import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asGroupId } from '../../../../src/common/ids.ts';
import { AwayHomes } from '../../../../src/mount/data/away-homes.ts';

const RG = asGroupId(1);
const FULL_MS = 30_000;

test('a home that was missed is waited for shortly, another one is not', () => {
  const homes = new AwayHomes();
  assert.equal(homes.boundMs(RG, FULL_MS, 0), FULL_MS);
  assert.equal(homes.missed(RG, 1_000, 31_000), 1_000);
  assert.equal(homes.boundMs(RG, FULL_MS, 31_500), 2_000);
  assert.equal(homes.boundMs(RG, 500, 31_500), 500);
  assert.equal(homes.boundMs(asGroupId(2), FULL_MS, 31_500), FULL_MS);
});

test('it is away since the first miss, as long as the misses go on', () => {
  const homes = new AwayHomes();
  homes.missed(RG, 1_000, 31_000);
  assert.equal(homes.missed(RG, 40_000, 42_000), 1_000);
  assert.equal(homes.boundMs(RG, FULL_MS, 71_999), 2_000);
  assert.equal(homes.boundMs(RG, FULL_MS, 72_000), FULL_MS);
  assert.equal(homes.missed(RG, 80_000, 110_000), 80_000);
});

test('once it answers it has its full bound again', () => {
  const homes = new AwayHomes();
  homes.missed(RG, 1_000, 31_000);
  homes.reached(RG);
  assert.equal(homes.boundMs(RG, FULL_MS, 31_001), FULL_MS);
});
