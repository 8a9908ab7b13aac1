/**
 * One program has one file open through two mounts, and reads, writes, appends, cuts and maps it
 * through either at random: it is one file. SECONDS and STEPS make it longer, SEED replays it.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { between, type Counts } from '../support/between.ts';
import { mutant } from '../support/mutant.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';
import { Random } from '../support/random.ts';

const EXERCISER = resolve(import.meta.dirname, '../../../test/support/workload/two-mounts.py');
const SECONDS = Number(process.env['SECONDS'] ?? 6);
const STEPS = Number(process.env['STEPS'] ?? 1_000_000);
/** It begins without: descriptors to a file that is appended to read past the page cache. */
const APPENDS_BY = 500;
const HANGS_MS = 60_000;

async function exercise(t: TestContext, seconds: number, program?: string): Promise<Counts> {
  const { seed } = Random.fromEnvironment();
  t.diagnostic(`SEED=${seed}`);
  const command = ['python3', '-B', EXERCISER, String(seed), String(STEPS)] as const;
  return (await between(t, command, seconds, seconds * 1_000 + HANGS_MS, program)) as Counts;
}

const skip = await reasonAgainstPrograms('python3');

test('a file that is used through two mounts is one file', { skip }, async (t) => {
  const { steps = 0, ...done } = await exercise(t, SECONDS);
  assert.ok(steps >= Math.min(STEPS, 20 * SECONDS), `${steps} steps`);
  const late = steps > APPENDS_BY ? ['append'] : [];
  for (const what of ['cut', 'load', 'read', 'store', 'write', ...late]) {
    assert.ok((done[what] ?? 0) > 0, what);
  }
});

test('it shows when descriptors to append go through the page cache', { skip }, async (t) => {
  const program = await mutant(t, {
    name: 'the kernel says where an append goes',
    file: 'src/mount/vfs/file-ops.js',
    from: 'const append = (flags & O_APPEND) !== 0 && writes;',
    to: 'const append = false;',
  });
  await assert.rejects(exercise(t, HANGS_MS / 1_000, program), /SEED=/);
});
