import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asIno, type Ino } from '../../../../src/common/ids.ts';
import { KeptNames } from '../../../../src/mount/core/kept-names.ts';

const [DIR, OTHER, NEW, NEWER] = [1024, 1025, 1026, 1027].map(asIno) as [Ino, Ino, Ino, Ino];
const FILE = { name: 'file', isDirectory: false };

/** Others have changed names again and again. */
function busy(): KeptNames {
  const names = new KeptNames();
  assert.equal(names.tell(OTHER, FILE, 0), true);
  for (const dir of [DIR, 2001, 2002, 2003].map(asIno)) {
    assert.equal(names.tell(dir, FILE, 0), true);
    assert.equal(names.recalled(dir, 0), 'everything');
    names.forgotten();
  }
  return names;
}

describe('names that the kernel keeps', () => {
  it('have to be forgotten once, whoever is called back first', () => {
    const names = new KeptNames();
    assert.ok(names.tell(DIR, FILE, 0) && names.tell(OTHER, FILE, 0));
    assert.equal(names.recalled(DIR, 10), 'everything');
    names.forgotten();
    assert.equal(names.recalled(OTHER, 20), 'nothing');
    assert.equal(names.recalled(DIR, 30), 'nothing');
  });

  it('are not told for a while after they were called back, also when the kernel drops them', () => {
    const names = new KeptNames();
    names.tell(DIR, FILE, 0);
    names.recalled(DIR, 100);
    names.forgotten();
    names.emptied(DIR);
    assert.equal(names.tell(DIR, FILE, 4_099), false);
    assert.equal(names.tell(DIR, FILE, 4_100), true);
  });

  it('of a new directory are not told at once where others change names', () => {
    const names = busy();
    assert.equal(names.tell(OTHER, FILE, 200), true);
    assert.equal(names.tell(NEW, FILE, 200), false);
    assert.equal(names.tell(NEW, FILE, 4_200), true);
    assert.equal(names.tell(NEWER, FILE, 60_000), true);
  });

  it('are told as before where others change them now and then', () => {
    const names = new KeptNames();
    for (let nowMs = 0; nowMs < 100_000; nowMs += 4_000) {
      const dir = asIno(3_000 + nowMs);
      assert.equal(names.tell(dir, FILE, nowMs), true);
      assert.equal(names.recalled(dir, nowMs), 'everything');
      names.forgotten();
      assert.equal(names.tell(asIno(dir + 1), { name: 'd', isDirectory: true }, nowMs), true);
    }
  });

  it('are told ever more rarely where others change names all the time', () => {
    const names = new KeptNames();
    let forgotten = 0;
    for (let nowMs = 0; nowMs < 600_000; nowMs += 5_000) {
      names.tell(DIR, FILE, nowMs);
      if (names.recalled(DIR, nowMs + 100) === 'nothing') continue;
      forgotten += 1;
      names.forgotten();
    }
    assert.ok(forgotten < 5, `${forgotten} times`);
    assert.equal(names.tell(DIR, FILE, 600_000 + 65_000), true);
  });

  it('are told again soon after a long rest', () => {
    const names = new KeptNames();
    for (const nowMs of [0, 5_000, 14_000, 31_000]) {
      names.tell(DIR, FILE, nowMs);
      names.recalled(DIR, nowMs);
      names.forgotten();
    }
    assert.equal(names.tell(DIR, FILE, 2_000_000), true);
    assert.equal(names.recalled(DIR, 2_000_000), 'everything');
    names.forgotten();
    assert.equal(names.tell(DIR, FILE, 2_004_000), true);
  });

  it('of a directory where nothing was told need not be forgotten', () => {
    const names = new KeptNames();
    assert.equal(names.recalled(DIR, 0), 'nothing');
    assert.equal(names.tell(DIR, FILE, 1), true);
    names.emptied(DIR);
    assert.equal(names.recalled(DIR, 2), 'nothing');
  });

  it('keep what they may when they move, where a lease is held', () => {
    const names = new KeptNames();
    assert.equal(names.moved(DIR, OTHER, { held: true, newName: 'b' }), false);
    assert.equal(names.recalled(OTHER, 0), 'nothing');
    names.tell(DIR, FILE, 0);
    assert.equal(names.moved(DIR, OTHER, { held: true, newName: 'b' }), false);
    assert.equal(names.recalled(OTHER, 1), 'everything');
  });

  it('have to be forgotten when they move where none is held', () => {
    const names = new KeptNames();
    assert.equal(names.moved(DIR, OTHER, { held: false, newName: 'b' }), false);
    names.tell(DIR, FILE, 0);
    assert.equal(names.moved(DIR, OTHER, { held: false, newName: 'b' }), true);
    names.forgotten();
    assert.equal(names.moved(DIR, OTHER, { held: false, newName: 'b' }), false);
  });

  it('that were hard to take back are not told for long', () => {
    const names = new KeptNames();
    names.avoid(DIR, 0);
    assert.equal(names.tell(DIR, FILE, 63_999), false);
    assert.equal(names.tell(DIR, FILE, 64_000), true);
  });

  it('are taken back one by one while others change names', () => {
    const names = busy();
    names.tell(OTHER, FILE, 5_000);
    names.tell(OTHER, { name: 'absent', isDirectory: false }, 5_000);
    assert.equal(names.tell(OTHER, { name: 'dir', isDirectory: true }, 5_000), false);
    const forgotten = names.recalled(OTHER, 6_000);
    assert.deepEqual(forgotten, new Set(['file', 'absent']));
    assert.equal(names.recalled(OTHER, 6_001), 'nothing');
  });

  it('are forgotten with all others where there are many, or they were told before', () => {
    const names = busy();
    for (let name = 0; name < 65; name++) {
      names.tell(OTHER, { name: String(name), isDirectory: false }, 5_000);
    }
    assert.equal(names.recalled(OTHER, 6_000), 'everything');
    const before = new KeptNames();
    for (const dir of [1, 2, 3, 4, 5].map(asIno)) before.tell(dir, FILE, 0);
    for (const dir of [1, 2, 3, 4].map(asIno)) before.recalled(dir, 0);
    const [last] = [5].map(asIno);
    assert.ok(last !== undefined);
    assert.equal(before.recalled(last, 1), 'everything', 'nobody has written them down');
  });

  it('are written down under their new name when they move', () => {
    const names = busy();
    names.tell(OTHER, FILE, 5_000);
    assert.equal(names.moved(OTHER, NEW, { held: true, newName: 'b' }), false);
    assert.deepEqual(names.recalled(NEW, 6_000), new Set(['b']));
  });

  it('do not escape by a rename while they are taken back', () => {
    const names = busy();
    names.tell(OTHER, FILE, 5_000);
    names.recalled(OTHER, 6_000);
    assert.equal(names.moved(OTHER, NEW, { held: true, newName: 'b' }), true);
    names.takenBack(OTHER);
    assert.equal(names.moved(OTHER, NEW, { held: true, newName: 'b' }), false);
  });

  it('of directories are told again when nobody changes names any more', () => {
    const names = busy();
    const dir = { name: 'dir', isDirectory: true };
    assert.equal(names.tell(OTHER, dir, 59_999), false);
    assert.equal(names.tell(OTHER, dir, 60_000), true);
  });
});
