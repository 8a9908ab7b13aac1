/**
 * The first three minutes: a fresh clone, the commands of the README as they are written, and
 * what people do next. Runs in a mount namespace of its own (see the test runner), where the
 * usual places of the state can be covered without touching the machine's.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { expectOk, run } from '../support/dfs.ts';

const CHECKOUT = resolve(import.meta.dirname, '../../..');
const MINUTE_MS = 60_000;

function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'mounting in the usual places needs root';
  if (!existsSync('/dev/fuse')) return 'this machine has no /dev/fuse';
  if (!existsSync(join(CHECKOUT, '.git'))) return 'this is not a git checkout to clone';
  return false;
}

/** A clone of what is committed, with /var/lib and /mnt covered by empty ones. */
async function freshClone(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-clone-'));
  for (const place of ['/var/lib', '/mnt']) {
    expectOk(await run('mount', ['-t', 'tmpfs', 'dfs-test', place]), `covering ${place}`);
  }
  t.after(async () => {
    await run(join(dir, 'dfs', 'dfs'), ['stop'], { timeoutMs: 30_000 });
    for (const place of ['/mnt/dfs', '/mnt', '/var/lib']) await run('umount', ['-l', place]);
    await rm(dir, { recursive: true, force: true });
  });
  const clone = join(dir, 'dfs');
  expectOk(await run('git', ['clone', '-q', CHECKOUT, clone]), 'git clone');
  return clone;
}

test('a fresh clone builds itself, mounts, works and unmounts', {
  skip: reasonToSkip(),
}, async (t) => {
  const clone = await freshClone(t);
  const dfs = join(clone, 'dfs');
  const readme = await readFile(join(clone, 'README.md'), 'utf8');
  assert.match(readme, /^ {4}\.\/dfs mount \/mnt\/dfs$/m);
  assert.match(readme, /^ {4}\.\/dfs unmount \/mnt\/dfs$/m);

  await t.test('two first starts at once build once', async () => {
    const options = { cwd: clone, timeoutMs: 8 * MINUTE_MS };
    const both = await Promise.all([
      run('./dfs', ['version'], options),
      run('./dfs', ['version'], options),
    ]);
    for (const output of both) assert.match(expectOk(output, './dfs version').stdout, /^dfs \d/);
    const builds = both.filter((output) => output.stderr.includes('installing packages'));
    assert.equal(builds.length, 1, both.map((output) => output.stderr).join('---\n'));
    assert.ok(!existsSync(join(clone, 'tools/lint/node_modules')), 'lint tools were installed');
  });

  await t.test('the two commands of the README do what they say', async () => {
    expectOk(await run('./dfs', ['mount', '/mnt/dfs'], { cwd: clone }), './dfs mount');
    const work = `
      cp -r "${CHECKOUT}/src" /mnt/dfs/src && diff -r "${CHECKOUT}/src" /mnt/dfs/src
      cat /mnt/dfs/src/mount/node.ts > /dev/null
      cd /mnt/dfs && git init -q r && cd r && cp ../src/common/*.ts . && git add -A
      git -c user.name=t -c user.email=t@localhost commit -qm all && git fsck --strict`;
    expectOk(await run('bash', ['-euc', work], { timeoutMs: MINUTE_MS }), 'work');
    const status = expectOk(await run(dfs, ['status', '--json']), './dfs status');
    assert.match(status.stdout, /"mountpoint": "\/mnt\/dfs"/);
    expectOk(await run('./dfs', ['unmount', '/mnt/dfs'], { cwd: clone }), './dfs unmount');
    assert.ok(!existsSync('/mnt/dfs/src'));
  });

  await t.test('a later start takes well under a second', async () => {
    const start = performance.now();
    expectOk(await run(dfs, ['version']), './dfs version');
    const ms = performance.now() - start;
    assert.ok(ms < 1_000, `${ms} ms`);
  });

  await t.test('a changed source leads to another build', async () => {
    const touched = await run('touch', [join(clone, 'src/common/errno.ts')]);
    expectOk(touched, 'touch');
    const output = expectOk(await run(dfs, ['version'], { timeoutMs: 2 * MINUTE_MS }), 'rebuild');
    assert.match(output.stderr, /compiling/);
  });
});
