/** The command line as a user meets it: each test runs the real program. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.js');

interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function dfs(...args: readonly string[]): Said {
  const options = { encoding: 'utf8', timeout: 30_000, cwd: '/' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], options);
  return { code: status, stdout, stderr };
}

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'dfs-cli-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Exactly one line on stderr that starts with the program's name. */
function assertSentence(said: Said, code: number, pattern: RegExp): void {
  assert.equal(said.code, code, said.stderr);
  assert.match(said.stderr, /^dfs: [^\n]+\n$/);
  assert.match(said.stderr, pattern);
  assert.equal(said.stdout, '');
}

test('wrong usage is one sentence with a suggestion, and exit status 2', () => {
  assertSentence(dfs('moutn', '/x'), 2, /unknown command 'moutn' \(did you mean mount\?\)/);
  assertSentence(dfs('mount', '--sate', '/x'), 2, /unknown option '--sate' \(did you mean --state/);
  assertSentence(dfs('unmount'), 2, /missing required argument 'mountpoint'/);
  assertSentence(dfs('help', 'flsuh'), 2, /unknown command 'flsuh' \(did you mean flush\?\)/);
  assertSentence(dfs('stop', 'now'), 2, /too many arguments/);
});

test('commands that are not built are unknown', () => {
  for (const command of ['top', 'shell', 'scrub', 'token', 'doctor', 'config']) {
    assertSentence(dfs(command), 2, /unknown command/);
  }
});

test('every command has help with two examples', () => {
  const commands = ['mount', 'unmount', 'stop', 'invite', 'status', 'metaserver', 'peer'];
  for (const command of [...commands, 'flush', 'version', 'help']) {
    const { code, stdout } = dfs('help', command);
    assert.equal(code, 0);
    const examples = stdout.slice(stdout.indexOf('Examples:'));
    assert.equal(examples.match(/^ {2}dfs /gm)?.length, 2, command);
  }
});

test('version names formats, node and kernel, also as JSON', () => {
  assert.match(dfs('version').stdout, /^dfs \d+\.\d+\.\d+\n(?:[a-z -]+ {2,}\S.*\n){5}$/);
  const document: unknown = JSON.parse(dfs('version', '--json').stdout);
  assert.ok(typeof document === 'object' && document !== null && 'format' in document);
  const names = ['format', 'fuseNative', 'kernel', 'node', 'version', 'wire'];
  assert.deepEqual(Object.keys(document).sort(), names);
  assert.equal(document.format, 1);
});

test('commands without a state folder say what to do, and make nothing', (t) => {
  const dir = scratch(t);
  for (const command of ['status', 'stop', 'flush', 'invite']) {
    const said = dfs(command, '--state', join(dir, 'none'));
    assertSentence(said, 1, /no dfs state in .*none: `dfs mount MOUNTPOINT` founds a cluster/);
  }
  for (const role of ['metaserver', 'peer']) {
    const { code, stderr } = dfs(role, '--state', dir);
    assert.equal(code, 1);
    assert.match(stderr, /\ndfs: .* is not a dfs state folder: `dfs mount MOUNTPOINT` makes one/);
  }
  assert.deepEqual(readdirSync(dir), []);
});

test('joining is refused before anything is made', (t) => {
  const dir = scratch(t);
  const said = dfs(
    'mount',
    join(dir, 'mnt'),
    '--state',
    join(dir, 'state'),
    '--join',
    '127.0.0.1:1',
  );
  assertSentence(said, 1, /cannot join through 127.0.0.1:1: nobody listens at 127.0.0.1:1/);
  assert.deepEqual(readdirSync(dir), []);
});

test('a line of fstab that names a machine joins it', (t) => {
  const dir = scratch(t);
  const options = `rw,noauto,state=${join(dir, 'state')}`;
  const said = dfs('mount-helper', '127.0.0.1:1', join(dir, 'mnt'), '-o', options);
  assertSentence(said, 1, /cannot join through 127.0.0.1:1: nobody listens at/);
  assert.deepEqual(readdirSync(dir), []);
});

test('listening beyond this machine is wrong usage without --insecure', (t) => {
  const dir = scratch(t);
  const args = ['mount', join(dir, 'mnt'), '--state', join(dir, 'state')];
  for (const flag of ['--listen', '--peer-listen']) {
    const said = dfs(...args, flag, '0.0.0.0');
    assertSentence(said, 2, /0\.0\.0\.0:748[01] opens this node to the network .*add --insecure/);
  }
  assert.deepEqual(readdirSync(dir), []);
});

test('an invitation that only tokens could keep is refused', () => {
  assertSentence(dfs('invite', '--read-only'), 1, /--read-only needs tokens/);
  assertSentence(dfs('invite', '--once'), 1, /--once needs tokens/);
});

test('a foreign state folder is refused and left alone', (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'state'));
  writeFileSync(join(dir, 'state', 'thesis.tex'), 'chapter 1');
  const said = dfs('mount', join(dir, 'mnt'), '--state', join(dir, 'state'));
  assertSentence(said, 1, /state is not empty and not a dfs state folder/);
  assert.deepEqual(readdirSync(join(dir, 'state')), ['thesis.tex']);
  assert.deepEqual(readdirSync(dir), ['state']);
});

test('a mountpoint that is no empty directory is refused before founding', (t) => {
  const dir = scratch(t);
  const state = join(dir, 'state');
  writeFileSync(join(dir, 'file'), '');
  mkdirSync(join(dir, 'full'));
  writeFileSync(join(dir, 'full', 'x'), '');
  assertSentence(dfs('mount', join(dir, 'file'), '--state', state), 1, /file is not a directory/);
  assertSentence(dfs('mount', join(dir, 'full'), '--state', state), 1, /full is not empty/);
  assertSentence(dfs('mount', '/proc', '--state', state), 1, /something else \(proc\) is mounted/);
  const inside = dfs('mount', join(state, 'mnt'), '--state', state);
  assertSentence(inside, 1, /must not overlap/);
  assert.deepEqual(readdirSync(state), []);
});

test('an unknown key of config.json is refused by name', (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'format.json'), '{}');
  writeFileSync(join(dir, 'config.json'), '{"nmae": "x"}');
  const said = dfs('mount', '/mnt/nowhere', '--state', dir);
  assertSentence(said, 1, /config\.json has an unknown key "nmae" \(did you mean name\?\)/);
});

test('unmounting what is not mounted, or not ours, is refused', (t) => {
  const dir = scratch(t);
  assertSentence(dfs('unmount', dir), 1, /nothing is mounted on/);
  assertSentence(dfs('unmount', '/proc'), 1, /is no dfs mount \(proc\): use umount/);
});
