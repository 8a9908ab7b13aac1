/** Rule C16 at the metaserver: a mount process that follows another goes on with its session. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  chmodOp,
  getattrOp,
  grantsOf,
  LeaseMount,
  leaseOp,
  lookupOp,
  modeOf,
  mountNamed,
  publishOp,
  settledOp,
} from './lease-rig.ts';
import { type Life, turn } from './member.ts';
import { makeOp, type Op, removeOp, requestId } from './rig.ts';
import { twoMounts } from './two-mounts.ts';

/** The next process of ada's node, which goes on with her session. */
function following(life: Life): Promise<LeaseMount> {
  return LeaseMount.open(life, 'ada', 2n, [1n]);
}

function stateOf({ session }: LeaseMount): readonly [sid: number, sepoch: number] {
  return [session.sid, session.sepoch];
}

describe('a mount that follows the process before it', () => {
  it('goes on with its session and every lease, in the next epoch', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    const next = await following(life);
    assert.deepEqual(stateOf(next), [ada.session.sid, 2]);
    assert.equal(life.engine.status().sessions, 3);
    const look = await bob.ask(getattrOp(ino));
    assert.equal(look.outcome, 'waits');
    assert.equal((await next.ask(publishOp(ino, 5n))).outcome, 'ok');
    await next.release(ino, { lseq: ada.lseq(ino) });
    assert.ok(look.reply?.result?.$case === 'attr');
    assert.equal(look.reply.result.value.attr?.size, 5n);
  });

  it('may name several: one of them has the session', async () => {
    const { life, ada } = await twoMounts();
    const next = await LeaseMount.open(life, 'ada', 2n, [7n, 1n, 8n]);
    assert.deepEqual(stateOf(next), [ada.session.sid, 2]);
    const last = await LeaseMount.open(life, 'ada', 3n, [1n, 2n]);
    assert.deepEqual(stateOf(last), [ada.session.sid, 3]);
  });

  it('comes back to it as to its own', async () => {
    const { life, ada, ino } = await twoMounts();
    await following(life);
    const again = await following(life);
    assert.deepEqual(stateOf(again), [ada.session.sid, 2]);
    assert.equal((await again.ask(publishOp(ino, 5n))).outcome, 'ok');
  });

  it('begins a session of its own when another than it names has it', async () => {
    const { life, ada } = await twoMounts();
    const next = await LeaseMount.open(life, 'ada', 2n, [7n]);
    assert.notEqual(next.session.sid, ada.session.sid);
    assert.equal(ada.closed, 'session-ended');
  });

  it('is called for what others want, again and with time to answer', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    bob.send(chmodOp(ino, 0o600));
    await life.pass(9_000);
    const next = await following(life);
    assert.deepEqual(next.recalls, [`recall ${ino} of an unknown lease`]);
    for (const waitMs of [9_999, 1]) {
      assert.equal(next.closed, undefined);
      for (const other of [founder, next, bob]) other.keepAlive();
      await life.pass(waitMs);
    }
    assert.deepEqual([ada.closed, next.closed], ['session-ended', 'evicted']);
  });

  it('is asked what it has open as after a restart, when the server restarted in between', async () => {
    const before = await twoMounts();
    const life = await before.life.next();
    const bob = await LeaseMount.open(life, 'bob');
    const next = await following(life);
    assert.deepEqual(stateOf(next), [before.ada.session.sid, 2]);
    await bob.ask(settledOp());
    const change = await bob.ask(chmodOp(before.ino, 0o600));
    assert.equal((await next.ask(publishOp(before.ino, 5n))).outcome, 'ok');
    assert.equal(change.outcome, 'waits');
    await next.ask(settledOp());
    assert.equal(change.outcome, 'ok');
  });

  it('is fenced above its own epoch when it is evicted', async () => {
    const { life, founder, bob, ino } = await twoMounts();
    const next = await following(life);
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(10_000);
    for (const other of [founder, bob]) other.keepAlive();
    assert.equal(next.closed, 'evicted');
    const sid = BigInt(next.session.sid);
    const fence = { $case: 'fence', value: { sid, sepoch: 3n } } as const;
    assert.deepEqual(founder.pushed.at(-1), fence);
    await founder.request({ $case: 'fenced', value: { sid, sepoch: 2n } });
    await life.pass(4_000);
    assert.equal(change.outcome, 'waits', 'the home may let it in');
    await founder.request({ $case: 'fenced', value: fence.value });
    assert.equal(change.outcome, 'ok');
  });

  it('is a mount: a peer follows nobody', async () => {
    const { life, founder } = await twoMounts();
    const identity = { ...mountNamed('founder', 2n, [1n]), kind: 'peer' } as const;
    const { session } = await life.engine.openSession(identity);
    assert.notEqual(session.sid, founder.session.sid);
  });
});

