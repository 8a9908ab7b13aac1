/**
 * Runs the checks and every compiled test, and counts all of it: the last line is exactly
 * `N passed, N failed, N skipped`, and the exit status is 1 when something failed or nothing ran.
 *
 * Each test file is a process of its own with a bound. Files that mount get a private mount and
 * process namespace: whatever they leave behind, mounts and daemons, ends with them.
 *
 * Arguments name groups (unit, mount, ...) or parts of file names (unit/common/config).
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const TESTS = join(ROOT, 'dist/test');
const REPORTER = join(ROOT, 'scripts/test-reporter.mjs');
const HOUSE = 'unit/house.test.js';
const MINUTE_MS = 60_000;
const TOTAL_MS = Number(process.env.DFS_TEST_TOTAL_MINUTES ?? 19) * MINUTE_MS;

const CPUS = availableParallelism();
/** They wait for bounds most of the time, and so run beside each other. */
const WAITING = [
  'cached-copies',
  'evicted-home',
  'first-mount',
  'full-home',
  'joining',
  'partition',
  'server-restart',
  'three-nodes',
  'two-nodes',
  'unlinked-shared',
  'who-waits',
].map((name) => `e2e/${name}.test.js`);
const GROUPS = [
  { name: 'unit', concurrency: CPUS, fileMs: MINUTE_MS },
  { name: 'conformance', concurrency: CPUS, fileMs: 2 * MINUTE_MS },
  { name: 'native', concurrency: 1, fileMs: 2 * MINUTE_MS, isolated: true },
  { name: 'sim', concurrency: CPUS, fileMs: 3 * MINUTE_MS },
  { name: 'mount', concurrency: CPUS, fileMs: 4 * MINUTE_MS, isolated: true },
  { name: 'e2e', concurrency: 1, fileMs: 10 * MINUTE_MS, isolated: true, together: WAITING },
];

const startedMs = Date.now();
const scratch = mkdtempSync(join(tmpdir(), 'dfs-test-run-'));
const results = [];
const running = new Set();

function say(line) {
  process.stdout.write(`${line}\n`);
}

function remainingMs() {
  return TOTAL_MS - (Date.now() - startedMs);
}

/** Root may have namespaces of its own, unless a container forbids it. */
function canIsolate() {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('unshare', ['-m', '-p', '-f', '--mount-proc', 'true']).status === 0;
}

// The shell is process 1 of the namespace: it reaps what daemons leave, then everything ends.
const ISOLATED = `
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections
"$@"
exit $?`;

function isolate(command) {
  const flags = ['-m', '-p', '-f', '--kill-child', '--mount-proc', '--propagation', 'private'];
  return ['unshare', ...flags, 'sh', '-c', ISOLATED, 'sh', ...command];
}

/** Runs a command in its own process group, killed whole at the bound. */
function execute([command, ...args], timeoutMs) {
  return new Promise((onDone) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child.pid);
    let output = '';
    let expired = false;
    const collect = (part) => {
      output = (output + part).slice(-200_000);
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    const timer = setTimeout(() => {
      expired = true;
      killGroup(child.pid);
    }, timeoutMs);
    const finish = (code) => {
      clearTimeout(timer);
      running.delete(child.pid);
      onDone({ code, output, expired });
    };
    child.once('error', (error) => {
      output += error.message;
      finish(127);
    });
    child.once('exit', (code, signal) => {
      // A daemon that a test left behind may hold the pipes open.
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        finish(code ?? `signal ${signal}`);
      }, 50);
    });
  });
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function parseReport(path) {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line));
}

/** What the file's process says beyond its tests: it hung, it crashed, it tested nothing. */
function fileFailure(run, tests, fileMs) {
  if (run.expired) return `no end within ${fileMs / 1000} s, killed`;
  const failed = tests.some((test) => test.result === 'failed');
  if (run.code !== 0 && !failed) return `its process ended with ${run.code}`;
  if (tests.length === 0) return 'it ran no test';
  return undefined;
}

function record(file, tests) {
  for (const test of tests) {
    results.push({ ...test, file });
    if (test.result === 'passed') continue;
    say(`  ${test.result === 'failed' ? 'FAILED' : 'skipped'} ${file}: ${test.name}`);
    say(`    ${test.reason.split('\n').slice(0, 30).join('\n    ')}`);
  }
}

