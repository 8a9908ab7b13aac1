import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Attr, Timespec } from '../../../src/common/attr.ts';
import { asEpoch, asIno, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import { type FlushAttrRequest, flushAttr } from '../../../src/metaserver/core/flush-attr.ts';
import { setattr } from '../../../src/metaserver/core/setattr.ts';
import { Fixture } from './fixture.ts';

const EARLY: Timespec = { sec: 2_000_000_005, nsec: 6 };
const LATE: Timespec = { sec: 2_000_000_009, nsec: 0 };

function request(fixture: Fixture, ino: Ino, more: Partial<FlushAttrRequest>): FlushAttrRequest {
  return { ino, size: 7, mtime: EARLY, ...fixture.writer, ...more };
}

function flush(fixture: Fixture, ino: Ino, more: Partial<FlushAttrRequest> = {}): Attr {
  fixture.clock.advance(1_000);
  return fixture.run((txn) => flushAttr(txn, request(fixture, ino, more), fixture.now));
}

function cut(fixture: Fixture, ino: Ino, size: number): void {
  const nothing = { mode: undefined, uid: undefined, gid: undefined };
  const times = { atime: undefined, mtime: undefined, killSuidgid: false };
  const change = { ...nothing, ...times, ino, size, cut: true, cuts: 0 };
  fixture.run((txn) => setattr(txn, change, fixture.now));
}

describe('flushAttr', () => {
  it('takes size and mtime of the writer, moves ctime and the data version', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const attr = flush(fixture, ino);
    assert.deepEqual([attr.size, attr.mtime, attr.ctime, attr.dv], [7, EARLY, fixture.now, 1]);
  });

  it('moves the data version also when the size stays: bytes have changed', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    flush(fixture, ino);
    const again = flush(fixture, ino);
    assert.deepEqual([again.size, again.mtime, again.dv], [7, EARLY, 2]);
  });

  it('never makes a file shorter, and shows the later of two writers', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    flush(fixture, ino, { size: 100, mtime: LATE });
    const shorter = flush(fixture, ino, { size: 50, mtime: EARLY });
    assert.deepEqual([shorter.size, shorter.mtime], [100, LATE]);
    const longer = flush(fixture, ino, { size: 200, mtime: EARLY });
    assert.deepEqual([longer.size, longer.mtime], [200, EARLY]);
  });

  it('refuses who does not know of the last cut', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    flush(fixture, ino);
    cut(fixture, ino, 3);
    fixture.fails('ESTALE', (txn) => flushAttr(txn, request(fixture, ino, {}), fixture.now));
    const ahead = request(fixture, ino, { cuts: 2 });
    fixture.fails('ESTALE', (txn) => flushAttr(txn, ahead, fixture.now));
    assert.equal(flush(fixture, ino, { cuts: 1 }).size, 7);
  });

  it('refuses bytes that went to another life of the home, and those that name none', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    for (const rgEpoch of [asEpoch(0), asEpoch(2)]) {
      const stale = request(fixture, ino, { rgEpoch });
      fixture.fails('ESTALE', (txn) => flushAttr(txn, stale, fixture.now));
    }
  });

  it('refuses what has no size to write', () => {
    const fixture = new Fixture();
    const { ino } = fixture.symlink('l', 'x');
    const to = (target: Ino): FlushAttrRequest => request(fixture, target, {});
    fixture.fails('EISDIR', (txn) => flushAttr(txn, to(ROOT_INO), fixture.now));
    fixture.fails('EINVAL', (txn) => flushAttr(txn, to(ino), fixture.now));
    fixture.fails('ENOENT', (txn) => flushAttr(txn, to(asIno(99)), fixture.now));
  });
});
