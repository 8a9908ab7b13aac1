import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LINKS_MAX } from '../../../src/common/attr.ts';
import { asIno, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { link } from '../../../src/metaserver/core/link.ts';
import { lookup } from '../../../src/metaserver/core/lookup.ts';
import {
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  type RenameRequest,
  rename,
} from '../../../src/metaserver/core/rename.ts';
import { Fixture } from './fixture.ts';

function inoAt(fixture: Fixture, name: string, parent: Ino = ROOT_INO): Ino | undefined {
  return fixture.read((txn) => txn.entry(parent, name)?.ino);
}

/** The listing of the root, as it goes on behind `cookie`. */
function listed(fixture: Fixture, cookie = 0): string[] {
  return fixture.list(ROOT_INO, cookie, 100).map(({ slot }) => slot.name);
}

function seqOf(fixture: Fixture, name: string): number | undefined {
  return fixture.read((txn) => txn.entry(ROOT_INO, name)?.seq);
}

function refuses(
  fixture: Fixture,
  code: string,
  names: readonly [string, string],
  request: Partial<RenameRequest> = {},
): void {
  const asked = fixture.renameRequest(...names, request);
  fixture.fails(code, (txn, context) => rename(txn, asked, context));
}

describe('rename', () => {
  it('moves an entry within a directory in one version step', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    const before = fixture.inode(ROOT_INO);
    fixture.clock.advance(1_000);
    const { attr } = fixture.rename('a', 'b');
    assert.equal(inoAt(fixture, 'a'), undefined);
    assert.equal(inoAt(fixture, 'b'), ino);
    assert.deepEqual(attr.ctime, fixture.now);
    const after = fixture.inode(ROOT_INO);
    assert.deepEqual([after.dirv, after.entries], [before.dirv + 1, before.entries]);
    assert.deepEqual(after.mtime, fixture.now);
  });

  it('moves a directory: its parent, and the links of both parents', () => {
    const fixture = new Fixture();
    const [from, to] = [fixture.mkdir('from'), fixture.mkdir('to')];
    const moved = fixture.mkdir('d', from);
    fixture.rename('d', 'e', { parent: from, newParent: to });
    assert.equal(fixture.inode(moved).parent, to);
    assert.deepEqual([fixture.inode(from).nlink, fixture.inode(to).nlink], [2, 3]);
    assert.deepEqual([fixture.inode(from).entries, fixture.inode(to).entries], [0, 1]);
    assert.equal(fixture.read((txn) => lookup(txn, moved, '..')).ino, to);
  });

  it('replaces a file, which goes unless it is open', () => {
    const fixture = new Fixture();
    const moved = fixture.make('a').ino;
    const gone = fixture.make('b').ino;
    const result = fixture.rename('a', 'b');
    assert.equal(result.kept, false);
    assert.deepEqual([result.other?.ino, result.other?.nlink], [gone, 0]);
    assert.ok(fixture.isGone(gone) && fixture.awaitsReclaim(gone));
    assert.equal(inoAt(fixture, 'b'), moved);
    const open = fixture.make('c').ino;
    assert.equal(fixture.rename('b', 'c', { knownIno: open, knownOpen: true }).kept, true);
    assert.equal(fixture.inode(open).openers, 1);
  });

  it('replaces an empty directory by a directory', () => {
    const fixture = new Fixture();
    const moved = fixture.mkdir('a');
    const gone = fixture.mkdir('b');
    fixture.rename('a', 'b');
    assert.ok(fixture.isGone(gone));
    assert.equal(inoAt(fixture, 'b'), moved);
    const root = fixture.inode(ROOT_INO);
    assert.deepEqual([root.nlink, root.entries], [3, 1]);
  });

  it('puts what replaces another in its place in the listing', () => {
    const fixture = new Fixture();
    for (const name of ['a', 'b', 'c', 'd']) fixture.make(name);
    const { nextSeq } = fixture.inode(ROOT_INO);
    const { ino } = fixture.make('c.lock');
    fixture.rename('c.lock', 'c');
    assert.deepEqual(listed(fixture), ['a', 'b', 'c', 'd']);
    assert.equal(inoAt(fixture, 'c'), ino);
    assert.deepEqual(listed(fixture, seqOf(fixture, 'c')), ['d']);
    assert.equal(fixture.inode(ROOT_INO).nextSeq, nextSeq + 1);
  });

  it('puts a name that comes back where it was, by rename, create and link', () => {
    const fixture = new Fixture();
    for (const name of ['a', 'b', 'c']) fixture.make(name);
    const { ino } = fixture.make('d');
    const { nextSeq } = fixture.inode(ROOT_INO);
    fixture.remove('a');
    fixture.make('a');
    fixture.remove('b');
    fixture.rename('d', 'b');
    fixture.remove('c');
    fixture.run((txn, context) => link(txn, { ino, newParent: ROOT_INO, newName: 'c' }, context));
    assert.deepEqual(listed(fixture), ['a', 'b', 'c']);
    fixture.rename('a', 'd');
    assert.deepEqual(listed(fixture), ['b', 'c', 'd']);
    assert.equal(fixture.inode(ROOT_INO).nextSeq, nextSeq);
  });

  it('does nothing between two names of one inode', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    const linked = { ino, newParent: ROOT_INO, newName: 'b' };
    fixture.run((txn, context) => link(txn, linked, context));
    const before = new Map(fixture.records);
    fixture.rename('a', 'b');
    fixture.rename('a', 'a');
    assert.deepEqual(fixture.records, before);
  });

  it('refuses mismatched types and full directories', () => {
    const fixture = new Fixture();
    fixture.make('file');
    const full = fixture.mkdir('full');
    fixture.make('inside', { parent: full });
    fixture.mkdir('dir');
    refuses(fixture, 'EISDIR', ['file', 'dir']);
    refuses(fixture, 'ENOTDIR', ['dir', 'file']);
    refuses(fixture, 'ENOTEMPTY', ['dir', 'full']);
    refuses(fixture, 'ENOENT', ['none', 'file']);
  });

  it('refuses to move a directory into itself or below', () => {
    const fixture = new Fixture();
    const a = fixture.mkdir('a');
    const b = fixture.mkdir('b', a);
    const c = fixture.mkdir('c', b);
    refuses(fixture, 'EINVAL', ['a', 'x'], { newParent: a });
    refuses(fixture, 'EINVAL', ['a', 'x'], { newParent: c });
    fixture.rename('c', 'c', { parent: b });
    refuses(fixture, 'ENOTEMPTY', ['b', 'a'], { parent: a });
  });

  it('obeys NOREPLACE', () => {
    const fixture = new Fixture();
    fixture.make('a');
    fixture.make('b');
    refuses(fixture, 'EEXIST', ['a', 'b'], { flags: RENAME_NOREPLACE });
    fixture.rename('a', 'c', { flags: RENAME_NOREPLACE });
    assert.ok(inoAt(fixture, 'c'));
  });

  it('refuses flags it does not know, and both together', () => {
    const fixture = new Fixture();
    fixture.make('a');
    refuses(fixture, 'EINVAL', ['a', 'b'], { flags: 3 });
    refuses(fixture, 'EINVAL', ['a', 'b'], { flags: 4 });
  });

  it('refuses dots, long names and parents that are no directories', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    refuses(fixture, 'EINVAL', ['.', 'b']);
    refuses(fixture, 'EINVAL', ['a', '..']);
    refuses(fixture, 'ENAMETOOLONG', ['a', 'n'.repeat(256)]);
    refuses(fixture, 'ENOTDIR', ['a', 'b'], { newParent: ino });
    refuses(fixture, 'ENOENT', ['a', 'b'], { newParent: asIno(4000) });
  });

  it('refuses a directory too many in the new parent', () => {
    const fixture = new Fixture();
    const to = fixture.mkdir('to');
    fixture.mkdir('d');
    fixture.run((txn) => txn.putInode(to, { ...fixture.inode(to), nlink: LINKS_MAX }));
    refuses(fixture, 'EMLINK', ['d', 'd'], { newParent: to });
  });

  it('adds no name while the disk is nearly full, but replaces one', () => {
    const fixture = new Fixture();
    fixture.make('a');
    fixture.make('b');
    fixture.mayGrow = false;
    refuses(fixture, 'ENOSPC', ['a', 'c']);
    fixture.rename('a', 'b');
  });
});

