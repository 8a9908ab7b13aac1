/**
 * `node run.js DIR LOG SEED`: random operations in DIR until killed or until one fails, each
 * logged before it begins and after it ended. Prints nothing; the log is the result.
 */
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../../src/common/errno.ts';
import { Random } from '../random.ts';
import { type LogLine, type Operation, pattern } from './operation.ts';

const LENGTH_MAX = 300_000;
const FILES_MAX = 40;

const [dir = '', log = '', seed = '1'] = process.argv.slice(2);
const random = new Random(Number(seed));
const files = new Map<string, number>();
let next = 0;

function note(line: LogLine): void {
  appendFileSync(log, `${JSON.stringify(line)}\n`);
}

function length(): number {
  return random.chance(0.2) ? random.below(LENGTH_MAX) : random.below(9_000);
}

function choose(id: number): Operation {
  const known = [...files.keys()];
  if (known.length === 0 || (known.length < FILES_MAX && random.chance(0.35))) {
    if (random.chance(0.15)) return { kind: 'mkdir', name: `d${next++}` };
    const kind = random.pick(['write', 'replace'] as const);
    return { kind, name: `f${next++}`, tag: id, length: length() };
  }
  const name = random.pick(known);
  const size = files.get(name) ?? 0;
  const kinds = ['append', 'overwrite', 'truncate', 'rename', 'unlink', 'replace'] as const;
  const kind = known.length >= FILES_MAX ? 'unlink' : random.pick(kinds);
  switch (kind) {
    case 'append':
    case 'replace':
      return { kind, name, tag: id, length: length() };
    case 'overwrite':
      return { kind, name, tag: id, offset: random.below(size + 5_000), length: length() };
    case 'truncate':
      return { kind, name, length: random.below(size + 5_000) };
    case 'rename':
      return { kind, name, to: random.chance(0.5) ? `f${next++}` : random.pick(known) };
    case 'unlink':
      return { kind, name };
  }
}

function withFile(name: string, flags: string, work: (fd: number) => void): void {
  const fd = openSync(join(dir, name), flags);
  try {
    work(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Buffer, position: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    done += writeSync(fd, bytes, done, bytes.length - done, at);
  }
}

function perform(op: Operation): void {
  switch (op.kind) {
    case 'write':
      withFile(op.name, 'w', (fd) => writeAll(fd, pattern(op.tag, op.length), 0));
      break;
    case 'replace':
      withFile(`.${op.name}.tmp`, 'w', (fd) => writeAll(fd, pattern(op.tag, op.length), 0));
      renameSync(join(dir, `.${op.name}.tmp`), join(dir, op.name));
      break;
    case 'append':
      withFile(op.name, 'a', (fd) => writeAll(fd, pattern(op.tag, op.length), null));
      break;
    case 'overwrite':
      withFile(op.name, 'r+', (fd) => writeAll(fd, pattern(op.tag, op.length), op.offset));
      break;
    case 'truncate':
      withFile(op.name, 'r+', (fd) => ftruncateSync(fd, op.length));
      break;
    case 'rename':
      renameSync(join(dir, op.name), join(dir, op.to));
      break;
    case 'unlink':
      unlinkSync(join(dir, op.name));
      break;
    case 'mkdir':
      mkdirSync(join(dir, op.name));
  }
}

function remember(op: Operation): void {
  const size = files.get(op.name) ?? 0;
  if (op.kind === 'unlink') files.delete(op.name);
  else if (op.kind === 'rename') {
    files.delete(op.name);
    files.set(op.to, size);
  } else if (op.kind === 'append') files.set(op.name, size + op.length);
  else if (op.kind === 'overwrite') files.set(op.name, Math.max(size, op.offset + op.length));
  else if (op.kind !== 'mkdir') files.set(op.name, op.length);
}

mkdirSync(dir, { recursive: true });
for (let id = 1; ; id++) {
  const op = choose(id);
  if (op.kind === 'rename' && op.name === op.to) continue;
  note({ id, begin: op });
  const start = performance.now();
  const ms = (): number => Math.round(performance.now() - start);
  try {
    perform(op);
  } catch (error) {
    note({ id, end: systemCode(error) ?? String(error), ms: ms() });
    process.exit(3);
  }
  note({ id, end: 'ok', ms: ms() });
  remember(op);
}
