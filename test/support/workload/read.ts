/**
 * `node read.js LOG DIR...`: reads every file in the directories again and again until killed.
 * Somebody else changes them meanwhile, so that only errors count, not contents. Each read is one
 * line of the log, which lies outside the filesystem under test.
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../../src/common/errno.ts';

/** Leaves the processor to those whose work counts. */
const PAUSE_MS = 100;
/** Removed while it was looked for, or while it was read. */
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ESTALE']);

const [log = '', ...dirs] = process.argv.slice(2);
const pause = new Int32Array(new SharedArrayBuffer(4));

function attempt<T>(what: string, work: () => T): T | undefined {
  const start = performance.now();
  let end = 'ok';
  try {
    return work();
  } catch (error) {
    const code = systemCode(error) ?? String(error);
    end = GONE.has(code) ? 'gone' : code;
    return undefined;
  } finally {
    const ms = Math.round(performance.now() - start);
    appendFileSync(log, `${JSON.stringify({ what, end, ms })}\n`);
  }
}

for (;;) {
  for (const dir of dirs) {
    const entries = attempt(dir, () => readdirSync(dir, { withFileTypes: true })) ?? [];
    for (const entry of entries) {
      const path = join(dir, entry.name);
      if (entry.isFile()) attempt(path, () => readFileSync(path).length);
    }
  }
  Atomics.wait(pause, 0, 0, PAUSE_MS);
}
