import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FsError } from '../../../../src/common/errno.ts';
import { asGroupId } from '../../../../src/common/ids.ts';
import { GroupVersions } from '../../../../src/peer/core/versions.ts';
import { context, groupView } from '../../../support/store-helpers.ts';

const isStale = (error: unknown) => error instanceof FsError && error.code === 'ESTALE';
const RG = asGroupId(1);

describe('the versions of a replica group', () => {
  it('count up, and start again with each epoch', () => {
    const groups = new GroupVersions();
    groups.set([groupView(3)]);
    assert.deepEqual(groups.next(RG), { epoch: 3, seq: 1 });
    groups.set([groupView(3)]);
    assert.deepEqual(groups.next(RG), { epoch: 3, seq: 2 });
    groups.set([groupView(4)]);
    assert.deepEqual(groups.next(RG), { epoch: 4, seq: 1 });
  });

  it('never repeat because of a late message', () => {
    const groups = new GroupVersions();
    groups.set([groupView(4)]);
    groups.next(RG);
    groups.set([groupView(3)]);
    assert.deepEqual(groups.next(RG), { epoch: 4, seq: 2 });
    assert.throws(() => groups.check(context(3)), isStale);
  });

  it('are given under the current epoch of a known group only', () => {
    const groups = new GroupVersions();
    assert.throws(() => groups.check(context(1)), isStale);
    groups.set([groupView(1)]);
    groups.check(context(1));
    assert.throws(() => groups.check(context(2)), isStale);
    assert.throws(() => groups.check(context(1, 9)), isStale);
    groups.set([]);
    assert.throws(() => groups.check(context(1)), isStale);
    assert.equal(groups.next(RG), undefined);
  });
});
