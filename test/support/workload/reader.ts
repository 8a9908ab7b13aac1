import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const PROGRAM = resolve(import.meta.dirname, 'read.js');

interface ReadLine {
  readonly what: string;
  readonly end: string;
  readonly ms: number;
}

export interface ReadTotals {
  readonly done: number;
  /** What failed, with the error. */
  readonly failed: readonly string[];
  readonly longestMs: number;
}

/** One process reading what others write, logging outside the filesystem under test. */
export class Reader {
  readonly #log: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;

  private constructor(log: string, dirs: readonly string[]) {
    this.#log = log;
    this.#child = spawn(process.execPath, [PROGRAM, log, ...dirs], { stdio: 'ignore', cwd: '/' });
    this.#closed = new Promise((onClosed) => this.#child.once('close', () => onClosed()));
  }

  static start(log: string, dirs: readonly string[]): Reader {
    return new Reader(log, dirs);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  get totals(): ReadTotals {
    const text = existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : '';
    const lines = text
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as ReadLine);
    const good = lines.filter(({ end }) => end === 'ok' || end === 'gone');
    return {
      done: good.length,
      failed: lines
        .filter(({ end }) => end !== 'ok' && end !== 'gone')
        .map(({ what, end, ms }) => `${what}: ${end} after ${ms} ms`),
      longestMs: lines.reduce((longest, { ms }) => Math.max(longest, ms), 0),
    };
  }
}
