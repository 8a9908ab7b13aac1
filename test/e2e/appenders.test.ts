/** Programs on two machines write to one file, and others read it meanwhile. SECONDS: how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBetween } from '../support/between.ts';

const SECONDS = Number(process.env['SECONDS'] ?? 8);

/** Of lseek(2), which the kernel answers by itself: see SEMANTICS.md. */
const SOUGHT = 'end before what was read';

test('nobody sees a file end where it ended before', async (t) => {
  const counts = await countBetween(t, 'appenders.py', SECONDS);
  const { append = 0, look = 0, [SOUGHT]: sought = 0, ...wrong } = counts;
  assert.ok(append > 20 * SECONDS && look > 20 * SECONDS);
  assert.deepEqual(wrong, { lost: 0 });
  assert.ok(sought <= look / 500);
});

test('nobody reads again what he has overwritten', async (t) => {
  const { overwrite = 0, look = 0, ...wrong } = await countBetween(t, 'overwriters.py', SECONDS);
  assert.ok(overwrite > 5 * SECONDS && look > 20 * SECONDS);
  assert.deepEqual(wrong, {});
});
