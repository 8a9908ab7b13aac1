/**
 * `node hold.js PATH FLAGS`: opens a file and keeps it open. Each line on standard input is one
 * call on it, each answered with one line on standard output: `ok`, with what was read in JSON,
 * or the name of an error, and after a blank how many milliseconds it took.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { systemCode } from '../../../src/common/errno.ts';

export type Call =
  | { readonly call: 'write'; readonly at: number; readonly text: string }
  | { readonly call: 'read'; readonly at: number; readonly length: number }
  | { readonly call: 'truncate'; readonly length: number }
  | { readonly call: 'size' | 'times' | 'fsync' | 'close' };

export interface Answer {
  /** `ok`, or the name of an error. */
  readonly outcome: string;
  readonly text?: string;
  readonly size?: number;
  /** mtime and ctime in seconds, as stat(1) prints `%.9Y %.9Z`. */
  readonly times?: string;
  readonly ms: number;
}

const [path = '', flags = 'r'] = process.argv.slice(2);

function seconds(ns: bigint): string {
  return `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
}

function perform(fd: number, call: Call): object {
  switch (call.call) {
    case 'write':
      writeSync(fd, call.text, call.at);
      return {};
    case 'read': {
      const buffer = Buffer.alloc(call.length);
      return { text: buffer.toString('utf8', 0, readSync(fd, buffer, 0, call.length, call.at)) };
    }
    case 'truncate':
      ftruncateSync(fd, call.length);
      return {};
    case 'size':
      return { size: fstatSync(fd).size };
    case 'times': {
      const { mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
      return { times: `${seconds(mtimeNs)} ${seconds(ctimeNs)}` };
    }
    case 'fsync':
      fsyncSync(fd);
      return {};
    case 'close':
      closeSync(fd);
      return {};
  }
}

function answer(work: () => object): void {
  const start = performance.now();
  let result: object;
  try {
    result = { outcome: 'ok', ...work() };
  } catch (error) {
    result = { outcome: systemCode(error) ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify({ ...result, ms: performance.now() - start })}\n`);
}

let fd = -1;
answer(() => {
  fd = openSync(path, flags);
  return {};
});
for await (const line of createInterface({ input: process.stdin })) {
  answer(() => perform(fd, JSON.parse(line) as Call));
}
