/** Measuring, and putting the machine into a known state before it. */
import { spawnSync } from 'node:child_process';

/** @returns milliseconds that `work` took */
export function timedMs(work) {
  const begin = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

/** @returns microseconds an item */
export function microsEach(items, work) {
  const ms = timedMs(() => {
    for (const item of items) work(item);
  });
  return (ms * 1000) / items.length;
}

/** Runs a program; its failure is an error. @returns what it printed */
export function run(command, args, options = {}) {
  const { status, error, stderr, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    ...options,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr.trim()}`);
  return stdout;
}

export function hasProgram(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

const FORGET = `
import os, sys
for path in sys.stdin.read().split("\\n"):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
`;

/** The kernel forgets the bytes of these files, so that the next read is a cold one. */
export function forgetPages(paths) {
  run('python3', ['-c', FORGET], { input: paths.join('\n') });
}

/** Numbers in 0 .. limit-1, the same in every run. */
export function* sequence(limit, count) {
  let state = 20_240;
  for (let n = 0; n < count; n += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield Math.floor((state / 2 ** 32) * limit);
  }
}
