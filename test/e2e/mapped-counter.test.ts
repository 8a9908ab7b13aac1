/** Programs on two machines store to one page through shared mappings, in turn. SECONDS: how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBetween } from '../support/between.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 4);
const skip = await reasonAgainstPrograms('python3');

test('a number in a shared mapping that two machines add to is exact', { skip }, async (t) => {
  const { add = 0, look = 0, ...wrong } = await countBetween(t, 'mapped.py', SECONDS);
  assert.ok(add > 10 * SECONDS && look > 10 * SECONDS);
  assert.deepEqual(wrong, { lost: 0 });
});
