/**
 * Three machines append lines to one file, in turn and at once, and `tail -f` on a fourth one shows
 * each line whole, once, and in the order of its writer. ROUNDS and LINES (of each writer) make it
 * longer, more APPENDERS than three share machines. READER puts `tail -f` on one of these, by index,
 * where it may read zeros at the moment of an append (docs/SEMANTICS.md).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { type ClusterNode, TestCluster } from '../support/cluster.ts';
import { mutant } from '../support/mutant.ts';
import { until } from '../support/processes.ts';
import { reasonAgainstPrograms } from '../support/programs.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 1);
const LINES = Number(process.env['LINES'] ?? 80);
const APPENDING = 3;
const READER = Number(process.env['READER'] ?? APPENDING);
const APPENDERS = Number(process.env['APPENDERS'] ?? 3);
const TURNS = Math.min(100, Math.ceil(LINES / 8));
const LONG_EVERY = 20;
/** With the rest of the line still one write(2) of the shell, which writes 4 KiB at once. */
const LONG_WIDTH = 4_000;
const MUTANT_ROUNDS = 15;
const MUTANT_LINES = 80;
const LINE_MS = 500;
const LINE_SHOWN_MS = 2;
const SHOWN_MS = 30_000;

interface Appender {
  readonly name: string;
  readonly node: ClusterNode;
}

/** What a shell on `writer` appends as its line `index`. */
function lineOf(writer: string, index: number): string {
  const width = index % LONG_EVERY === 0 ? LONG_WIDTH : 1 + ((index * 37) % 200);
  return `${writer} ${index} ${String(index).padStart(width, '0')}`;
}

const TO = { held: '>&3', anew: '>>"$file"' } as const;

/** Appends lines by one write(2) each, to a file held open or opened anew for each. */
async function append(
  { name, node: { dfs } }: Appender,
  file: string,
  [from, to]: readonly [from: number, to: number],
  how: keyof typeof TO,
): Promise<void> {
  const script = `
    file=${file}
    exec 3>>"$file"
    for ((n = ${from}; n < ${to}; n++)); do
      width=$((n % ${LONG_EVERY} ? 1 + n * 37 % 200 : ${LONG_WIDTH}))
      printf -v line '%s %d %0*d' ${name} $n $width $n
      echo "$line" ${TO[how]}
    done`;
  await dfs.ok(script, 30_000 + (to - from) * LINE_MS);
}

/** `tail -f` of a file from its beginning. It looks every 50 ms: nothing else tells it. */
class Tail {
  shown = '';
  complaints = '';
  readonly #child: ChildProcess;

  constructor(t: TestContext, { dfs }: ClusterNode, file: string) {
    const args = ['-n', '+1', '-s', '0.05', '-f', `${dfs.mountpoint}/${file}`];
    const child = spawn('tail', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      this.shown += text;
    });
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.complaints += text;
    });
    this.#child = child;
    t.after(() => this.#child.kill('SIGKILL'));
  }

  async untilShown(bytes: number, ms: number): Promise<void> {
    await until(`tail shows ${bytes} bytes`, () => this.shown.length >= bytes, ms);
  }
}

function linesOf(text: string): string[] {
  assert.ok(text.endsWith('\n'), 'the last line is whole');
  return text.slice(0, -1).split('\n');
}

function brief(line: string | undefined): string {
  const text = JSON.stringify(line) ?? 'nothing';
  return text.length < 70 ? text : `${text.slice(0, 60)}... (${line?.length} bytes)`;
}

/** The first line in which they differ. */
function difference(found: readonly string[], expected: readonly string[]): string | undefined {
  const length = Math.max(found.length, expected.length);
  for (let at = 0; at < length; at++) {
    if (found[at] === expected[at]) continue;
    return `line ${at}: ${brief(found[at])} where ${brief(expected[at])} is expected`;
  }
  return undefined;
}

function appendersOn(cluster: TestCluster): Appender[] {
  return Array.from({ length: APPENDERS }, (_, index) => {
    const node = cluster.node(index % APPENDING);
    return { name: `${node.name}${index}`, node };
  });
}

async function round(t: TestContext, cluster: TestCluster, n: number): Promise<void> {
  const reader = cluster.node(READER);
  const writers = appendersOn(cluster);
  const file = `log-${n}`;
  // Its machine keeps the bytes: that of the reader in one round of four.
  await cluster.node(n % cluster.nodes.length).dfs.ok(`: > ${file}`);
  const tail = new Tail(t, reader, file);

  const inTurn: string[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    for (const writer of writers) {
      await append(writer, file, [turn, turn + 1], 'anew');
      inTurn.push(lineOf(writer.name, turn));
    }
  }
  const half = TURNS + Math.ceil((LINES - TURNS) / 2);
  await Promise.all(
    writers.map(async (writer) => {
      await append(writer, file, [TURNS, half], 'anew');
      await append(writer, file, [half, LINES], 'held');
    }),
  );

  const size = Number(await reader.dfs.ok(`stat -c %s ${file}`));
  await tail.untilShown(size, SHOWN_MS + writers.length * LINES * LINE_SHOWN_MS);
  for (const { dfs, name } of cluster.nodes) {
    const shown = await dfs.ok(`cat ${file}`);
    assert.equal(difference(linesOf(tail.shown), linesOf(shown)), undefined, `tail and ${name}`);
  }
  const lines = linesOf(tail.shown);
  assert.equal(difference(lines.slice(0, inTurn.length), inTurn), undefined);
  for (const { name } of writers) {
    const own = lines.filter((line) => line.startsWith(`${name} `));
    const expected = Array.from({ length: LINES }, (_, index) => lineOf(name, index));
    assert.equal(difference(own, expected), undefined, `the lines of ${name}`);
  }
  assert.equal(lines.length, writers.length * LINES);
  assert.equal(tail.complaints, '');
  t.diagnostic(`${lines.length} lines of ${writers.length} appenders, ${size} bytes`);
}

const skip = await reasonAgainstPrograms('tail');

test('tail -f shows what several machines append', { skip }, async (t) => {
  const cluster = await TestCluster.start(t, { nodes: APPENDING + 1, network: 'host' });
  for (let n = 1; n <= ROUNDS; n++) {
    await t.test(`round ${n}`, (sub) => round(sub, cluster, n));
  }
});

test('it shows when descriptors to append go through the page cache', async (t) => {
  const program = await mutant(t, {
    name: 'the kernel says where an append goes',
    file: 'src/mount/vfs/file-ops.js',
    from: 'const append = (flags & O_APPEND) !== 0 && writes;',
    to: 'const append = false;',
  });
  const cluster = await TestCluster.start(t, { nodes: 3, network: 'host', program });
  const writers = cluster.nodes.map((node) => ({ name: node.name, node }));
  const written = writers.flatMap(({ name }) =>
    Array.from({ length: MUTANT_LINES }, (_, index) => lineOf(name, index)),
  );
  let torn: readonly string[] = [];
  let lost: readonly string[] = [];
  for (let n = 1; n <= MUTANT_ROUNDS && torn.length === 0; n++) {
    const file = `torn-${n}`;
    await Promise.all(writers.map((writer) => append(writer, file, [0, MUTANT_LINES], 'held')));
    const shown = (await cluster.node(0).dfs.ok(`cat ${file}`)).split('\n').slice(0, -1);
    torn = shown.filter((line) => !written.includes(line));
    lost = written.filter((line) => !shown.includes(line));
  }
  t.diagnostic(`${torn.length} torn, such as ${torn[0]?.slice(0, 60)}; ${lost.length} lost`);
  assert.ok(torn.length > 0, 'no record was torn');
});
