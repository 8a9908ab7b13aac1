import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GLIMPSE_MS } from '../../../src/metaserver/core/glimpses.ts';
import {
  type Asked,
  chmodOp,
  getattrOp,
  grantsOf,
  LeaseMount,
  lookupOp,
  publishOp,
  settledOp,
} from './lease-rig.ts';
import { removeOp } from './rig.ts';
import { twoMounts } from './two-mounts.ts';

const WRITTEN = { end: 100n, mtime: { sec: 4_000_000_000n, nsec: 7 } };

function sizeOf({ reply }: Asked): bigint | undefined {
  assert.ok(reply?.result?.$case === 'attr', `${reply?.errno}`);
  return reply.result.value.attr?.size;
}

describe('a look at a file that another session writes', () => {
  it('shows what that has written, and leaves it its lease', async () => {
    const { ada, bob, ino } = await twoMounts();
    ada.unpublished = WRITTEN;
    for (const op of [getattrOp(ino), lookupOp('file')]) {
      const look = await bob.ask(op);
      assert.deepEqual([look.outcome, grantsOf(look)], ['ok', []]);
      assert.ok(look.reply?.result?.$case === 'attr');
      const { attr } = look.reply.result.value;
      assert.deepEqual(
        [attr?.size, attr?.mtime, attr?.ctime],
        [100n, WRITTEN.mtime, WRITTEN.mtime],
      );
    }
    assert.deepEqual(ada.recalls, []);
    assert.equal((await ada.ask(publishOp(ino, 90n))).outcome, 'ok');
    assert.equal(sizeOf(await bob.ask(getattrOp(ino))), 100n);
    ada.unpublished = { ...WRITTEN, end: 10n };
    assert.equal(sizeOf(await bob.ask(getattrOp(ino))), 90n, 'what is committed, at least');
  });

  it('calls the lease back when nothing is unpublished', async () => {
    const { ada, bob, ino } = await twoMounts();
    const look = await bob.ask(getattrOp(ino));
    assert.deepEqual([look.outcome, ada.recalls], ['waits', [`recall ${ino} to shared`]]);
    await ada.release(ino, { keepShared: true });
    assert.deepEqual([look.outcome, grantsOf(look)], ['ok', [`shared ${ino}`]]);
  });

  it('calls the lease back when no answer comes', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    ada.unpublished = 'silent';
    const look = await bob.ask(getattrOp(ino));
    await life.pass(GLIMPSE_MS - 1);
    assert.deepEqual(ada.recalls, []);
    assert.equal(life.engine.status().waiting, 1);
    await life.pass(1);
    assert.deepEqual(ada.recalls, [`recall ${ino} to shared`]);
    await ada.release(ino);
    assert.equal(look.outcome, 'ok');
    const [id = 0n] = ada.glimpses;
    ada.tell({ id, ino, lseq: ada.lseq(ino), unpublished: WRITTEN });
    assert.equal(sizeOf(await bob.ask(getattrOp(ino))), 0n, 'a late answer means nothing');
  });

  it('waits without a glimpse when the lease is called back already', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    ada.unpublished = WRITTEN;
    const eve = await LeaseMount.open(life, 'eve');
    const change = await eve.ask(chmodOp(ino, 0o600));
    const look = await bob.ask(getattrOp(ino));
    assert.deepEqual([look.outcome, ada.glimpses], ['waits', []]);
    await ada.release(ino);
    assert.deepEqual([change.outcome, look.outcome], ['ok', 'ok']);
  });

  it('is worked out anew when the lease was called back meanwhile', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    ada.unpublished = 'silent';
    const eve = await LeaseMount.open(life, 'eve');
    const look = await bob.ask(getattrOp(ino));
    await eve.ask(chmodOp(ino, 0o600));
    const [id = 0n] = ada.glimpses;
    ada.tell({ id, ino, lseq: ada.lseq(ino), unpublished: WRITTEN });
    assert.equal(look.outcome, 'waits');
    await ada.release(ino);
    assert.equal(sizeOf(look), 0n);
  });

  it('is worked out anew when the name leads elsewhere by then', async () => {
    const { ada, bob, ino } = await twoMounts();
    ada.unpublished = 'silent';
    const look = await bob.ask(lookupOp('file'));
    const removed = await bob.ask(removeOp('file', ino));
    await ada.release(ino);
    assert.equal(removed.outcome, 'ok');
    const other = await bob.create('file');
    const [id = 0n] = ada.glimpses;
    ada.tell({ id, ino, lseq: ada.lseq(ino), unpublished: WRITTEN });
    assert.ok(look.reply?.result?.$case === 'attr');
    assert.deepEqual([look.reply.result.value.attr?.ino, sizeOf(look)], [other, 0n]);
  });

  it('is forgotten when its process is followed by another one', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    ada.unpublished = 'silent';
    const look = await bob.ask(getattrOp(ino));
    const next = await LeaseMount.open(life, 'bob', 2n, [1n]);
    await next.ask(settledOp());
    const [id = 0n] = ada.glimpses;
    ada.tell({ id, ino, lseq: ada.lseq(ino), unpublished: WRITTEN });
    await life.pass(GLIMPSE_MS);
    assert.deepEqual([look.outcome, ada.recalls], ['waits', []]);
    assert.equal(life.engine.status().waiting, 0);
  });
});
