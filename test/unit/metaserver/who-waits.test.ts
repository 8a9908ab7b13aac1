import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Obstacle, ObstacleKind, type WaitsReply } from '../../../gen/meta.ts';
import { asIno, asSessionId, ROOT_INO, type SessionId } from '../../../src/common/ids.ts';
import { obstaclesOf } from '../../../src/metaserver/core/lease-waits.ts';
import { type Claim, LeaseTable, type Waiting } from '../../../src/metaserver/core/leases.ts';
import { GONE_MS } from '../../../src/metaserver/session.ts';
import { Random } from '../../support/random.ts';
import { chmodOp, getattrOp, LeaseMount, leaseOp, settledOp } from './lease-rig.ts';
import { type Life, Member } from './member.ts';
import { makeOp } from './rig.ts';
import { FOUNDER, twoMounts } from './two-mounts.ts';

const NAMES: ReadonlyMap<number, string> = new Map([
  [ObstacleKind.HOLDER, 'holds'],
  [ObstacleKind.EARLIER, 'is before'],
  [ObstacleKind.UNSETTLED, 'is unsettled'],
  [ObstacleKind.EVICTED, 'is evicted from'],
]);

function told({ own, homes, ino, kind, nodeName, recalledMs, restMs }: Obstacle): string {
  const who = own ? 'it' : nodeName;
  const more = [recalledMs, restMs].map((ms) => (ms === 0n ? '' : ` ${ms}`)).join('');
  return `${who} ${NAMES.get(kind)} ${ino}${more}${homes.map((home) => ` ${home}`).join('')}`;
}

async function asked(mount: LeaseMount, ids: readonly bigint[]): Promise<WaitsReply> {
  const { reply } = await mount.ask({ $case: 'waits', value: { ids: [...ids] } });
  assert.ok(reply?.result?.$case === 'waits', reply?.message);
  return reply.result.value;
}

/** Who is in the way of one request: `ada holds 1024`. */
async function waits(mount: LeaseMount, id: bigint): Promise<string[] | 'not waiting'> {
  const [operation, ...others] = (await asked(mount, [id])).operations;
  assert.deepEqual(others, []);
  if (operation === undefined) return 'not waiting';
  assert.equal(operation.id, id);
  return operation.obstacles.map(told);
}

/** Nodes have a name when they have said Hello as a peer. */
async function introduce(life: Life, ...names: string[]): Promise<void> {
  for (const name of names) await Member.peer(life, { name });
}

