/**
 * What users of other network filesystems report: a change on one machine that a look on another
 * one misses. LOOKS sets how often; none may be stale, and none is tried twice.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { between, countBetween } from '../support/between.ts';

const LOOKS = Number(process.env['LOOKS'] ?? 800);
const LOOK_MS = 100;
const SCRIPT = resolve(import.meta.dirname, '../support/workload/looks.js');

/** It was replaced a second time while the kernel walked the path once more: see SEMANTICS.md. */
const TWICE = 'look_open: Stale file handle';

test(`none of ${LOOKS} looks by name is stale`, async (t) => {
  const said = await between(t, [process.execPath, SCRIPT], LOOKS, 30_000 + LOOKS * LOOK_MS);
  assert.deepEqual(said, { looks: LOOKS, stale: {} });
});

test('a name that is renamed over there is never absent here', async (t) => {
  const said = await countBetween(t, 'replaced.py', 4);
  const text = JSON.stringify(said);
  const { replacements = 0, looks = 0, [TWICE]: twice = 0, ...errors } = said;
  assert.ok(replacements > 20 && looks > 20, text);
  assert.deepEqual(errors, {});
  assert.ok(twice <= replacements / 20, text);
});
