import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = resolve(import.meta.dirname, '../support/mount-as-user.js');
const NOBODY = 65534;
/** The helper is only used by others than root; becoming one of them takes root. */
const skip = process.getuid?.() === 0 ? false : 'only root can run a part as another user';

interface Outcome {
  readonly code?: string;
  readonly syscall?: string;
  readonly message?: string;
  readonly size?: number;
  readonly descriptors?: number;
  readonly closeOnExec?: boolean;
}

/** fuseMount or unmount as nobody, with `helper` (a Python program) as the only fusermount3. */
async function asUser(helper: string | undefined, what: 'mount' | 'unmount'): Promise<Outcome> {
  const dir = mkdtempSync(join(tmpdir(), 'dfs-helper-'));
  chmodSync(dir, 0o755);
  const log = join(dir, 'log');
  try {
    if (helper !== undefined) {
      const path = join(dir, 'fusermount3');
      writeFileSync(path, `#!/usr/bin/env python3\nimport os, socket, sys\n${helper}\n`);
      chmodSync(path, 0o755);
    }
    // Only the empty search path is without any fusermount3.
    const search = helper === undefined ? dir : [dir, process.env['PATH']].join(delimiter);
    const { stdout } = await run(process.execPath, [program, what], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      timeout: 20_000,
      env: { PATH: search, LOG: log },
    });
    return JSON.parse(stdout) as Outcome;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const SEND = `
assert sys.argv[1:] == ['-o', 'fsname=a\\\\,b,subtype=dfs,ro,nosuid,allow_other', '--', '/mnt'], sys.argv
fd = os.open('/dev/null', os.O_RDWR)
end = socket.socket(fileno=int(os.environ['_FUSE_COMMFD']))
socket.send_fds(end, [b'x'], [fd])
`;

test('without fusermount3 the error says what to install', { skip }, async () => {
  for (const what of ['mount', 'unmount'] as const) {
    const outcome = await asUser(undefined, what);
    assert.equal(outcome.code, 'ENOENT');
    assert.equal(outcome.syscall, 'fusermount3');
    assert.match(outcome.message ?? '', /fuse3/);
  }
});

test('the descriptor comes from the helper, close-on-exec, and nothing stays open', {
  skip,
}, async () => {
  const outcome = await asUser(SEND, 'mount');
  assert.deepEqual(outcome, { closeOnExec: true, descriptors: 1 });
});

test('what the helper complains about is the error', { skip }, async () => {
  const complain = (text: string): string => `sys.exit(${JSON.stringify(text)})`;
  const busy = await asUser(complain('fusermount3: failed: Device or resource busy'), 'unmount');
  assert.equal(busy.code, 'EBUSY');
  const denied = await asUser(complain('fusermount3: user has no write access'), 'mount');
  assert.equal(denied.code, 'EPERM');
  assert.match(denied.message ?? '', /no write access/);
  assert.equal(denied.descriptors, 0);
  assert.deepEqual(await asUser('sys.exit(0)', 'unmount'), { descriptors: 0 });
});