describe('who stands in the way of an operation that waits', () => {
  it('is who holds the lease, since it was called back', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await introduce(life, 'ada', 'bob');
    await bob.ask(chmodOp(ino, 0o600), { id: 40n });
    await life.pass(2_500);
    assert.deepEqual(await waits(bob, 40n), [`ada holds ${ino} 2500`]);
    assert.equal(await waits(ada, 40n), 'not waiting', 'ids are those of the session');
    assert.equal(await waits(bob, 41n), 'not waiting');
    await ada.release(ino);
    assert.equal(await waits(bob, 40n), 'not waiting');
  });

  it('is who came before and waits too', async () => {
    const { life, bob, ino } = await twoMounts();
    const eve = await LeaseMount.open(life, 'eve');
    await introduce(life, 'ada', 'bob', 'eve');
    await bob.ask(chmodOp(ino, 0o600), { id: 40n });
    await eve.ask(leaseOp(ino), { id: 50n });
    assert.deepEqual(await waits(eve, 50n), [`ada holds ${ino}`, `bob is before ${ino}`]);
    assert.deepEqual(await waits(bob, 40n), [`ada holds ${ino}`]);
  });

  it('is itself, when its own lease is called back first', async () => {
    const { life, ada, bob, ino } = await twoMounts();
    await introduce(life, 'ada', 'bob');
    await bob.ask(chmodOp(ino, 0o600), { id: 40n });
    await ada.ask(leaseOp(ino, true), { id: 60n });
    assert.deepEqual(await waits(ada, 60n), [`it holds ${ino}`]);
  });

  it('is every mount that has not settled after a restart', async () => {
    const before = await twoMounts();
    const life = await before.life.next();
    await introduce(life, 'ada', 'bob');
    await LeaseMount.open(life, 'ada');
    const bob = await LeaseMount.open(life, 'bob');
    await bob.ask(getattrOp(before.ino), { id: 40n });
    assert.deepEqual(await waits(bob, 40n), ['ada is unsettled 0', 'it is unsettled 0']);
    await bob.ask(settledOp());
    assert.deepEqual(await waits(bob, 40n), ['ada is unsettled 0']);
  });

  it('is an evicted mount, until its homes have confirmed and its own lease is over', async () => {
    const { life, founder, ada, bob, ino } = await twoMounts();
    await introduce(life, 'ada', 'bob');
    await bob.ask(chmodOp(ino, 0o600), { id: 40n });
    await life.pass(9_999);
    for (const other of [founder, ada, bob]) other.keepAlive();
    await life.pass(1);
    assert.equal(ada.closed, 'evicted');
    const rest = GONE_MS - 1;
    assert.deepEqual(await waits(bob, 40n), [`ada is evicted from ${ino} 10000 ${rest} founder`]);
    const value = { sid: BigInt(ada.session.sid), sepoch: 2n };
    await founder.request({ $case: 'fenced', value });
    assert.deepEqual(await waits(bob, 40n), [`ada is evicted from ${ino} 10000 ${rest}`]);
  });

  it('is known by its node also when it was evicted before a restart', async () => {
    const before = await twoMounts();
    before.bob.send(chmodOp(before.ino, 0o600));
    await before.life.pass(10_000);
    const life = await before.life.next();
    await Member.peer(life, FOUNDER);
    await introduce(life, 'ada', 'bob');
    const bob = await LeaseMount.open(life, 'bob');
    await bob.ask(settledOp());
    await bob.ask(makeOp('new'), { id: 40n });
    assert.deepEqual(await waits(bob, 40n), [`ada is evicted from 0 ${GONE_MS} founder`]);
  });

  it('is told of 64 operations at most, and of 8 machines each', async () => {
    const { life, bob } = await twoMounts();
    const reply = await bob.ask({
      $case: 'waits',
      value: { ids: Array.from({ length: 65 }, () => 1n) },
    });
    assert.equal(reply.outcome, 'EINVAL');
    for (let each = 0; each < 10; each += 1) {
      const mount = await LeaseMount.open(life, `mount${each}`);
      await mount.ask(leaseOp(BigInt(ROOT_INO)));
    }
    await bob.ask(makeOp('new'), { id: 40n });
    const [operation] = (await asked(bob, [40n])).operations;
    assert.deepEqual([operation?.obstacles.length, operation?.more], [8, 2]);
  });
});

describe('an operation waits exactly when somebody is in its way', () => {
  const SIDS = [1, 2, 3, 4].map(asSessionId);
  const INOS = [7, 8, 9].map(asIno);

  function randomClaims(random: Random): Claim[] {
    const inos = INOS.filter(() => random.chance(0.5));
    return inos.map((ino) => ({ ino, kind: random.chance(0.5) ? 'shared' : 'exclusive' }));
  }

  function step(random: Random, table: LeaseTable, waiting: Waiting[]): void {
    const sid: SessionId = random.pick(SIDS);
    const ino = random.pick(INOS);
    const lseq = table.at(ino)?.holders.get(sid)?.lseq ?? 0;
    const ticket = { sid, claims: randomClaims(random), asks: random.chance(0.5) };
    switch (random.below(5)) {
      case 0:
        if (!table.admits(ticket, 0)) waiting.push(table.wait(ticket));
        return;
      case 1:
        table.grant(sid, ino, random.chance(0.5) ? 'shared' : 'exclusive', random.chance(0.5));
        return;
      case 2:
        table.release(sid, {
          ino,
          lseq,
          keep: random.chance(0.5) ? 'shared' : 'nothing',
          open: false,
        });
        return;
      case 3:
        table.settled(sid, []);
        return;
      default: {
        const ran = table.next(0);
        if (ran !== undefined) waiting.splice(waiting.indexOf(ran), 1);
      }
    }
  }

  it('whatever happened before', () => {
    const random = Random.fromEnvironment();
    const seen = { free: 0, waits: 0 };
    for (let round = 0; round < 300; round += 1) {
      const unsure = SIDS.filter(() => random.chance(0.2));
      const table = new LeaseTable({ epoch: 1, unsure, nowMs: 0 });
      const waiting: Waiting[] = [];
      for (let steps = 0; steps < 40; steps += 1) {
        step(random, table, waiting);
        for (const each of waiting) {
          const free = table.admits(each, 0, each.place);
          seen[free ? 'free' : 'waits'] += 1;
          const found = obstaclesOf(table, each);
          assert.equal(found.length === 0, free, `seed ${random.seed}: ${JSON.stringify(found)}`);
        }
      }
    }
    assert.ok(seen.free > 100 && seen.waits > 1_000, JSON.stringify(seen));
  });
});
