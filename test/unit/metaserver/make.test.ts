import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  LINKS_MAX,
  S_IFBLK,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_ISGID,
} from '../../../src/common/attr.ts';
import { asIno, ROOT_INO } from '../../../src/common/ids.ts';
import { getattr, lookup, readlink } from '../../../src/metaserver/core/lookup.ts';
import { type MakeRequest, make } from '../../../src/metaserver/core/make.ts';
import { Fixture } from './fixture.ts';

function refuses(code: string, name: string, request: Partial<MakeRequest> = {}): void {
  const fixture = new Fixture();
  fixture.make('exists');
  const asked = fixture.makeRequest(name, request);
  fixture.fails(code, (txn, context) => make(txn, asked, context));
}

describe('make', () => {
  it('creates a file owned by the caller, with the given mode and times of now', () => {
    const fixture = new Fixture();
    fixture.clock.advance(5_000);
    const attr = fixture.make('file', { mode: S_IFREG | 0o640, uid: 7, gid: 8 });
    assert.equal(attr.mode, S_IFREG | 0o640);
    assert.deepEqual([attr.uid, attr.gid, attr.nlink, attr.size], [7, 8, 1, 0]);
    assert.deepEqual([attr.atime, attr.mtime, attr.ctime], [fixture.now, fixture.now, fixture.now]);
    assert.deepEqual(
      fixture.read((txn) => lookup(txn, ROOT_INO, 'file')),
      attr,
    );
    assert.deepEqual(
      fixture.read((txn) => getattr(txn, attr.ino)),
      attr,
    );
  });

  it('moves the parent on: entries, version, mtime and ctime', () => {
    const fixture = new Fixture();
    const before = fixture.inode(ROOT_INO);
    fixture.clock.advance(1_000);
    fixture.make('file');
    const after = fixture.inode(ROOT_INO);
    assert.equal(after.entries, before.entries + 1);
    assert.equal(after.dirv, before.dirv + 1);
    assert.equal(after.av, before.av + 1);
    assert.equal(after.nlink, before.nlink);
    assert.deepEqual([after.mtime, after.ctime], [fixture.now, fixture.now]);
    assert.deepEqual(after.atime, before.atime);
  });

  it('counts subdirectories in nlink', () => {
    const fixture = new Fixture();
    const sub = fixture.mkdir('sub');
    assert.equal(fixture.inode(ROOT_INO).nlink, 3);
    assert.equal(fixture.inode(sub).nlink, 2);
    assert.equal(fixture.inode(sub).parent, ROOT_INO);
  });

  it('never gives the seq of a name to another one', () => {
    const fixture = new Fixture();
    const seqOf = (name: string): number | undefined => {
      fixture.make(name);
      return fixture.read((txn) => txn.entry(ROOT_INO, name)?.seq);
    };
    const first = seqOf('a');
    fixture.remove('a');
    assert.deepEqual([first, seqOf('b'), seqOf('a')], [3, 4, 3]);
  });

  it('moves the times of a directory on, also when the clock went back', () => {
    const fixture = new Fixture();
    fixture.clock.advance(10_000);
    fixture.make('a');
    const { mtime } = fixture.inode(ROOT_INO);
    fixture.clock.advance(-9_000);
    fixture.make('b');
    const after = fixture.inode(ROOT_INO);
    const next = { ...mtime, nsec: mtime.nsec + 1 };
    assert.deepEqual([after.mtime, after.ctime], [next, next]);
  });

  it('inherits the group, and S_ISGID for directories, from a set-group-id parent', () => {
    const fixture = new Fixture();
    const parent = fixture.make('g', { mode: S_IFDIR | S_ISGID | 0o775, gid: 77 }).ino;
    const file = fixture.make('f', { parent, gid: 5 });
    const dir = fixture.make('d', { parent, gid: 5, mode: S_IFDIR | 0o755 });
    assert.deepEqual([file.gid, file.mode], [77, S_IFREG | 0o644]);
    assert.deepEqual([dir.gid, dir.mode], [77, S_IFDIR | S_ISGID | 0o755]);
  });

  it('keeps the device number of devices only', () => {
    const fixture = new Fixture();
    assert.equal(fixture.make('b', { mode: S_IFBLK | 0o600, rdev: 0x801 }).rdev, 0x801);
    assert.equal(fixture.make('p', { mode: S_IFIFO | 0o600, rdev: 0x801 }).rdev, 0);
  });

  it('makes a regular file of type 0, as mknod(2) does', () => {
    assert.equal(new Fixture().make('f', { mode: 0o600 }).mode, S_IFREG | 0o600);
  });

  it('stores the target of a symlink byte for byte', () => {
    const fixture = new Fixture();
    const { ino, size, mode } = fixture.symlink('l', '../\xff\x01 target');
    assert.equal(
      fixture.read((txn) => readlink(txn, ino)),
      '../\xff\x01 target',
    );
    assert.equal(size, 12);
    assert.equal(mode, S_IFLNK | 0o777);
  });

  it('hands back an existing regular file when asked to', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const before = fixture.inode(ROOT_INO);
    const asked = fixture.makeRequest('f', { openExisting: true, mode: S_IFREG | 0o777 });
    const result = fixture.run((txn, context) => make(txn, asked, context));
    assert.equal(result.existed, true);
    assert.equal(result.attr.ino, ino);
    assert.deepEqual(fixture.inode(ROOT_INO), before);
  });

  it('refuses an existing name otherwise', () => {
    refuses('EEXIST', 'exists');
    refuses('EEXIST', 'exists', { mode: S_IFDIR | 0o755, openExisting: true });
    refuses('EEXIST', '.');
    refuses('EEXIST', '..');
  });

  it('refuses an existing symlink even when asked to open', () => {
    const fixture = new Fixture();
    fixture.symlink('l', 'x');
    const asked = fixture.makeRequest('l', { openExisting: true });
    fixture.fails('EEXIST', (txn, context) => make(txn, asked, context));
  });

  it('refuses bad names before it looks for the parent', () => {
    refuses('ENAMETOOLONG', 'n'.repeat(256), { parent: asIno(99) });
    refuses('EINVAL', 'a/b');
    refuses('EINVAL', 'a\0b');
    refuses('ENOENT', '');
  });

  it('takes a name of 255 bytes', () => {
    const fixture = new Fixture();
    const name = '\xe9'.repeat(255);
    const { ino } = fixture.make(name);
    assert.equal(fixture.read((txn) => lookup(txn, ROOT_INO, name)).ino, ino);
  });

  it('refuses parents that are missing, removed or no directory', () => {
    refuses('ENOENT', 'x', { parent: asIno(99) });
    refuses('ENOTDIR', 'x', { parent: asIno(1024) });
  });

  it('refuses unknown types and bad symlink targets', () => {
    refuses('EINVAL', 'x', { mode: 0o170000 });
    refuses('ENOENT', 'x', { mode: S_IFLNK | 0o777, target: '' });
    refuses('ENAMETOOLONG', 'x', { mode: S_IFLNK | 0o777, target: 't'.repeat(4096) });
    refuses('EINVAL', 'x', { mode: S_IFLNK | 0o777, target: 'a\0' });
  });

  it('refuses a subdirectory too many', () => {
    const fixture = new Fixture();
    fixture.run((txn) => txn.putInode(ROOT_INO, { ...fixture.inode(ROOT_INO), nlink: LINKS_MAX }));
    const dir = fixture.makeRequest('d', { mode: S_IFDIR | 0o755 });
    fixture.fails('EMLINK', (txn, context) => make(txn, dir, context));
    fixture.make('file');
  });

  it('adds nothing while the disk is nearly full, but opens what is there', () => {
    const fixture = new Fixture();
    fixture.make('f');
    fixture.mayGrow = false;
    const added = fixture.makeRequest('g');
    fixture.fails('ENOSPC', (txn, context) => make(txn, added, context));
    assert.equal(fixture.make('f', { openExisting: true }).nlink, 1);
  });
});

describe('lookup and readlink', () => {
  it('know . and ..', () => {
    const fixture = new Fixture();
    const sub = fixture.mkdir('sub');
    assert.equal(fixture.read((txn) => lookup(txn, sub, '.')).ino, sub);
    assert.equal(fixture.read((txn) => lookup(txn, sub, '..')).ino, ROOT_INO);
    assert.equal(fixture.read((txn) => lookup(txn, ROOT_INO, '..')).ino, ROOT_INO);
  });

  it('refuse what is not there or of another type', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    fixture.fails('ENOENT', (txn) => lookup(txn, ROOT_INO, 'none'));
    fixture.fails('ENOTDIR', (txn) => lookup(txn, ino, 'x'));
    fixture.fails('ENAMETOOLONG', (txn) => lookup(txn, ROOT_INO, 'n'.repeat(256)));
    fixture.fails('EINVAL', (txn) => readlink(txn, ino));
    fixture.fails('ENOENT', (txn) => getattr(txn, asIno(5000)));
  });
});
