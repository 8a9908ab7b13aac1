import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attr, Timespec } from '../../../src/common/attr.ts';
import { asGroupId, asIno } from '../../../src/common/ids.ts';
import { Inode } from '../../../src/mount/vfs/inode.ts';

const MADE: Timespec = { sec: 1000, nsec: 999_999_999 };
const AFTER: Timespec = { sec: 1001, nsec: 0 };

function attrAt(ctime: Timespec, av = 1): Attr {
  const times = { atime: ctime, mtime: MADE, ctime };
  const owner = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0 };
  return { ino: asIno(2000), size: 0, ...owner, ...times, av, dirv: 0, dv: 1, cuts: 0, rg };
}

const rg = asGroupId(1);
const shown = ({ attr }: Inode): Timespec[] => [attr.mtime, attr.ctime];

test('a write is shown with its own time as mtime and ctime', () => {
  const inode = new Inode(attrAt(MADE));
  const now = { sec: 1002, nsec: 5 };
  inode.wrote(10, now);
  assert.deepEqual(shown(inode), [now, now]);
});

test('a write moves times on also where the clock is behind that of somebody else', () => {
  const inode = new Inode(attrAt(MADE));
  inode.wrote(10, { sec: 990, nsec: 0 });
  assert.deepEqual(shown(inode), [AFTER, AFTER]);
  inode.wrote(10, { sec: 991, nsec: 0 });
  const next = { sec: 1001, nsec: 1 };
  assert.deepEqual(shown(inode), [next, next]);
});

test('a change of attributes since the last write is the ctime', () => {
  const inode = new Inode(attrAt(MADE));
  inode.wrote(10, AFTER);
  const changed = { sec: 1003, nsec: 0 };
  inode.update(attrAt(changed, 2));
  assert.deepEqual(shown(inode), [AFTER, changed]);
});

test('what is published late is a change after all that came meanwhile', () => {
  const inode = new Inode(attrAt(MADE));
  inode.wrote(10, AFTER);
  inode.late();
  assert.deepEqual(shown(inode), [AFTER, AFTER]);
  inode.update(attrAt({ sec: 1003, nsec: 0 }, 2));
  inode.late();
  const next = { sec: 1003, nsec: 1 };
  assert.deepEqual(shown(inode), [next, next]);
  assert.equal(inode.dirty?.end, 10);
});