describe('rename with EXCHANGE', () => {
  it('swaps a file and a directory across directories', () => {
    const fixture = new Fixture();
    const [from, to] = [fixture.mkdir('from'), fixture.mkdir('to')];
    const file = fixture.make('x', { parent: from }).ino;
    const dir = fixture.mkdir('y', to);
    const flags = RENAME_EXCHANGE;
    const result = fixture.rename('x', 'y', { parent: from, newParent: to, flags });
    assert.equal(inoAt(fixture, 'x', from), dir);
    assert.equal(inoAt(fixture, 'y', to), file);
    assert.deepEqual([result.attr.ino, result.other?.ino, result.kept], [file, dir, false]);
    assert.equal(fixture.inode(dir).parent, from);
    assert.deepEqual([fixture.inode(from).nlink, fixture.inode(to).nlink], [3, 2]);
    assert.deepEqual([fixture.inode(from).entries, fixture.inode(to).entries], [1, 1]);
  });

  it('needs both names', () => {
    const fixture = new Fixture();
    fixture.make('a');
    refuses(fixture, 'ENOENT', ['a', 'b'], { flags: RENAME_EXCHANGE });
  });

  it('refuses to put either directory below itself', () => {
    const fixture = new Fixture();
    const a = fixture.mkdir('a');
    const b = fixture.mkdir('b', a);
    fixture.make('f', { parent: b });
    const flags = RENAME_EXCHANGE;
    refuses(fixture, 'EINVAL', ['a', 'f'], { newParent: b, flags });
    refuses(fixture, 'EINVAL', ['f', 'a'], { parent: b, newParent: ROOT_INO, flags });
  });
});