describe('an evicted session', () => {
  it('is not handed over', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    const change = await bob.ask(chmodOp(ino, 0o600));
    await life.pass(10_000);
    assert.equal(ada.closed, 'evicted');
    const next = await following(life);
    assert.notEqual(next.session.sid, ada.session.sid);
    founder.keepAlive();
    assert.equal((await next.ask(publishOp(ino, 9n))).outcome, 'ENOLCK');
    assert.equal(change.outcome, 'waits');
  });

  it('is not either when its follower came a moment before', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await bob.ask(chmodOp(ino, 0o600));
    life.clock.advance(10_000);
    const opening = life.engine.openSession(mountNamed('ada', 2n, [1n]));
    life.engine.sweep();
    assert.equal(ada.session.ended, true);
    const { session } = await opening;
    assert.notEqual(session.sid, ada.session.sid);
    assert.deepEqual([session.sepoch, session.ended], [1, false]);
  });

  it('is over for its own process too, which comes back a moment before that is written', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await bob.ask(chmodOp(ino, 0o600));
    life.clock.advance(10_000);
    const opening = life.engine.openSession(mountNamed('ada', 1n, []));
    life.engine.sweep();
    const { session, resumed } = await opening;
    assert.notEqual(session.sid, ada.session.sid);
    assert.deepEqual([resumed, session.ended, ada.closed], [false, false, 'evicted']);
  });

  it('may be one that was handed over: its follower may be evicted too', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await bob.ask(chmodOp(ino, 0o600));
    const opening = life.engine.openSession(mountNamed('ada', 2n, [1n]));
    await Promise.resolve();
    life.clock.advance(10_000);
    life.engine.sweep();
    const { session } = await opening;
    assert.deepEqual([session.sid, session.sepoch, session.ended], [ada.session.sid, 2, false]);
    await life.pass(14_000);
    assert.equal(session.ended, true);
    const last = await LeaseMount.open(life, 'ada', 3n, [1n, 2n]);
    assert.notEqual(last.session.sid, ada.session.sid);
  });
});

