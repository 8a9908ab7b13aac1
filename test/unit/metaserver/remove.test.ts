import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asIno, asSessionId, FIRST_GROUP, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { closeUnlinked } from '../../../src/metaserver/core/close-unlinked.ts';
import { flushAttr } from '../../../src/metaserver/core/flush-attr.ts';
import { symlinkKey } from '../../../src/metaserver/core/keyspace.ts';
import { link } from '../../../src/metaserver/core/link.ts';
import { getattr, lookup } from '../../../src/metaserver/core/lookup.ts';
import { make } from '../../../src/metaserver/core/make.ts';
import { startPage } from '../../../src/metaserver/core/readdir.ts';
import { finishReclaim } from '../../../src/metaserver/core/reclaim.ts';
import { type RemoveRequest, remove } from '../../../src/metaserver/core/remove.ts';
import { Fixture } from './fixture.ts';

function removeRequest(name: string, request: Partial<RemoveRequest> = {}): RemoveRequest {
  const common = { parent: ROOT_INO, directory: false, knownIno: 0, knownOpen: false };
  return { ...common, name, ...request };
}

/** Unlinks a file that the session has open. */
function unlinkOpen(fixture: Fixture, name: string, ino: Ino): void {
  const request = removeRequest(name, { knownIno: ino, knownOpen: true });
  const result = fixture.run((txn, context) => remove(txn, request, context));
  assert.equal(result.kept, true);
}

describe('unlink', () => {
  it('removes the entry and the inode, and queues the bytes for reclaim', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    fixture.remove('f');
    assert.ok(fixture.isGone(ino));
    assert.ok(fixture.awaitsReclaim(ino));
    fixture.fails('ENOENT', (txn) => lookup(txn, ROOT_INO, 'f'));
    assert.equal(fixture.inode(ROOT_INO).entries, 0);
  });

  it('removes a symlink with its target and queues nothing', () => {
    const fixture = new Fixture();
    const { ino } = fixture.symlink('l', 'x');
    fixture.remove('l');
    assert.ok(fixture.isGone(ino));
    assert.ok(!fixture.awaitsReclaim(ino));
    assert.ok(!fixture.records.has(symlinkKey(ino)));
  });

  it('leaves the other links of an inode, with a new ctime', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('a');
    const linked = { ino, newParent: ROOT_INO, newName: 'b' };
    fixture.run((txn, context) => link(txn, linked, context));
    fixture.clock.advance(1_000);
    fixture.remove('a');
    const attr = fixture.read((txn) => lookup(txn, ROOT_INO, 'b'));
    assert.deepEqual([attr.ino, attr.nlink], [ino, 1]);
    assert.deepEqual(attr.ctime, fixture.now);
  });

  it('keeps an inode that the session has open until it closes it', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    unlinkOpen(fixture, 'f', ino);
    assert.equal(fixture.read((txn) => getattr(txn, ino)).nlink, 0);
    const change = { ino, size: 9, mtime: undefined };
    const flushed = fixture.run((txn) => flushAttr(txn, { ...change, ...fixture.writer }));
    assert.equal(flushed.size, 9);
    assert.ok(!fixture.awaitsReclaim(ino));
    fixture.run((txn) => closeUnlinked(txn, ino, asSessionId(2)));
    assert.ok(!fixture.isGone(ino), 'another session cannot close it');
    fixture.run((txn) => closeUnlinked(txn, ino, fixture.sid));
    assert.ok(fixture.isGone(ino));
    assert.ok(fixture.awaitsReclaim(ino));
    fixture.run((txn) => closeUnlinked(txn, ino, fixture.sid));
  });

  it('keeps an inode the session did not expect under the name', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const request = removeRequest('f', { knownIno: ino + 1 });
    assert.equal(fixture.run((txn, context) => remove(txn, request, context)).kept, true);
    assert.equal(fixture.inode(ino).openers, 1);
  });

  it('does not give a kept inode a name again', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    unlinkOpen(fixture, 'f', ino);
    const linked = { ino, newParent: ROOT_INO, newName: 'g' };
    fixture.fails('ENOENT', (txn, context) => link(txn, linked, context));
  });

  it('works while the disk is nearly full', () => {
    const fixture = new Fixture();
    fixture.make('f');
    fixture.mayGrow = false;
    fixture.remove('f');
  });

  it('refuses directories, missing names and dots', () => {
    const fixture = new Fixture();
    fixture.mkdir('d');
    const refuses = (code: string, name: string): void => {
      fixture.fails(code, (txn, context) => remove(txn, removeRequest(name), context));
    };
    refuses('EISDIR', 'd');
    refuses('ENOENT', 'none');
    refuses('EINVAL', '.');
    refuses('EINVAL', '..');
    refuses('ENAMETOOLONG', 'n'.repeat(256));
  });
});

describe('rmdir', () => {
  it('removes an empty directory and the link of its parent', () => {
    const fixture = new Fixture();
    const ino = fixture.mkdir('d');
    fixture.remove('d', { directory: true });
    assert.ok(fixture.isGone(ino));
    assert.ok(!fixture.awaitsReclaim(ino));
    assert.equal(fixture.inode(ROOT_INO).nlink, 2);
  });

  it('refuses files, and directories that hold something', () => {
    const fixture = new Fixture();
    const parent = fixture.mkdir('d');
    fixture.make('f');
    fixture.make('inside', { parent });
    const refuses = (code: string, name: string): void => {
      const request = removeRequest(name, { directory: true });
      fixture.fails(code, (txn, context) => remove(txn, request, context));
    };
    refuses('ENOTEMPTY', 'd');
    refuses('ENOTDIR', 'f');
    refuses('ENOENT', 'none');
    fixture.remove('inside', { parent });
    fixture.remove('d', { directory: true });
  });

  it('lets nothing happen in a directory that is removed but open', () => {
    const fixture = new Fixture();
    const ino = fixture.mkdir('d');
    const request = removeRequest('d', { directory: true, knownIno: ino, knownOpen: true });
    assert.equal(fixture.run((txn, context) => remove(txn, request, context)).kept, true);
    assert.equal(fixture.read((txn) => getattr(txn, ino)).nlink, 0);
    const inside = fixture.makeRequest('x', { parent: ino });
    fixture.fails('ENOENT', (txn, context) => make(txn, inside, context));
    fixture.fails('ENOENT', (txn) => startPage(txn, ino));
    fixture.fails('ENOENT', (txn) => lookup(txn, ino, '..'));
    fixture.run((txn) => closeUnlinked(txn, ino, fixture.sid));
    assert.ok(fixture.isGone(ino));
  });
});

describe('reclaim', () => {
  it('forgets what the primary of the group deleted, once', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    fixture.remove('f');
    fixture.run((txn) => finishReclaim(txn, [ino], new Set()));
    assert.ok(fixture.awaitsReclaim(ino), 'another group leads it');
    fixture.run((txn) => finishReclaim(txn, [ino, ino, asIno(77)], new Set([FIRST_GROUP])));
    assert.ok(!fixture.awaitsReclaim(ino));
  });
});
