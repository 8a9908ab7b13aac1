import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GONE_MS } from '../../../src/metaserver/session.ts';
import {
  chmodOp,
  dvOf,
  getattrOp,
  grantsOf,
  LeaseMount,
  leaseOp,
  lookupOp,
  modeOf,
  publishOp,
  settledOp as settled,
} from './lease-rig.ts';
import { Member } from './member.ts';
import { makeOp, type Op, readdirOp, removeOp } from './rig.ts';
import { FOUNDER, type TwoMounts, twoMounts } from './two-mounts.ts';

const LEAVE: Op = { $case: 'leave', value: {} };

function fences({ pushed }: Member): string[] {
  return pushed.flatMap((body) => {
    if (body.$case !== 'fence') return [];
    return [`session ${body.value.sid} below ${body.value.sepoch}`];
  });
}

async function confirm(founder: Member, sid: number): Promise<void> {
  const value = { sid: BigInt(sid), sepoch: 2n };
  assert.equal(await founder.request({ $case: 'fenced', value }), '');
}

describe('a mount that does not answer a recall', () => {
  it('is evicted after 10 s, and its lease falls when its home and its own clock are past it', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(9_999);
    for (const other of [founder, ada, bob]) other.keepAlive();
    assert.equal(ada.closed, undefined);
    await life.pass(1);
    assert.equal(ada.closed, 'evicted');
    const sid = ada.session.sid;
    assert.deepEqual(fences(founder), [`session ${sid} below 2`]);
    await confirm(founder, sid);
    assert.equal(change.outcome, 'waits', 'ada was heard of just now, and may answer from memory');
    await life.pass(GONE_MS - 2);
    assert.equal(change.outcome, 'waits');
    await life.pass(1);
    assert.equal(change.outcome, 'ok');
  });

  it('keeps its lease from others for as long as its home has not confirmed', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    for (let passed = 0; passed < 30_000; passed += 2_000) {
      await life.pass(2_000);
      for (const other of [founder, bob]) other.keepAlive();
    }
    assert.equal(ada.closed, 'evicted');
    assert.equal(change.outcome, 'waits');
    await confirm(founder, ada.session.sid);
    assert.equal(change.outcome, 'ok');
  });

  it('needs no confirmation of a home that is gone: that one has no rights either', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(10_000);
    bob.keepAlive();
    assert.deepEqual([ada.closed, change.outcome], ['evicted', 'waits']);
    await life.pass(GONE_MS - 10_000);
    assert.equal(change.outcome, 'ok');
  });

  it('is fenced once more at a home that comes back on another stream', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    bob.send(chmodOp(ino, 0o600));
    await life.pass(10_000);
    founder.keepAlive();
    const again = await Member.peer(life, FOUNDER);
    assert.deepEqual(fences(again), [`session ${ada.session.sid} below 2`]);
  });

  it('may have sent bytes that it has not published: what others have cached counts no more', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const before = dvOf(await ada.ask(getattrOp(ino)));
    const look = await bob.ask(leaseOp(ino));
    await life.pass(10_000);
    await confirm(founder, ada.session.sid);
    for (const other of [founder, bob]) other.keepAlive();
    await life.pass(GONE_MS - 10_000);
    assert.equal(look.outcome, 'ok');
    assert.equal(dvOf(await bob.ask(getattrOp(ino))), before + 1n);
  });

  it('moves nothing of what it could only read', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await ada.release(ino, { keepShared: true });
    const before = dvOf(await bob.ask(getattrOp(ino)));
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(10_000);
    for (const other of [founder, bob]) other.keepAlive();
    await life.pass(GONE_MS - 10_000);
    assert.equal(change.outcome, 'ok');
    assert.equal(dvOf(await bob.ask(getattrOp(ino))), before);
  });

  it('is not fenced where it could only read', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await ada.release(ino, { keepShared: true });
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(10_000);
    founder.keepAlive();
    bob.keepAlive();
    assert.equal(ada.closed, 'evicted');
    await life.pass(GONE_MS - 10_000);
    assert.deepEqual([change.outcome, fences(founder)], ['ok', []]);
  });

  it('cannot do anything any more, and its process begins a new session', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    bob.send(chmodOp(ino, 0o600));
    await life.pass(10_000);
    assert.equal((await ada.ask(publishOp(ino, 9n))).outcome, 'ESTALE');
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ESTALE');
    await ada.release(ino);
    assert.equal(ada.log.at(-1), 'ESTALE release');
    await confirm(founder, ada.session.sid);
    const { sid, sepoch } = ada.session;
    const named = { sid: BigInt(sid), sepoch: BigInt(sepoch) };
    const { ended } = life.engine.keepAlive({ seq: 1n, sessions: [named] });
    assert.deepEqual(ended, [BigInt(sid)]);
    const next = await LeaseMount.open(life, 'ada');
    assert.notEqual(next.session.sid, sid);
    assert.equal((await next.ask(lookupOp('none'))).outcome, 'ENOENT');
  });

  it('has more time while it says that it works on it, but not without end', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    for (let passed = 0; passed < 59_000; passed += 1_000) {
      await life.pass(1_000);
      await ada.progress(ino);
      for (const other of [founder, ada, bob]) other.keepAlive();
    }
    assert.deepEqual([ada.closed, change.outcome], [undefined, 'waits']);
    await life.pass(1_000);
    assert.equal(ada.closed, 'evicted');
  });

  it('stays when it answers late, but in time', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(9_000);
    for (const other of [founder, ada, bob]) other.keepAlive();
    await ada.release(ino);
    assert.equal(change.outcome, 'ok');
    await life.pass(9_000);
    assert.deepEqual([ada.closed, fences(founder)], [undefined, []]);
  });
});

