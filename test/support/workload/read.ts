/**
 * `node read.js LOG DIR...`: reads every file in the directories again and again until killed.
 * Somebody else changes them meanwhile, so that only errors count, not contents. Each read is one
 * line of the log, which lies outside the filesystem under test.
 */
import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { ERRNO, systemCode } from '../../../src/common/errno.ts';

/** Leaves the processor to those whose work counts. */
const PAUSE_MS = 100;
const [log = '', ...dirs] = process.argv.slice(2);
const pause = new Int32Array(new SharedArrayBuffer(4));

/** libuv has no name for ESTALE. */
function isStale(error: unknown): boolean {
  return error instanceof Error && 'errno' in error && error.errno === -ERRNO.ESTALE;
}

function inoOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** @returns `gone` when it was removed before or while it was read */
function read(path: string): string {
  const fd = openSync(path, 'r');
  const { ino } = fstatSync(fd);
  try {
    readFileSync(fd);
    return 'ok';
  } catch (error) {
    if (!isStale(error)) throw error;
    return inoOf(path) === ino ? 'ESTALE, and it is there' : 'gone';
  } finally {
    closeSync(fd);
  }
}

function attempt(what: string, work: () => string): void {
  const start = performance.now();
  let end: string;
  try {
    end = work();
  } catch (error) {
    end = systemCode(error) ?? String(error);
    if (end === 'ENOENT') end = 'gone';
  }
  const ms = Math.round(performance.now() - start);
  appendFileSync(log, `${JSON.stringify({ what, end, ms })}\n`);
}

for (;;) {
  for (const dir of dirs) {
    let names: readonly string[] = [];
    attempt(dir, () => {
      const entries = readdirSync(dir, { withFileTypes: true });
      names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
      return 'ok';
    });
    for (const name of names) attempt(join(dir, name), () => read(join(dir, name)));
  }
  Atomics.wait(pause, 0, 0, PAUSE_MS);
}
