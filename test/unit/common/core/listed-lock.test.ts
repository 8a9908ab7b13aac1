import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ListedLock, lockTable, shownEnd } from '../../../../src/common/core/listed-lock.ts';
import { WHOLE_FILE } from '../../../../src/common/core/locks.ts';

const FLOCK: ListedLock = {
  ino: 1025,
  path: 'mail/inbox',
  kind: 'flock',
  type: 'write',
  start: '0',
  end: null,
  machine: 'nas',
  pid: 4711,
  waits: false,
};

test('locks are a table, with ranges as people say them', () => {
  const locks = [
    FLOCK,
    { ...FLOCK, kind: 'posix', type: 'read', start: '0', end: '99', machine: 'laptop', pid: 9 },
    { ...FLOCK, kind: 'posix', start: '100', waits: true },
    { ...FLOCK, kind: 'posix', start: '7', end: '7' },
  ] as const;
  assert.equal(
    lockTable({ locks, truncated: true }),
    [
      'KIND   MODE   BYTES       MACHINE  PID          FILE',
      'flock  write  whole file  nas      4711         mail/inbox',
      'posix  read   0-99        laptop   9            mail/inbox',
      'posix  write  from 100    nas      4711  waits  mail/inbox',
      'posix  write  7           nas      4711         mail/inbox',
      'there are more',
    ].join('\n'),
  );
});

test('where nothing is locked there is no table', () => {
  assert.equal(lockTable({ locks: [], truncated: false }), undefined);
});

test('the last offset there is means the end of the file', () => {
  assert.equal(shownEnd(WHOLE_FILE.end), null);
  assert.equal(shownEnd(99n), '99');
});
