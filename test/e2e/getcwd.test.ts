/**
 * A program asks where it works, while names beside the path to it come and go on another machine
 * and others here walk to it. SECONDS: how long.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBetween } from '../support/between.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 5);

test('getcwd(2) is answered while names beside the path change there', async (t) => {
  const {
    changes = 0,
    walks = 0,
    asked = 0,
    ...wrong
  } = await countBetween(t, 'getcwd.py', SECONDS);
  assert.ok(changes > 10 * SECONDS && walks > 10 * SECONDS && asked > 100 * SECONDS);
  assert.deepEqual(wrong, {});
});
