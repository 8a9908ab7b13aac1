import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Arrival, Life, Member, type MemberOptions, turn } from './member.ts';

const ADA = { name: 'ada' } as const;
const BOB = { name: 'bob' } as const;
const CYD = { name: 'cyd' } as const;

async function welcomed(life: Life, options: MemberOptions): Promise<Member> {
  const arrival = await Member.mount(life, options);
  assert.ok(arrival.entered(), `${options.name} waits for its Welcome`);
  return arrival.member;
}

async function waiting(life: Life, options: MemberOptions): Promise<Arrival> {
  const arrival = await Member.mount(life, options);
  assert.ok(!arrival.entered(), `${options.name} did not wait`);
  return arrival;
}

/** The sentence of every test: it waits so long, and then not a second longer. */
async function waitsUntil(life: Life, arrival: Arrival, ms: number): Promise<void> {
  await life.pass(ms - 1);
  assert.ok(!arrival.entered(), 'it was welcomed too early');
  await life.pass(1);
  assert.ok(arrival.entered(), 'it still waits');
}

describe('a mount', () => {
  it('is alone when it is the only one', async () => {
    const life = await Life.first();
    assert.equal((await welcomed(life, ADA)).alone, true);
  });

  it('shares when a second one comes, which is welcomed when it has said so', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const bob = await waiting(life, BOB);
    assert.equal(ada.shares, 1);
    assert.equal(await ada.request({ $case: 'shared', value: {} }), '');
    assert.ok(bob.entered());
    assert.equal(bob.member.alone, false);
    const cyd = await welcomed(life, CYD);
    assert.deepEqual([cyd.alone, ada.shares, bob.member.shares], [false, 1, 0]);
  });

  it('is made to start anew, once, when the other one goes, and is alone then', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const bob = await waiting(life, BOB);
    await ada.request({ $case: 'shared', value: {} });
    bob.member.leave();
    await life.pass(13_999);
    assert.equal(ada.closed, undefined, 'the other one may come back');
    await life.pass(1);
    assert.deepEqual([ada.closed, ada.pushed.length], ['unavailable', 1]);
    const again = await welcomed(life, ADA);
    assert.equal(again.alone, true);
    await life.pass(20_000);
    assert.equal(again.closed, undefined);
  });

  it('is not alone while another one was heard of within 14 s', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const bob = await waiting(life, BOB);
    await ada.request({ $case: 'shared', value: {} });
    bob.member.leave();
    await life.pass(13_999);
    assert.equal((await welcomed(life, ADA)).alone, false);
  });

  it('that follows an older process of its own node does not wait for it', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const next = await welcomed(life, { ...ADA, instance: 2n });
    assert.deepEqual([ada.closed, next.alone], ['session-ended', true]);
  });
});

describe('the Welcome of a second mount', () => {
  it('waits for an absent one until 14 s after it was last heard of', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    await life.pass(1_000);
    ada.keepAlive();
    ada.leave();
    await life.pass(2_000);
    const bob = await waiting(life, BOB);
    await waitsUntil(life, bob, 12_000);
    assert.equal(bob.member.alone, true);
  });

  it('waits for a silent one as long, and ends its stream', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    await life.pass(4_000);
    const bob = await waiting(life, BOB);
    await waitsUntil(life, bob, 10_000);
    assert.equal(ada.closed, 'unavailable');
  });

  it('waits 15 s at most for one that lives but does not answer, and ends its stream', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const bob = await waiting(life, BOB);
    for (let second = 0; second < 14; second += 1) {
      await life.pass(1_000);
      ada.keepAlive();
    }
    await waitsUntil(life, bob, 1_000);
    assert.deepEqual([ada.closed, bob.member.alone], ['unavailable', false]);
  });

  it('waits no longer when the other one comes back on a new stream', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    ada.leave();
    const bob = await waiting(life, BOB);
    const again = await Member.mount(life, ADA);
    assert.ok(bob.entered() && again.entered());
    assert.deepEqual([bob.member.alone, again.member.alone], [false, false]);
  });

  it('does not wait for one that has left in good order, nor does a later life of the server', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    await ada.request({ $case: 'leave', value: {} });
    ada.leave();
    await life.settled();
    assert.equal(ada.session.ended, true);
    assert.equal((await welcomed(life, BOB)).alone, true);
    const bob = await welcomed(await life.next(), BOB);
    assert.equal(bob.alone, true);
  });

  it('waits no longer when a newer process of the other node has taken over', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    ada.leave();
    const bob = await waiting(life, BOB);
    const next = await Member.mount(life, { ...ADA, instance: 2n });
    assert.ok(bob.entered() && next.entered());
    assert.equal(next.member.alone, false);
  });

  it('is not said when nobody waits for it any more, and others go on', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    let wanted = true;
    const bob = await Member.mount(life, BOB, () => wanted);
    const cyd = await waiting(life, CYD);
    wanted = false;
    life.engine.sweep();
    await turn();
    assert.ok(!bob.entered() && !cyd.entered());
    await ada.request({ $case: 'shared', value: {} });
    assert.ok(!bob.entered() && cyd.entered());
  });

  it('makes only one of two that come at once alone', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    const bob = await waiting(life, BOB);
    const cyd = await waiting(life, CYD);
    ada.leave();
    await life.pass(14_000);
    assert.ok(bob.entered());
    if (bob.member.alone) assert.equal(bob.member.shares, 1);
    await bob.member.request({ $case: 'shared', value: {} });
    assert.ok(cyd.entered());
    assert.equal(cyd.member.alone, false);
  });
});

describe('an answer to Share', () => {
  it('that nobody asked for changes nothing', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    await ada.request({ $case: 'shared', value: {} });
    await waiting(life, BOB);
    assert.equal(ada.shares, 1);
  });

  it('may come late over the next stream, so that one is not alone', async () => {
    const life = await Life.first();
    const ada = await welcomed(life, ADA);
    let bobWaits = true;
    await Member.mount(life, BOB, () => bobWaits);
    assert.equal(ada.shares, 1);
    bobWaits = false;
    ada.leave();
    await life.pass(20_000);
    const again = await welcomed(life, ADA);
    assert.equal(again.alone, false);
    await again.request({ $case: 'shared', value: {} });
    again.leave();
    await life.pass(20_000);
    assert.equal((await welcomed(life, ADA)).alone, true);
  });
});

describe('after a restart of the server', () => {
  it('a mount of before may remember until 14 s after the start', async () => {
    const life = await Life.first();
    await welcomed(life, ADA);
    const next = await life.next();
    const bob = await waiting(next, BOB);
    await waitsUntil(next, bob, 14_000);
    assert.equal(bob.member.alone, true);
  });

  it('the one that comes back is not in its own way', async () => {
    const life = await Life.first();
    await welcomed(life, ADA);
    const next = await life.next();
    assert.equal((await welcomed(next, ADA)).alone, true);
  });
});