async function runFile(path, group, isolating) {
  const file = relative(TESTS, path);
  const report = join(scratch, `${file.replaceAll('/', '_')}.jsonl`);
  const fileMs = Math.min(group.fileMs, remainingMs());
  if (fileMs <= 0) {
    record(file, [{ name: '(file)', result: 'failed', reason: 'the total time was used up' }]);
    return;
  }
  const reporting = [`--test-reporter=${REPORTER}`, `--test-reporter-destination=${report}`];
  const command = [process.execPath, '--expose-gc', '--enable-source-maps', ...reporting, path];
  const beganMs = Date.now();
  const run = await execute(isolating ? isolate(command) : command, fileMs);
  const tests = parseReport(report);
  const failure = fileFailure(run, tests, fileMs);
  if (failure !== undefined) tests.push({ name: '(file)', result: 'failed', reason: failure });
  const failed = tests.some((test) => test.result === 'failed');
  const seconds = ((Date.now() - beganMs) / 1000).toFixed(1);
  say(`${failed ? 'FAILED' : 'ok'} ${file} (${tests.length} tests, ${seconds} s)`);
  record(file, tests);
  if (failed && run.output.trim() !== '') {
    say(`    --- what it printed\n    ${run.output.trim().split('\n').slice(-80).join('\n    ')}`);
  }
}

async function runFiles(files, group, isolating) {
  const { concurrency, together = [] } = group;
  const isTogether = (path) => together.includes(relative(TESTS, path));
  const run = (some, many) => runAtOnce(some, { ...group, concurrency: many }, isolating);
  await run(files.filter(isTogether), CPUS);
  await run(
    files.filter((path) => !isTogether(path)),
    concurrency,
  );
}

async function runAtOnce(files, group, isolating) {
  const queue = [...files];
  const work = async () => {
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      await runFile(path, group, isolating);
    }
  };
  await Promise.all(Array.from({ length: group.concurrency }, work));
}

async function runChecks() {
  say('== check');
  const run = await execute(['sh', 'scripts/check.sh'], Math.min(5 * MINUTE_MS, remainingMs()));
  let count = 0;
  for (const line of run.output.split('\n')) {
    const [, word, name] = /^(ok|FAILED) (.+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    count += 1;
    const result = word === 'ok' ? 'passed' : 'failed';
    results.push({ name, file: 'check', result, reason: 'see above' });
  }
  say(run.output.trim());
  if (run.expired || count === 0) {
    results.push({ name: 'check', file: 'check', result: 'failed', reason: 'it did not finish' });
  }
}

function listTests() {
  if (!existsSync(TESTS)) return [];
  return readdirSync(TESTS, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .sort();
}

/** Files outside the known groups must not be forgotten. */
function groupOf(file) {
  const name = file.split('/')[0];
  return GROUPS.find((group) => group.name === name) ?? { ...GROUPS[0], name };
}

/** A group, or a part of the name of a file. */
function isNamed(file, word) {
  const isGroup = GROUPS.some(({ name }) => name === word);
  return isGroup ? file.startsWith(`${word}/`) : file.includes(word);
}

function isWanted(file, wanted) {
  return wanted.length === 0 || wanted.some((word) => isNamed(file, word));
}

/** A word that names nothing must not look like a test that passed. */
function requireTests(files, wanted) {
  for (const word of wanted) {
    if (files.some((file) => isNamed(file, word))) continue;
    record('(arguments)', [{ name: word, result: 'failed', reason: 'no test has this name' }]);
  }
}

async function runTests(wanted, checked) {
  const all = listTests();
  requireTests(all, wanted);
  const files = all.filter((file) => isWanted(file, wanted));
  const tests = checked ? files.filter((file) => file !== HOUSE) : files;
  const names = new Set([
    ...GROUPS.map((group) => group.name),
    ...tests.map((file) => groupOf(file).name),
  ]);
  const isolation = canIsolate();
  for (const name of names) {
    const mine = tests.filter((file) => groupOf(file).name === name);
    const [first] = mine;
    if (first === undefined) continue;
    const group = groupOf(first);
    const isolating = group.isolated === true && isolation;
    say(`== ${name} (${mine.length} files)`);
    if (group.isolated === true && !isolation) say('  without namespaces of its own');
    await runFiles(
      mine.map((file) => join(TESTS, file)),
      group,
      isolating,
    );
  }
}

/** Checks compile the tests as well; without them that is done here. */
async function compileTests() {
  const command = ['node_modules/.bin/tsc', '-p', 'test/tsconfig.json'];
  const run = await execute(command, 2 * MINUTE_MS);
  if (run.code === 0) return;
  say(run.output);
  results.push({ name: 'types of test', file: 'check', result: 'failed', reason: 'see above' });
}

function summary() {
  const of = (result) => results.filter((test) => test.result === result);
  for (const result of ['failed', 'skipped']) {
    const list = of(result);
    if (list.length === 0) continue;
    say(`\n${result}:`);
    for (const test of list) {
      say(`  ${test.file}: ${test.name} (${test.reason.split('\n')[0]})`);
    }
  }
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map((name) => of(name).length);
  say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function onSignal() {
  for (const pid of running) killGroup(pid);
  process.exit(1);
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
const wanted = process.argv.slice(2);
const checked = wanted.length === 0 || wanted.includes('check');
if (checked) await runChecks();
else await compileTests();
const groups = wanted.filter((word) => word !== 'check');
if (wanted.length === 0 || groups.length > 0) await runTests(groups, checked);
rmSync(scratch, { recursive: true, force: true });
process.exitCode = summary();
