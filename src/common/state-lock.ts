/**
 * One process a role: flock on a file of the state folder, held for the process life and given
 * up by the kernel however the process ends. A lock, not a pid file, says what runs: pids are
 * reused, locks are not.
 */
import { closeSync, constants, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { native } from '../../native/index.ts';
import { FsError, systemCode, toFsError } from './errno.ts';
import { delay } from './lifecycle.ts';
import type { StatePaths, StateRole } from './state-paths.ts';

/** A probe by another process holds the lock for an instant; this outlasts it. */
const ATTEMPTS = 20;
const ATTEMPT_MS = 25;

export interface StateLock extends AsyncDisposable {
  readonly role: StateRole | 'start';
}

/** Who holds a lock: a role, or the guardian that starts roles again. */
export type LockHolder = StateRole | 'guardian';

function lockFile(paths: StatePaths, holder: LockHolder): string {
  return holder === 'node' ? join(paths.dir, 'lock') : join(paths.dir, `${holder}.lock`);
}

export function pidFile(paths: StatePaths, role: StateRole): string {
  return join(paths.run, `${role}.pid`);
}

function openLock(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    throw toFsError(error, `cannot open the lock ${path}`);
  }
}

async function tryLock(fd: number, attempts: number): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (native.flock(fd, true)) return true;
    await delay(ATTEMPT_MS);
  }
  return false;
}

/** node.pid at the top of the folder is where people look; run/ is where it is kept. */
function writePid(paths: StatePaths, role: StateRole): void {
  writeFileSync(pidFile(paths, role), `${process.pid}\n`);
  if (role !== 'node') return;
  try {
    symlinkSync('run/node.pid', join(paths.dir, 'node.pid'));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

/** The pid a role wrote down when it started; it says nothing about whether that runs. */
export async function readPid(paths: StatePaths, role: StateRole): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(pidFile(paths, role), 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw toFsError(error, `cannot read ${pidFile(paths, role)}`);
  }
}

/**
 * Whether the process that wrote the pid is dead, though the kernel keeps a thread of it, and so its
 * lock and sockets: it waits for an answer which that process owed. A guardian ends that.
 */
export async function hasDied(paths: StatePaths, role: StateRole): Promise<boolean> {
  const pid = await readPid(paths, role);
  if (pid === undefined) return false;
  try {
    // PID (NAME) STATE ..., where NAME may hold anything.
    const status = await readFile(`/proc/${pid}/stat`, 'latin1');
    return status.startsWith(') Z', status.lastIndexOf(')'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return false;
    throw toFsError(error, `cannot see process ${pid}`);
  }
}

/** @throws FsError EBUSY when another process has the role */
export async function lockState(paths: StatePaths, role: StateRole): Promise<StateLock> {
  const fd = openLock(lockFile(paths, role), constants.O_RDWR | constants.O_CREAT);
  if (!(await tryLock(fd, ATTEMPTS))) {
    closeSync(fd);
    const pid = await readPid(paths, role);
    const who = pid === undefined ? 'another dfs process' : `another dfs process (pid ${pid})`;
    throw new FsError('EBUSY', `${paths.dir} is in use by ${who}`);
  }
  writePid(paths, role);
  return {
    role,
    async [Symbol.asyncDispose]() {
      await rm(pidFile(paths, role), { force: true });
      closeSync(fd);
    },
  };
}

/** Whether a process has the lock now; undefined when this user may not know. */
export function isLocked(paths: StatePaths, role: LockHolder): boolean | undefined {
  let fd: number;
  try {
    fd = openSync(lockFile(paths, role), constants.O_RDONLY);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    if (systemCode(error) === 'EACCES') return undefined;
    throw toFsError(error, `cannot open ${lockFile(paths, role)}`);
  }
  try {
    return !native.flock(fd, false);
  } finally {
    closeSync(fd);
  }
}

/**
 * One starting command at a time on a folder: a lock on the folder itself, which needs nothing
 * to exist in it. `onWait` is called once when another one is at it.
 * @throws FsError ETIMEDOUT after `timeoutMs`
 */
export async function lockStart(
  dir: string,
  options: { readonly timeoutMs: number; onWait(): void },
): Promise<StateLock> {
  const fd = openLock(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  if (!native.flock(fd, true)) {
    options.onWait();
    if (!(await tryLock(fd, Math.ceil(options.timeoutMs / ATTEMPT_MS)))) {
      closeSync(fd);
      throw new FsError('ETIMEDOUT', `another dfs command is still starting a node on ${dir}`);
    }
  }
  return {
    role: 'start',
    async [Symbol.asyncDispose]() {
      closeSync(fd);
    },
  };
}
