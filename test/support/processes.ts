import { readdirSync, readFileSync } from 'node:fs';
import { systemCode } from '../../src/common/errno.ts';
import { delay } from '../../src/common/lifecycle.ts';

/** Waits for a condition, looking every few milliseconds. @throws Error after `ms` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 15_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await delay(20);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
    return false;
  }
}

/** SIGKILL, and the process is gone when it resolves; one that ended by itself is fine. */
export async function killHard(pid: number): Promise<void> {
  if (!isAlive(pid)) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
  await until(`process ${pid} ends`, () => !isAlive(pid) || stateOf(pid) === 'Z');
}

function stateOf(pid: number | string): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ESRCH') throw error;
    return '';
  }
}

/** Processes in uninterruptible sleep, by name. */
export function uninterruptible(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name) && stateOf(name) === 'D')
    .map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
}

/** Processes whose command line names `text`. */
export function processesNaming(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandLine(pid).includes(text))
    .map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ESRCH') throw error;
    return '';
  }
}
