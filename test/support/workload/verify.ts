/**
 * `node verify.js DIR LOG`: compares DIR with what the log says was acknowledged, and prints one
 * JSON document {acknowledged, unknown, checked, failures}.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { apply, type LogLine, type Model, touched } from './operation.ts';

const [dir = '', log = ''] = process.argv.slice(2);
const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
const lines = text.split('\n').filter((line) => line.endsWith('}'));
const model: Model = new Map();
const open = new Map<number, Extract<LogLine, { begin: unknown }>>();
const failures: string[] = [];
let acknowledged = 0;

for (const line of lines.map((entry) => JSON.parse(entry) as LogLine)) {
  if ('begin' in line) open.set(line.id, line);
  else if (line.end === 'ok') {
    const begun = open.get(line.id);
    open.delete(line.id);
    if (begun === undefined) continue;
    apply(model, begun.begin);
    acknowledged++;
  }
}

/** An unknown outcome excuses the names it touched, nothing else. */
const excused = new Set([...open.values()].flatMap(({ begin }) => touched(begin)));
const found = existsSync(dir) ? new Set(readdirSync(dir)) : new Set<string>();

function check(name: string, expected: Buffer | undefined): void {
  const path = join(dir, name);
  if (!found.has(name)) failures.push(`${name}: acknowledged, but missing`);
  else if (expected === undefined) {
    if (!statSync(path).isDirectory()) failures.push(`${name}: not a directory`);
  } else {
    const actual = readFileSync(path);
    if (actual.equals(expected)) return;
    let at = 0;
    while (at < Math.min(actual.length, expected.length) && actual[at] === expected[at]) at++;
    failures.push(`${name}: ${actual.length} bytes, not ${expected.length}; differs at ${at}`);
  }
}

let checked = 0;
for (const [name, expected] of model) {
  if (excused.has(name)) continue;
  checked++;
  check(name, expected);
}
for (const name of found) {
  if (model.has(name) || excused.has(name) || name.startsWith('.')) continue;
  failures.push(`${name}: nobody left it there`);
}
for (const name of excused) {
  // Whatever became of it, it must be readable.
  const path = join(dir, name);
  if (found.has(name) && statSync(path).isFile()) readFileSync(path);
}
process.stdout.write(
  JSON.stringify({ acknowledged, unknown: open.size, checked, failures: failures.slice(0, 20) }),
);
