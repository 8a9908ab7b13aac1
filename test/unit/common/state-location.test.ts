import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveStateDir } from '../../../src/common/state-location.ts';
import { statePaths } from '../../../src/common/state-paths.ts';

test('--state wins over DFS_STATE, which wins over the default', () => {
  const env = { DFS_STATE: '/from/env' };
  assert.equal(resolveStateDir({ flag: '/from/flag', env, uid: 0 }), '/from/flag');
  assert.equal(resolveStateDir({ env, uid: 0 }), '/from/env');
  assert.equal(resolveStateDir({ env: { DFS_STATE: '' }, uid: 0 }), '/var/lib/dfs');
});

test('users keep their state under XDG_STATE_HOME, or where that would be', () => {
  const at = (env: Record<string, string>): string => resolveStateDir({ env, uid: 1000 });
  assert.equal(at({ XDG_STATE_HOME: '/xdg' }), '/xdg/dfs');
  assert.equal(at({ XDG_STATE_HOME: 'relative' }), join(homedir(), '.local/state/dfs'));
  assert.equal(at({}), join(homedir(), '.local/state/dfs'));
});

test('relative folders become absolute', () => {
  assert.equal(resolveStateDir({ flag: 'x', env: {}, uid: 0 }), join(process.cwd(), 'x'));
});

test('sockets lie in run/ while their paths fit a socket address', () => {
  assert.equal(statePaths('/var/lib/dfs').control, '/var/lib/dfs/run/control.sock');
});

test('sockets of long folders lie in a short one, another for each state', () => {
  const long = (letter: string): string => `/tmp/${letter.repeat(100)}`;
  const paths = statePaths(long('a'));
  for (const socket of [paths.control, paths.status, paths.metaserver, paths.metaserverControl]) {
    assert.ok(Buffer.byteLength(socket) <= 107, socket);
  }
  assert.notEqual(paths.sockets, statePaths(long('b')).sockets);
  assert.equal(paths.mountRecord.startsWith(long('a')), true);
});

test('the limit counts bytes, not characters', () => {
  const paths = statePaths(`/tmp/${'ä'.repeat(45)}`);
  assert.ok(Buffer.byteLength(paths.metaserverControl) <= 107);
});
