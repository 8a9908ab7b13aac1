import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Attr, S_IFDIR, S_IFREG } from '../../../src/common/attr.ts';
import { asIno, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { link } from '../../../src/metaserver/core/link.ts';
import { type SetAttrRequest, setattr } from '../../../src/metaserver/core/setattr.ts';
import { Fixture } from './fixture.ts';

const NOTHING = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: undefined,
  mtime: undefined,
  killSuidgid: false,
  cut: false,
  cuts: 0,
};

function change(fixture: Fixture, ino: Ino, request: Partial<SetAttrRequest>): Attr {
  fixture.clock.advance(1_000);
  return fixture.run((txn) => setattr(txn, { ...NOTHING, ino, ...request }, fixture.now));
}

describe('setattr', () => {
  it('moves ctime and the version even when nothing is set', () => {
    const fixture = new Fixture();
    const before = fixture.make('f');
    const after = change(fixture, before.ino, {});
    assert.deepEqual(after, { ...before, ctime: fixture.now, av: before.av + 1 });
  });

  it('sets permission bits and keeps the type', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    assert.equal(change(fixture, ino, { mode: S_IFDIR | 0o7701 }).mode, S_IFREG | 0o7701);
  });

  it('clears set-user-id, and set-group-id where the group may execute, on chown', () => {
    const fixture = new Fixture();
    const executable = fixture.make('x', { mode: S_IFREG | 0o6755 }).ino;
    const locking = fixture.make('l', { mode: S_IFREG | 0o6745 }).ino;
    const dir = fixture.make('d', { mode: S_IFDIR | 0o6755 }).ino;
    assert.equal(change(fixture, executable, { uid: 0 }).mode, S_IFREG | 0o0755);
    assert.equal(change(fixture, locking, { gid: 0 }).mode, S_IFREG | 0o2745);
    assert.equal(change(fixture, dir, { uid: 0, gid: 0 }).mode, S_IFDIR | 0o6755);
  });

  it('clears them when asked to, after a write', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('x', { mode: S_IFREG | 0o6755 });
    assert.equal(change(fixture, ino, { killSuidgid: true }).mode, S_IFREG | 0o755);
  });

  it('moves mtime with every truncation, also to the same size', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    assert.equal(change(fixture, ino, { size: 100 }).size, 100);
    const same = change(fixture, ino, { size: 100 });
    assert.deepEqual([same.mtime, same.ctime], [fixture.now, fixture.now]);
  });

  it('sets times as given, or to now', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const old = { sec: -5, nsec: 999_999_999 };
    const set = change(fixture, ino, { atime: old, mtime: 'now' });
    assert.deepEqual([set.atime, set.mtime, set.ctime], [old, fixture.now, fixture.now]);
    const explicit = change(fixture, ino, { size: 1, mtime: old });
    assert.deepEqual(explicit.mtime, old);
    assert.deepEqual(fixture.inode(ino).mtime, old);
  });

  it('truncates regular files only', () => {
    const fixture = new Fixture();
    const { ino } = fixture.symlink('l', 'x');
    const truncate = (at: Ino): SetAttrRequest => ({ ...NOTHING, ino: at, size: 0 });
    fixture.fails('EISDIR', (txn) => setattr(txn, truncate(ROOT_INO), fixture.now));
    fixture.fails('EINVAL', (txn) => setattr(txn, truncate(ino), fixture.now));
    fixture.fails('ENOENT', (txn) => setattr(txn, truncate(asIno(99)), fixture.now));
  });
});

describe('a new size', () => {
  const shape = ({ size, cuts, dv }: Attr): number[] => [size, cuts, dv];

  it('counts as a cut when it is smaller, and moves the data version in any case', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    assert.deepEqual(shape(change(fixture, ino, { size: 100 })), [100, 0, 1]);
    assert.deepEqual(shape(change(fixture, ino, { size: 100 })), [100, 0, 2]);
    assert.deepEqual(shape(change(fixture, ino, { size: 40 })), [40, 1, 3]);
    assert.deepEqual(shape(change(fixture, ino, { mode: 0o600 })), [40, 1, 3]);
  });

  it('counts as a cut when the caller has written more than is known here', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    assert.deepEqual(shape(change(fixture, ino, { size: 0, cut: true })), [0, 1, 1]);
    assert.deepEqual(shape(change(fixture, ino, { size: 50, cut: true, cuts: 1 })), [50, 2, 2]);
  });

  it('grows only for who knows of every cut', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    change(fixture, ino, { size: 100 });
    change(fixture, ino, { size: 0 });
    const growth = (cuts: number): SetAttrRequest => ({ ...NOTHING, ino, size: 9, cuts });
    fixture.fails('ESTALE', (txn) => setattr(txn, growth(0), fixture.now));
    fixture.fails('ESTALE', (txn) => setattr(txn, growth(2), fixture.now));
    assert.deepEqual(shape(change(fixture, ino, { size: 9, cuts: 1 })), [9, 1, 3]);
  });
});

describe('link', () => {
  const to = (ino: Ino, newName: string): { ino: Ino; newParent: Ino; newName: string } => ({
    ino,
    newParent: ROOT_INO,
    newName,
  });

  it('adds a name and moves nlink and ctime', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    fixture.clock.advance(1_000);
    const { attr } = fixture.run((txn, context) => link(txn, to(ino, 'b'), context));
    assert.deepEqual([attr.nlink, attr.ctime], [2, fixture.now]);
    assert.equal(fixture.inode(ROOT_INO).entries, 2);
  });

  it('refuses directories, existing names, missing inodes and links too many', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    const dir = fixture.mkdir('d');
    fixture.fails('EPERM', (txn, context) => link(txn, to(dir, 'x'), context));
    fixture.fails('EEXIST', (txn, context) => link(txn, to(ino, 'd'), context));
    fixture.fails('EEXIST', (txn, context) => link(txn, to(ino, '.'), context));
    fixture.fails('ENOENT', (txn, context) => link(txn, to(asIno(9999), 'x'), context));
    fixture.run((txn) => txn.putInode(ino, { ...fixture.inode(ino), nlink: 65_000 }));
    fixture.fails('EMLINK', (txn, context) => link(txn, to(ino, 'x'), context));
  });

  it('adds nothing while the disk is nearly full', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    fixture.mayGrow = false;
    fixture.fails('ENOSPC', (txn, context) => link(txn, to(ino, 'b'), context));
  });
});
