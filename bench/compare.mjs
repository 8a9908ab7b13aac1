/**
 * The same work on local disk and on dfs, round by round in turn, so that both meet the same
 * machine: docs/BENCH.md has the options and the meaning of the figures.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { rowsOf, tableText } from './table.mjs';

const ROUND = join(import.meta.dirname, 'round.mjs');
const ROUND_MS = 10 * 60_000;
const CLEAN_MS = 60_000;
const USAGE =
  'usage: node bench/compare.mjs --a MOUNT --b MOUNT --local DIR [--rounds 3] [--scale 1] [--json FILE]\n';

function options() {
  const string = { type: 'string' };
  const { values } = parseArgs({
    options: {
      a: string,
      b: string,
      local: string,
      json: string,
      rounds: { ...string, default: '3' },
      scale: { ...string, default: '1' },
    },
  });
  const { a, b, local, json } = values;
  const [rounds, scale] = [Number(values.rounds), Number(values.scale)];
  if (!(a && b && local && rounds >= 1 && scale > 0)) throw new Error('an option is missing');
  return { a: resolve(a), b: resolve(b), local: resolve(local), json, rounds, scale };
}

/** In a process of its own, with a bound: a mount may hang. */
function runRound(side, places) {
  const result = spawnSync(process.execPath, [ROUND, JSON.stringify(places)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: ROUND_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 16 * 1024 ** 2,
  });
  const lines = result.stdout.split('\n').filter((line) => line !== '');
  const figures = lines.map((line) => ({ side, ...JSON.parse(line) }));
  if (result.status === 0) return figures;
  spawnSync('rm', ['-r', '-f', places.a], { timeout: CLEAN_MS, killSignal: 'SIGKILL' });
  const error = `the round ended early (${result.signal ?? result.status})`;
  return [
    ...figures,
    { side, suite: 'round', name: 'whole rounds', unit: '', isRate: false, error },
  ];
}

function measure({ a, b, local, rounds, scale }) {
  const figures = [];
  const work = mkdtempSync(join(local, 'dfs-bench-'));
  const name = `bench-${process.pid}`;
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const scratch = mkdtempSync(join(work, 'scratch-'));
      const sides = [
        ['local', { a: join(work, name), b: join(work, name), scratch, scale }],
        ['dfs', { a: join(a, name), b: join(b, name), scratch: `${scratch}/dfs`, scale }],
      ];
      mkdirSync(`${scratch}/dfs`);
      // Neither is always the one that comes second.
      if (round % 2 === 0) sides.reverse();
      for (const [side, places] of sides) {
        process.stderr.write(`round ${round} of ${rounds}: ${side}\n`);
        figures.push(...runRound(side, places));
      }
      rmSync(scratch, { recursive: true });
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return rowsOf(figures);
}

function main() {
  const given = options();
  const rows = measure(given);
  process.stdout.write(tableText(rows));
  const errors = rows.flatMap(({ name, errors }) => errors.map((error) => `${name}: ${error}`));
  for (const error of errors) process.stderr.write(`${error}\n`);
  if (given.json !== undefined) {
    const machine = { cpus: availableParallelism(), kernel: release(), node: process.version };
    const { rounds, scale } = given;
    const document = { when: new Date().toISOString(), machine, rounds, scale, rows };
    writeFileSync(given.json, `${JSON.stringify(document, undefined, 2)}\n`);
  }
  if (errors.length > 0) process.exitCode = 1;
}

try {
  main();
} catch (error) {
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
