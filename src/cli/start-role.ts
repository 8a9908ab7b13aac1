/**
 * Starts a long-running dfs process in the background and waits until it serves: detached, with
 * its log in the state folder, its working folder `/` so that it pins no mount.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FsError, systemCode, toFsError } from '../common/errno.ts';
import { within } from '../common/lifecycle.ts';
import type { StatePaths } from '../common/state-paths.ts';
import type { Environment } from './environment.ts';
import { parseReady, READY_FD, READY_VARIABLE, type ReadyAnswer } from './readiness.ts';

export interface StartOptions {
  /** The command that serves it. */
  readonly command: 'metaserver' | 'serve-node';
  /** For messages: `the metaserver`. */
  readonly title: string;
  readonly logName: string;
  readonly paths: StatePaths;
  readonly environment: Environment;
}

const READY_MS = 30_000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
/** Blocking file calls of a node run side by side. */
const THREADS = '16';

/** One older log is kept. */
export function openLog(path: string): number {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw toFsError(error, `cannot look at ${path}`);
  }
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw toFsError(error, `cannot write ${path}`);
  }
}

/** The last thing a process said, as text. */
async function lastLogLine(path: string): Promise<string> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  const line = lines[lines.length - 1] ?? '';
  try {
    const record: unknown = JSON.parse(line);
    if (typeof record !== 'object' || record === null || !('message' in record)) return line;
    const error = 'error' in record ? `: ${String(record.error).split('\n')[0]}` : '';
    return `${String(record.message)}${error}`;
  } catch (error) {
    if (error instanceof SyntaxError) return line;
    throw error;
  }
}

async function firstLine(pipe: Readable): Promise<ReadyAnswer | undefined> {
  let text = '';
  pipe.setEncoding('utf8');
  for await (const part of pipe) {
    text += String(part);
    if (text.includes('\n')) break;
  }
  return parseReady(text.split('\n')[0] ?? '');
}

/** @throws FsError with the reason the process gave, or the last line of its log */
export async function startRole(options: StartOptions): Promise<void> {
  const { command, title, logName, paths, environment } = options;
  const logPath = join(paths.log, logName);
  const log = openLog(logPath);
  const child = spawn(process.execPath, [environment.program, command, '--state', paths.dir], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
    env: { UV_THREADPOOL_SIZE: THREADS, ...environment.env, [READY_VARIABLE]: String(READY_FD) },
  });
  closeSync(log);
  const spawned = once(child, 'spawn');
  const pipe = child.stdio[READY_FD];
  try {
    await spawned;
    if (pipe === null || pipe === undefined || !('read' in pipe)) {
      throw new FsError('EIO', `${title} was started without a pipe`);
    }
    const answer = await within(firstLine(pipe), READY_MS, `starting ${title} (log: ${logPath})`);
    if (answer === undefined) {
      throw new FsError('EIO', `${title} ended at once: ${await lastLogLine(logPath)}`);
    }
    if ('error' in answer) throw new FsError('EIO', `${title} cannot start: ${answer.error}`);
  } catch (error) {
    // Past the bound it may still come up half-way; nobody would know of it.
    if (child.pid !== undefined) child.kill('SIGTERM');
    throw toFsError(error, `cannot start ${title}`);
  } finally {
    if (pipe !== null && pipe !== undefined) pipe.destroy();
    child.unref();
  }
}
