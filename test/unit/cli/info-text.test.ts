import assert from 'node:assert/strict';
import { test } from 'node:test';
import { infoText } from '../../../src/cli/info-text.ts';
import type { InodeInfo } from '../../../src/common/core/inode-info.ts';

const FILE: InodeInfo = {
  path: 'film.mkv',
  ino: 1026,
  mode: 0o100644,
  nlink: 2,
  uid: 1000,
  gid: 1000,
  size: 2 ** 20,
  mtime: 1_700_000_000,
  home: { machine: 'nas', up: true, group: 1 },
  leases: [],
  openers: [],
  locks: 0,
  waitingLocks: 0,
  lockDecider: null,
};

test('a file is shown with its home and nobody', () => {
  assert.equal(
    infoText(FILE),
    [
      'path      film.mkv',
      'inode     1026, file, 1.0 MiB, 2 links',
      'rights    0644, owner 1000:1000',
      'changed   2023-11-14T22:13:20.000Z',
      'home      "nas" (group 1)',
      'leases    none',
      'open      not known without a lease',
      'locks     none',
    ].join('\n'),
  );
});

test('everybody who has to do with it is named', () => {
  const lines = infoText({
    ...FILE,
    nlink: 1,
    home: { machine: 'nas', up: false, group: 1 },
    leases: [
      { machine: 'a', exclusive: true, recalled: true },
      { machine: 'b', exclusive: false, recalled: false },
    ],
    openers: ['c', 'd'],
    locks: 1,
    waitingLocks: 2,
  }).split('\n');
  assert.ok(lines[1]?.endsWith('1 link'));
  assert.deepEqual(lines.slice(4), [
    'home      "nas", which is down (group 1)',
    'leases    "a" may write, and is asked to let go; "b" remembers it',
    'open      c, d',
    'locks     1 lock, 2 waiting: `dfs locks` shows them',
  ]);
  const alone = infoText({ ...FILE, lockDecider: 'b' });
  assert.match(alone, /locks {5}"b" alone, which decides about them itself/);
});

test('a directory has no home', () => {
  const text = infoText({ ...FILE, mode: 0o40755, home: null });
  assert.match(text, /inode {5}1026, directory/);
  assert.doesNotMatch(text, /home/);
});

test('a file whose group has nobody is nowhere', () => {
  const home = { machine: '', up: false, group: 3 };
  assert.match(infoText({ ...FILE, home }), /home {6}nobody has it, which is down \(group 3\)/);
});
