import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asIno, type Ino } from '../../../../src/common/ids.ts';
import { KeptNames } from '../../../../src/mount/core/kept-names.ts';

const [DIR, OTHER, NEW, NEWER] = [1024, 1025, 1026, 1027].map(asIno) as [Ino, Ino, Ino, Ino];

describe('names that the kernel keeps', () => {
  it('have to be forgotten once, whoever is called back first', () => {
    const names = new KeptNames();
    assert.ok(names.tell(DIR, 0) && names.tell(OTHER, 0));
    assert.equal(names.recalled(DIR, 10), true);
    names.forgotten();
    assert.equal(names.recalled(OTHER, 20), false);
    assert.equal(names.recalled(DIR, 30), false);
  });

  it('are not told for a while after they were called back, also when the kernel drops them', () => {
    const names = new KeptNames();
    names.tell(DIR, 0);
    names.recalled(DIR, 100);
    names.forgotten();
    names.emptied(DIR);
    assert.equal(names.tell(DIR, 4_099), false);
    assert.equal(names.tell(DIR, 4_100), true);
  });

  it('of a new directory are not told at once where others change names', () => {
    const names = new KeptNames();
    names.tell(DIR, 0);
    names.tell(OTHER, 0);
    names.recalled(DIR, 100);
    names.forgotten();
    assert.equal(names.tell(OTHER, 200), true);
    assert.equal(names.tell(NEW, 200), false);
    assert.equal(names.tell(NEW, 4_200), true);
    assert.equal(names.tell(NEWER, 60_100), true);
  });

  it('are told ever more rarely where others change names all the time', () => {
    const names = new KeptNames();
    let forgotten = 0;
    for (let nowMs = 0; nowMs < 600_000; nowMs += 5_000) {
      names.tell(DIR, nowMs);
      if (!names.recalled(DIR, nowMs + 100)) continue;
      forgotten += 1;
      names.forgotten();
    }
    assert.ok(forgotten < 5, `${forgotten} times`);
    assert.equal(names.tell(DIR, 600_000 + 65_000), true);
  });

  it('are told again soon after a long rest', () => {
    const names = new KeptNames();
    for (const nowMs of [0, 5_000, 14_000, 31_000]) {
      names.tell(DIR, nowMs);
      names.recalled(DIR, nowMs);
      names.forgotten();
    }
    assert.equal(names.tell(DIR, 2_000_000), true);
    assert.equal(names.recalled(DIR, 2_000_000), true);
    names.forgotten();
    assert.equal(names.tell(DIR, 2_004_000), true);
  });

  it('of a directory where nothing was told need not be forgotten', () => {
    const names = new KeptNames();
    assert.equal(names.recalled(DIR, 0), false);
    assert.equal(names.tell(DIR, 1), true);
    names.emptied(DIR);
    assert.equal(names.recalled(DIR, 2), false);
  });

  it('keep what they may when they move, where a lease is held', () => {
    const names = new KeptNames();
    assert.equal(names.moved(DIR, OTHER, true), false);
    assert.equal(names.recalled(OTHER, 0), false);
    names.tell(DIR, 0);
    assert.equal(names.moved(DIR, OTHER, true), false);
    assert.equal(names.recalled(OTHER, 1), true);
  });

  it('have to be forgotten when they move where none is held', () => {
    const names = new KeptNames();
    assert.equal(names.moved(DIR, OTHER, false), false);
    names.tell(DIR, 0);
    assert.equal(names.moved(DIR, OTHER, false), true);
    names.forgotten();
    assert.equal(names.moved(DIR, OTHER, false), false);
  });

  it('that were hard to take back are not told for long', () => {
    const names = new KeptNames();
    names.avoid(DIR, 0);
    assert.equal(names.tell(DIR, 63_999), false);
    assert.equal(names.tell(DIR, 64_000), true);
  });
});
