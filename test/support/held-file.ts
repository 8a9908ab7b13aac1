/** A file that another process holds open, so that a test decides when each call on it happens. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import { within } from '../../src/common/lifecycle.ts';
import type { Answer, Call } from './workload/hold.ts';

const PROGRAM = resolve(import.meta.dirname, 'workload/hold.js');
const CALL_MS = 60_000;

export class HeldFile {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  private constructor(path: string, flags: string) {
    const stdio = ['pipe', 'pipe', 'inherit'] as const;
    this.#child = spawn(process.execPath, [PROGRAM, path, flags], { stdio: [...stdio], cwd: '/' });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @throws Error with the name of the error when it cannot be opened */
  static async open(t: TestContext, path: string, flags: string): Promise<HeldFile> {
    const file = new HeldFile(path, flags);
    t.after(() => file.kill());
    const { outcome } = await file.#next();
    if (outcome !== 'ok') throw new Error(`open ${path}: ${outcome}`);
    return file;
  }

  /** One call, and how it went. */
  call(call: Call): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(call)}\n`);
    return this.#next();
  }

  /** A call that must succeed. */
  async ok(call: Call): Promise<Answer> {
    const answer = await this.call(call);
    if (answer.outcome !== 'ok') throw new Error(`${call.call}: ${answer.outcome}`);
    return answer;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #next(): Promise<Answer> {
    const next = await within(this.#answers.next(), CALL_MS, 'a call on a held file');
    if (next.done === true) throw new Error('the process that holds the file has ended');
    return JSON.parse(next.value) as Answer;
  }
}