describe('a mount that nothing is heard of', () => {
  it('is evicted after 14 s when somebody waits for it, without more ado', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await life.pass(GONE_MS - 1_000);
    for (const other of [founder, bob]) other.keepAlive();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(1_000);
    assert.equal(ada.closed, 'evicted');
    await confirm(founder, ada.session.sid);
    assert.equal(change.outcome, 'ok');
  });

  it('keeps its session and its leases as long as nobody wants them', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await life.pass(600_000);
    for (const other of [founder, bob]) other.keepAlive();
    assert.equal(ada.closed, undefined);
    const back = await LeaseMount.open(life, 'ada');
    assert.equal(back.session.sid, ada.session.sid);
    assert.equal((await back.ask(publishOp(ino, 5n))).outcome, 'ok');
    assert.equal((await bob.ask(getattrOp(ino))).outcome, 'waits');
    assert.deepEqual(back.log.at(-1), `recall ${ino} to shared of an unknown lease`);
  });
});

describe('a mount that ends', () => {
  it('gives everything back with its last word, when its home is past it', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await ada.ask(LEAVE);
    await life.settled();
    assert.equal(change.outcome, 'waits');
    assert.deepEqual(fences(founder), [`session ${ada.session.sid} below 2`]);
    await confirm(founder, ada.session.sid);
    assert.equal(change.outcome, 'ok', 'nobody waits for the end of what its machine remembers');
  });

  it('is as gone when another process of its machine comes', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await LeaseMount.open(life, 'ada', 2n);
    assert.equal(ada.closed, 'session-ended');
    await confirm(founder, ada.session.sid);
    assert.equal(change.outcome, 'ok');
  });

  it('leaves no place in a queue: what it waited for is asked for by nobody', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    bob.send(chmodOp(ino, 0o600));
    const look = await eve.ask(getattrOp(ino));
    await bob.ask(LEAVE);
    await life.settled();
    await ada.release(ino);
    assert.equal(look.outcome, 'ok');
    assert.equal(modeOf(look), 0o644);
    assert.equal(life.engine.status().waiting, 0);
  });
});

