/** Listings of a directory in which names are renamed over on another machine. SECONDS: how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBetween } from '../support/between.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 5);

test('a listing has each name once, also while names are renamed over there', async (t) => {
  const counts = await countBetween(t, 'listings.py', SECONDS);
  const { replacements = 0, listings = 0, ...wrong } = counts;
  assert.ok(replacements > 10 * SECONDS && listings > 2 * SECONDS);
  assert.deepEqual(wrong, {});
});
