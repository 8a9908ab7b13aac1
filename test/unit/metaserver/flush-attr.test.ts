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
  return fixture.run((txn) => flushAttr(txn, request(fixture, ino, more)));
}

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

function cut(fixture: Fixture, ino: Ino, size: number): void {
  const change = { ...NOTHING, ino, size, cut: true };
  fixture.run((txn) => setattr(txn, change, fixture.now));
}

describe('flushAttr', () => {
  it('takes size and time of the last write, for mtime and ctime, and moves the data version', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const attr = flush(fixture, ino);
    assert.deepEqual([attr.size, attr.mtime, attr.ctime, attr.dv], [7, EARLY, EARLY, 1]);
  });

  it('leaves the times alone when it is repeated, or says nothing of them', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const times = ({ mtime, ctime }: Attr): Timespec[] => [mtime, ctime];
    const first = flush(fixture, ino);
    assert.deepEqual(times(flush(fixture, ino)), times(first));
    assert.deepEqual(times(flush(fixture, ino, { mtime: undefined })), times(first));
  });

  it('leaves ctime to a change that came after the last write', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    const mtime = fixture.now;
    fixture.clock.advance(2_000);
    const change = { ...NOTHING, ino, mode: 0o600 };
    const changed = fixture.run((txn) => setattr(txn, change, fixture.now));
    const attr = flush(fixture, ino, { mtime });
    assert.deepEqual([attr.mtime, attr.ctime], [mtime, changed.ctime]);
  });

  it('lets changes move ctime on, also after a writer whose clock is ahead', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    flush(fixture, ino);
    const change = { ...NOTHING, ino, mtime: 'now' as const };
    const touched = fixture.run((txn) => setattr(txn, change, fixture.now));
    const next = { ...EARLY, nsec: EARLY.nsec + 1 };
    assert.deepEqual([touched.mtime, touched.ctime], [next, next]);
    const { other } = fixture.rename('f', 'g');
    assert.equal(other, undefined);
    assert.deepEqual(fixture.inode(ino).ctime, { ...EARLY, nsec: EARLY.nsec + 2 });
  });

  it('ends a time in the future that was set', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    fixture.run((txn) => setattr(txn, { ...NOTHING, ino, mtime: LATE }, fixture.now));
    const attr = flush(fixture, ino, { mtime: EARLY, size: 0 });
    assert.deepEqual([attr.mtime, attr.ctime], [EARLY, EARLY]);
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
    fixture.fails('ESTALE', (txn) => flushAttr(txn, request(fixture, ino, {})));
    const ahead = request(fixture, ino, { cuts: 2 });
    fixture.fails('ESTALE', (txn) => flushAttr(txn, ahead));
    assert.equal(flush(fixture, ino, { cuts: 1 }).size, 7);
  });

  it('refuses bytes that went to another life of the home, and those that name none', () => {
    const fixture = new Fixture();
    const { ino } = fixture.make('f');
    for (const rgEpoch of [asEpoch(0), asEpoch(2)]) {
      const stale = request(fixture, ino, { rgEpoch });
      fixture.fails('ESTALE', (txn) => flushAttr(txn, stale));
    }
  });

  it('refuses what has no size to write', () => {
    const fixture = new Fixture();
    const { ino } = fixture.symlink('l', 'x');
    const to = (target: Ino): FlushAttrRequest => request(fixture, target, {});
    fixture.fails('EISDIR', (txn) => flushAttr(txn, to(ROOT_INO)));
    fixture.fails('EINVAL', (txn) => flushAttr(txn, to(ino)));
    fixture.fails('ENOENT', (txn) => flushAttr(txn, to(asIno(99))));
  });
});
