import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { run } from '../dfs.ts';

const here = import.meta.dirname;

export interface Verdict {
  readonly acknowledged: number;
  readonly unknown: number;
  readonly checked: number;
  readonly failures: readonly string[];
}

/** One process working in one directory, logging outside the filesystem under test. */
export class Worker {
  readonly dir: string;
  readonly log: string;
  readonly #child: ReturnType<typeof spawn>;
  readonly #closed: Promise<number | null>;

  private constructor(place: { dir: string; log: string; seed: number }) {
    this.dir = place.dir;
    this.log = place.log;
    const args = [resolve(here, 'run.js'), place.dir, place.log, String(place.seed)];
    this.#child = spawn(process.execPath, args, { stdio: 'ignore', cwd: '/' });
    this.#closed = new Promise((onClosed) => this.#child.once('close', onClosed));
  }

  static start(place: { dir: string; log: string; seed: number }): Worker {
    return new Worker(place);
  }

  /** Still working: neither killed nor stopped by an error. */
  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Operations ended well so far. */
  get acknowledged(): number {
    if (!existsSync(this.log)) return 0;
    return readFileSync(this.log, 'utf8').split('"end":"ok"').length - 1;
  }

  /** How its last operation failed, if one did. */
  get failure(): string | undefined {
    const lines = existsSync(this.log) ? readFileSync(this.log, 'utf8').trim().split('\n') : [];
    return lines.findLast((line) => line.includes('"end"') && !line.includes('"end":"ok"'));
  }

  /** The longest operation that ended, in milliseconds. */
  get longestMs(): number {
    if (!existsSync(this.log)) return 0;
    const times = readFileSync(this.log, 'utf8').matchAll(/"ms":(\d+)}$/gm);
    return Math.max(0, ...[...times].map(([, ms]) => Number(ms)));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  /** @param dir where the directory is seen: on another machine it has another path */
  async verify(dir = this.dir): Promise<Verdict> {
    const output = await run(process.execPath, [resolve(here, 'verify.js'), dir, this.log]);
    if (output.code !== 0) throw new Error(`verify ${dir}: ${output.stderr}`);
    return JSON.parse(output.stdout) as Verdict;
  }
}