describe('a process that another has followed', () => {
  it('is told, and does nothing any more', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await following(life);
    assert.equal(ada.closed, 'session-ended');
    const look = await bob.ask(getattrOp(ino));
    const late: Op[] = [
      publishOp(ino, 9n),
      settledOp(),
      { $case: 'closeUnlinked', value: { inos: [ino] } },
      { $case: 'leave', value: {} },
    ];
    for (const op of late) {
      assert.equal((await ada.ask(op)).outcome, 'ESTALE');
    }
    await ada.release(ino);
    assert.equal(ada.log.at(-1), 'ESTALE release');
    await life.settled();
    assert.equal(look.outcome, 'waits');
    assert.equal(life.engine.status().sessions, 3);
  });

  it('leaves no place in a queue: what it waited for never runs', async () => {
    const { life, ada, bob } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    const ino = await bob.create('other');
    const change = await ada.ask(chmodOp(ino, 0o600));
    const look = await eve.ask(getattrOp(ino));
    assert.deepEqual([look.outcome, life.engine.status().waiting], ['waits', 2]);
    await following(life);
    assert.equal(life.engine.status().waiting, 1);
    await bob.release(ino);
    assert.deepEqual([change.outcome, modeOf(look)], ['waits', 0o644]);
  });

  it('does not stand before others there', async () => {
    const { life, ada, bob } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    const ino = await bob.create('other');
    await bob.release(ino, { keepShared: true });
    await ada.ask(chmodOp(ino, 0o600));
    const look = await eve.ask(leaseOp(ino));
    assert.equal(look.outcome, 'waits');
    await following(life);
    assert.equal(look.outcome, 'ok');
  });

  it('has nothing open: what only it kept is gone', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await ada.ask(removeOp('file', ino, true));
    assert.equal((await bob.ask(getattrOp(ino))).outcome, 'waits');
    const inodes = life.engine.status().inodes;
    await following(life);
    assert.equal(life.engine.status().inodes, inodes - 1);
  });

  it('keeps no file open that is removed later', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    bob.send(chmodOp(ino, 0o600));
    await ada.release(ino, { open: true });
    await following(life);
    assert.equal((await bob.ask(removeOp('file', ino))).outcome, 'ok');
    assert.equal(life.engine.status().inodes, 1);
  });

  it('has no replies: the ids are those of another connection', async () => {
    const { life, ada, ino } = await twoMounts();
    // So many that some are acknowledged, which are refused when they are repeated.
    for (let unique = 4; unique < 300; unique += 2) {
      ada.send(chmodOp(ino, 0o600), { requestId: requestId(unique, unique - 2) });
    }
    await turn();
    const next = await following(life);
    const { reply } = await next.ask(makeOp('other'), { requestId: requestId(2) });
    assert.ok(reply?.result?.$case === 'make');
    assert.notEqual(reply.result.value.attr?.ino, ino);
  });

  it('lives no more by its keepalives', async () => {
    const { life, ada } = await twoMounts();
    const next = await following(life);
    const sid = BigInt(next.session.sid);
    const named = (sepoch: bigint): bigint[] => {
      return life.engine.keepAlive({ seq: 1n, sessions: [{ sid, sepoch }] }).ended;
    };
    const { heardMs } = next.session;
    life.clock.advance(1_000);
    assert.deepEqual(named(1n), [sid]);
    assert.deepEqual([ada.session.heardMs, next.session.heardMs], [heardMs, heardMs]);
    assert.deepEqual(named(2n), []);
    assert.equal(next.session.heardMs, heardMs + 1_000);
  });

  it('cannot come back with a late Hello', async () => {
    const { life, bob, ino } = await twoMounts();
    const next = await following(life);
    await assert.rejects(life.engine.openSession(mountNamed('ada', 1n, [])), { code: 'ESTALE' });
    assert.deepEqual([next.closed, next.session.ended], [undefined, false]);
    assert.equal((await bob.ask(getattrOp(ino))).outcome, 'waits');
  });
});

describe('a mount that follows, when it has settled', () => {
  it('has given up what the process before held', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    const next = await following(life);
    const change = await bob.ask(chmodOp(ino, 0o600));
    assert.equal(change.outcome, 'waits');
    await next.ask(settledOp());
    assert.deepEqual([change.outcome, life.engine.status().leases], ['ok', 0]);
    await next.release(ino, { lseq: ada.lseq(ino), open: true });
    assert.equal((await next.ask(getattrOp(ino))).outcome, 'ok');
  });

  it('is not waited for any more: it may be away', async () => {
    const { life, founder, bob, ino } = await twoMounts();
    const next = await following(life);
    bob.send(chmodOp(ino, 0o600));
    await next.ask(settledOp());
    for (const other of [founder, bob]) other.keepAlive();
    await life.pass(600_000);
    assert.equal(next.closed, undefined);
  });

  it('keeps what it was granted itself', async () => {
    const { life, bob, ino } = await twoMounts();
    const next = await following(life);
    const [made, looked] = [await next.create('made'), await next.ask(lookupOp('file'))];
    assert.deepEqual(grantsOf(looked), [`exclusive ${ino}`]);
    await next.ask(settledOp());
    const changes = [await bob.ask(chmodOp(made, 0o600)), await bob.ask(chmodOp(ino, 0o600))];
    assert.deepEqual(
      changes.map(({ outcome }) => outcome),
      ['waits', 'waits'],
    );
    assert.deepEqual(next.recalls, [`recall ${made}`, `recall ${ino}`]);
  });

  it('gives up nothing when it says so once more', async () => {
    const { life, bob } = await twoMounts();
    const next = await following(life);
    await next.ask(settledOp());
    const ino = await next.create('later');
    await next.ask(settledOp());
    assert.equal((await bob.ask(chmodOp(ino, 0o600))).outcome, 'waits');
  });

  it('has open what it says', async () => {
    const { life, bob, ino } = await twoMounts();
    const next = await following(life);
    await next.ask(settledOp(ino));
    assert.equal((await bob.ask(removeOp('file', ino))).outcome, 'ok');
    assert.equal(life.engine.status().inodes, 2);
    await next.ask({ $case: 'closeUnlinked', value: { inos: [ino] } });
    assert.equal(life.engine.status().inodes, 1);
  });
});
