import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FsckReply } from '../../../gen/meta.ts';
import { FsError } from '../../../src/common/errno.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { FsckDesk } from '../../../src/metaserver/fsck-desk.ts';
import { type KvSnapshot, MemoryKv } from '../../../src/metaserver/kv.ts';
import { type Member, turn } from './member.ts';
import { foundIn, makeOp, type Op, removeOp } from './rig.ts';
import { twoMounts } from './two-mounts.ts';

async function founded(): Promise<KvSnapshot> {
  const kv = new MemoryKv();
  await foundIn(kv);
  return kv.snapshot();
}

async function finished(desk: FsckDesk, run: bigint): Promise<FsckReply> {
  for (;;) {
    const reply = desk.ask(Number(run));
    if (reply.done) return reply;
    await turn();
  }
}

describe('checks that are asked for', () => {
  it('are begun, and tell when they are done', async () => {
    const desk = new FsckDesk({ snapshot: founded });
    const { done, run } = desk.ask(0);
    assert.equal(done, false);
    const { counts, findings, inodes } = await finished(desk, run);
    assert.deepEqual([inodes, counts, findings], [1n, [], []]);
  });

  it('run one at a time, and who comes while one waits shares it', async () => {
    const opened = deferred<KvSnapshot>();
    let open = 0;
    const snapshot = (): Promise<KvSnapshot> => {
      open += 1;
      return opened.promise;
    };
    const desk = new FsckDesk({ snapshot });
    const first = desk.ask(0);
    await turn();
    const [second, third] = [desk.ask(0), desk.ask(0)];
    assert.notEqual(first.run, second.run, 'what runs may have seen what was before');
    assert.equal(second.run, third.run);
    await turn();
    assert.equal(open, 1);
    opened.resolve(await founded());
    for (const { run } of [first, second]) assert.ok((await finished(desk, run)).done);
    assert.equal(open, 2);
  });

  it('are not known to another life of the server', () => {
    const desk = new FsckDesk({ snapshot: founded });
    assert.throws(() => desk.ask(7), { code: 'ENOENT' });
  });

  it('say why they could not be made', async () => {
    const snapshot = (): Promise<KvSnapshot> => Promise.reject(new FsError('EIO', 'no disk'));
    const desk = new FsckDesk({ snapshot });
    const { run } = desk.ask(0);
    await assert.rejects(finished(desk, run), { code: 'EIO', message: /no disk/ });
  });

  it('end with the server, unfinished', async () => {
    const desk = new FsckDesk({ snapshot: founded });
    const { run } = desk.ask(0);
    await desk.stop();
    await assert.rejects(finished(desk, run), { code: 'EIO' });
  });
});

describe('backing files of a node', () => {
  async function strays(member: Member, ...inos: bigint[]): Promise<string> {
    const op: Op = { $case: 'backingFiles', value: { inos } };
    return member.request(op);
  }

  it('belong to files, or to nothing', async () => {
    const { life, ada, bob, founder, ino } = await twoMounts();
    await ada.release(ino);
    await bob.ask(removeOp('file', ino));
    const kept = await ada.create('kept');
    const { reply } = await ada.ask(makeOp('dir', 0o40755));
    assert.ok(reply?.result?.$case === 'make');
    const dir = reply.result.value.attr?.ino ?? 0n;
    await life.settled();
    const asked = [ino, kept, dir, 99_999n];
    const of = async (mount: typeof ada): Promise<readonly bigint[]> => {
      const answer = (await mount.ask({ $case: 'backingFiles', value: { inos: asked } })).reply;
      assert.ok(answer?.result?.$case === 'backingFiles');
      return answer.result.value.strays;
    };
    assert.deepEqual(await of(ada), [kept, dir, 99_999n], 'a node that leads no group keeps none');
    assert.equal(await strays(founder, ...asked), '');
    assert.equal(await strays(founder, 0n), 'EINVAL');
  });
});