describe('after a restart of the server', () => {
  interface Restarted extends TwoMounts {
    readonly before: TwoMounts;
  }

  async function restarted(): Promise<Restarted> {
    const before = await twoMounts();
    const life = await before.life.next();
    const founder = await Member.peer(life, FOUNDER);
    const ada = await LeaseMount.open(life, 'ada');
    const bob = await LeaseMount.open(life, 'bob');
    assert.equal(ada.session.sid, before.ada.session.sid);
    return { life, founder, ada, bob, ino: before.ino, before };
  }

  it('nothing with a claim runs before every mount of before has said what it holds', async () => {
    const { ada, bob, ino } = await restarted();
    const made = await bob.ask(makeOp('new'));
    const look = await bob.ask(getattrOp(ino));
    assert.deepEqual([made.outcome, look.outcome], ['waits', 'waits']);
    await bob.ask(settled());
    assert.deepEqual([made.outcome, look.outcome], ['waits', 'waits']);
    await ada.ask(settled());
    assert.deepEqual([made.outcome, look.outcome], ['ok', 'ok']);
    assert.deepEqual(grantsOf(look), [`shared ${ino}`]);
  });

  it('what was written is published meanwhile, and looked at by who publishes it', async () => {
    const { ada, bob, ino } = await restarted();
    const committed = await ada.ask(getattrOp(ino, true));
    assert.deepEqual([committed.outcome, grantsOf(committed)], ['ok', []]);
    assert.equal((await ada.ask(publishOp(ino, 5n))).outcome, 'ok');
    const look = await bob.ask(getattrOp(ino));
    await bob.ask(settled());
    await ada.ask(settled());
    assert.ok(look.reply?.result?.$case === 'attr');
    assert.equal(look.reply.result.value.attr?.size, 5n);
  });

  it('listings tell no attributes until then, and bring no leases', async () => {
    const { bob, ino } = await restarted();
    const listing = await bob.ask(readdirOp());
    assert.ok(listing.reply?.result?.$case === 'readdir');
    const { entries } = listing.reply.result.value;
    assert.deepEqual(
      entries.map((entry) => [entry.ino, entry.attr]),
      [[ino, undefined]],
    );
    assert.deepEqual(grantsOf(listing), []);
  });

  it('a file that is open at a mount outlives its last name', async () => {
    const { life, ada, bob, ino } = await restarted();
    await ada.ask(settled(ino));
    await bob.ask(settled());
    assert.equal((await bob.ask(removeOp('file', ino))).outcome, 'ok');
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ok');
    await ada.ask({ $case: 'closeUnlinked', value: { inos: [ino] } });
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ENOENT');
    assert.equal(life.engine.status().inodes, 1);
  });

  it('a mount that does not come back is waited for 14 s, and for its home', async () => {
    const before = await twoMounts();
    const life = await before.life.next();
    const founder = await Member.peer(life, FOUNDER);
    const bob = await LeaseMount.open(life, 'bob');
    await bob.ask(settled());
    const change = await bob.ask(chmodOp(before.ino, 0o600));
    await life.pass(GONE_MS - 1);
    for (const other of [founder, bob]) other.keepAlive();
    assert.deepEqual([change.outcome, fences(founder)], ['waits', []]);
    await life.pass(1);
    assert.equal(change.outcome, 'waits');
    assert.deepEqual(fences(founder), [`session ${before.ada.session.sid} below 2`]);
    await confirm(founder, before.ada.session.sid);
    assert.equal(change.outcome, 'ok');
  });

  it('a mount that is heard of and does not settle has 60 s when somebody waits for it', async () => {
    const { life, founder, ada, bob, ino } = await restarted();
    await bob.ask(settled());
    const pass = async (ms: number): Promise<void> => {
      await life.pass(ms);
      for (const other of [founder, ada, bob]) other.keepAlive();
    };
    for (let passed = 0; passed < 62_000; passed += 2_000) await pass(2_000);
    assert.equal(ada.closed, undefined, 'nobody waits for it');
    const change = await bob.ask(chmodOp(ino, 0o600));
    await pass(1_000);
    assert.deepEqual([ada.closed, change.outcome], ['evicted', 'waits']);
    await confirm(founder, ada.session.sid);
    for (let passed = 0; passed < GONE_MS; passed += 1_000) await pass(1_000);
    assert.equal(change.outcome, 'ok');
  });

  it('an eviction that was under way goes on: no home is forgotten', async () => {
    const before = await twoMounts();
    before.bob.send(chmodOp(before.ino, 0o600));
    await before.life.pass(10_000);
    assert.equal(before.ada.closed, 'evicted');
    const life = await before.life.next();
    const founder = await Member.peer(life, FOUNDER);
    const bob = await LeaseMount.open(life, 'bob');
    await bob.ask(settled());
    const change = await bob.ask(chmodOp(before.ino, 0o600));
    const { sid } = before.ada.session;
    assert.deepEqual(fences(founder), [`session ${sid} below 2`]);
    await life.pass(GONE_MS - 1);
    founder.keepAlive();
    bob.keepAlive();
    await life.pass(1);
    assert.equal(change.outcome, 'waits');
    await confirm(founder, sid);
    assert.equal(change.outcome, 'ok');
  });

  it('a grant of an earlier life gives up nothing', async () => {
    const { ada, bob, ino, before } = await restarted();
    await ada.ask(settled());
    await bob.ask(settled());
    await ada.ask(leaseOp(ino, true));
    const look = await bob.ask(getattrOp(ino));
    await ada.release(ino, { lseq: before.ada.lseq(ino) });
    assert.equal(look.outcome, 'waits');
    await ada.release(ino);
    assert.equal(look.outcome, 'ok');
  });
});
