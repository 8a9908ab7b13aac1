import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ROOT_INO } from '../../../src/common/ids.ts';
import { HeldKv, pump, tick } from '../../sim/held-kv.ts';
import {
  chmodOp,
  getattrOp,
  grantsOf,
  LeaseMount,
  leaseOp,
  lookupOp,
  modeOf,
  publishOp,
} from './lease-rig.ts';
import { Life, Member } from './member.ts';
import { foundIn, makeOp, openEngine, readdirOp, removeOp } from './rig.ts';

const ROOT = BigInt(ROOT_INO);

interface Pair {
  readonly life: Life;
  readonly ada: LeaseMount;
  readonly bob: LeaseMount;
}

async function pair(): Promise<Pair> {
  const life = await Life.first();
  await Member.peer(life, { name: 'founder', chunkAddress: ':7481' });
  return { life, ada: await LeaseMount.open(life, 'ada'), bob: await LeaseMount.open(life, 'bob') };
}

describe('an operation that somebody’s lease is in the way of', () => {
  it('calls for it, waits, and runs when it is given up', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const change = await bob.ask(chmodOp(ino, 0o600));
    assert.equal(change.outcome, 'waits');
    assert.equal(life.engine.status().waiting, 1);
    assert.deepEqual(ada.recalls, [`recall ${ino}`]);
    assert.equal(modeOf(await ada.ask(getattrOp(ino))), 0o644);
    await ada.release(ino);
    assert.equal(change.outcome, 'ok');
    assert.equal(life.engine.status().waiting, 0);
    assert.equal(modeOf(await ada.ask(getattrOp(ino))), 0o600);
  });

  it('waits for every name it changes: what is told of a directory is called back', async () => {
    const { ada, bob } = await pair();
    const absent = await ada.ask(lookupOp('file', true));
    assert.equal(absent.outcome, 'ENOENT');
    assert.deepEqual(grantsOf(absent), [`shared ${ROOT}`]);
    const made = await bob.ask(makeOp('file'));
    assert.equal(made.outcome, 'waits');
    assert.deepEqual(ada.recalls, [`recall ${ROOT}`]);
    await ada.release(ROOT);
    assert.equal(made.outcome, 'ok');
  });

  it('leaves a reader the right to read, when it is one that reads', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const look = await bob.ask(getattrOp(ino));
    assert.equal(look.outcome, 'waits');
    assert.deepEqual(ada.recalls, [`recall ${ino} to shared`]);
    await ada.release(ino, { keepShared: true });
    assert.equal(look.outcome, 'ok');
    assert.deepEqual(grantsOf(look), [`shared ${ino}`]);
    assert.equal(life.engine.status().leases, 2);
  });

  it('asks for more when a writer comes behind the reader', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const eve = await LeaseMount.open(life, 'eve');
    const look = await bob.ask(getattrOp(ino));
    const change = await eve.ask(chmodOp(ino, 0o600));
    await ada.release(ino, { keepShared: true });
    assert.deepEqual([look.outcome, grantsOf(look)], ['ok', []], 'somebody waits to change it');
    assert.deepEqual(ada.recalls, [`recall ${ino} to shared`, `recall ${ino}`]);
    assert.equal(change.outcome, 'waits');
    await ada.release(ino);
    assert.equal(change.outcome, 'ok');
  });

  it('is worked out anew when names lead elsewhere by then, and keeps its place', async () => {
    const { life, ada, bob } = await pair();
    const [eve, dan] = [await LeaseMount.open(life, 'eve'), await LeaseMount.open(life, 'dan')];
    await ada.ask(lookupOp('none', true));
    const made = await bob.ask(makeOp('new'));
    const removal = await eve.ask(removeOp('new', 0n));
    const behind = await dan.ask(makeOp('behind'));
    await ada.release(ROOT);
    assert.ok(made.reply?.result?.$case === 'make', made.outcome);
    const ino = made.reply.result.value.attr?.ino ?? 0n;
    assert.deepEqual(grantsOf(made), [`exclusive ${ino}`]);
    assert.deepEqual(bob.recalls, [`recall ${ino}`]);
    assert.deepEqual([removal.outcome, behind.outcome], ['waits', 'waits']);
    await bob.release(ino);
    assert.deepEqual([removal.outcome, behind.outcome], ['ok', 'ok']);
    assert.equal((await ada.ask(lookupOp('new'))).outcome, 'ENOENT');
  });

  it('ends as it would have without waiting, when the file is gone by then', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const eve = await LeaseMount.open(life, 'eve');
    const removal = await bob.ask(removeOp('file', ino));
    const change = await eve.ask(chmodOp(ino, 0o600));
    await ada.release(ino);
    assert.deepEqual([removal.outcome, change.outcome], ['ok', 'ENOENT']);
  });
});

describe('a holder', () => {
  it('never waits for who waits for it: own looks, changes and publications pass', async () => {
    const { ada, bob } = await pair();
    const ino = await ada.create('file');
    const change = await bob.ask(chmodOp(ino, 0o600));
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ok');
    assert.equal((await ada.ask(publishOp(ino, 5n))).outcome, 'ok');
    assert.equal((await ada.ask(chmodOp(ino, 0o640))).outcome, 'ok');
    assert.equal(change.outcome, 'waits');
    await ada.release(ino);
    assert.equal(change.outcome, 'ok');
    assert.equal(modeOf(change), 0o600);
  });

  it('asks for a lease that was called back only after whoever waits', async () => {
    const { ada, bob } = await pair();
    const ino = await ada.create('file');
    const change = await bob.ask(chmodOp(ino, 0o600));
    const again = await ada.ask(leaseOp(ino, true));
    assert.equal(again.outcome, 'waits');
    await ada.release(ino);
    assert.deepEqual([change.outcome, again.outcome], ['ok', 'ok']);
    assert.deepEqual(grantsOf(again), [`exclusive ${ino}`]);
    assert.equal(modeOf(again), 0o600);
  });

  it('is called by a grant it knows of: the recall comes after the reply', async () => {
    const kv = new HeldKv();
    await pump(kv, foundIn(kv));
    const engine = await pump(kv, openEngine(kv));
    const life = { engine } as Life;
    const ada = await pump(kv, LeaseMount.open(life, 'founder'));
    const bob = await pump(kv, LeaseMount.open(life, 'bob'));
    ada.send(makeOp('file'));
    const look = bob.send(lookupOp('file'));
    await tick();
    assert.deepEqual([ada.log, look.outcome], [[], 'waits']);
    kv.sync();
    await tick();
    const ino = 1024n;
    assert.deepEqual(ada.log, ['ok make', `recall ${ino} to shared`]);
  });

  it('is called again on a new stream', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    bob.send(chmodOp(ino, 0o600));
    life.engine.attach(ada.session, () => undefined);
    assert.deepEqual(ada.recalls, [`recall ${ino}`, `recall ${ino}`]);
  });

  it('gives up nothing with a release of an earlier grant', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const early = ada.lseq(ino);
    await ada.ask(leaseOp(ino, true));
    assert.ok(ada.lseq(ino) > early);
    const look = await bob.ask(getattrOp(ino));
    await ada.release(ino, { lseq: early });
    assert.equal(look.outcome, 'waits');
    await ada.release(ino);
    assert.equal(look.outcome, 'ok');
    assert.equal(life.engine.status().waiting, 0);
  });

  it('may publish while nobody else has a lease: not who gave the right up either', async () => {
    const { ada, bob } = await pair();
    const ino = await ada.create('file');
    assert.equal((await bob.ask(publishOp(ino, 5n))).outcome, 'ENOLCK');
    assert.equal((await ada.ask(publishOp(ino, 5n))).outcome, 'ok');
    await ada.release(ino, { keepShared: true });
    assert.deepEqual(grantsOf(await bob.ask(getattrOp(ino))), [`shared ${ino}`]);
    assert.equal((await ada.ask(publishOp(ino, 6n))).outcome, 'ENOLCK');
    const again = await ada.ask(leaseOp(ino, true));
    await bob.release(ino);
    assert.equal(again.outcome, 'ok');
    assert.equal((await ada.ask(publishOp(ino, 6n))).outcome, 'ok');
  });
});

describe('a grant', () => {
  it('is not given where somebody waits to change the inode', async () => {
    const { life, ada, bob } = await pair();
    await ada.ask(lookupOp('none', true));
    bob.send(makeOp('file'));
    const eve = await LeaseMount.open(life, 'eve');
    const look = await eve.ask(lookupOp('other', true));
    assert.deepEqual([look.outcome, grantsOf(look)], ['ENOENT', []]);
    const own = await ada.ask(lookupOp('other', true));
    assert.deepEqual([own.outcome, grantsOf(own)], ['ENOENT', []]);
  });

  it('is not given to who does not want it', async () => {
    const { life, ada } = await pair();
    const { reply } = await ada.ask(makeOp('file'), { noGrant: true });
    assert.deepEqual([reply?.grants, life.engine.status().leases], [[], 0]);
  });

  it('comes with everything that is looked at, in rising numbers', async () => {
    const { ada, bob } = await pair();
    const ino = await ada.create('file');
    await ada.release(ino);
    const look = await bob.ask(lookupOp('file', true));
    assert.deepEqual(grantsOf(look), [`shared ${ROOT}`, `shared ${ino}`]);
    assert.ok(bob.lseq(ino) > bob.lseq(ROOT) && bob.lseq(ROOT) > ada.lseq(ino));
    assert.ok(look.reply?.grants[0]?.attr !== undefined, 'the reply says nothing else of it');
    assert.equal(look.reply.grants[1]?.attr, undefined);
    const seen = await ada.ask(getattrOp(ino));
    assert.deepEqual(grantsOf(seen), [`shared ${ino}`], 'two may read');
  });

  it('has a larger number in a later life of the server', async () => {
    const life = await Life.first();
    const ada = await LeaseMount.open(life, 'founder');
    const ino = await ada.create('file');
    const next = await life.next();
    const again = await LeaseMount.open(next, 'founder');
    await again.ask({ $case: 'settled', value: { open: [] } });
    await again.ask(leaseOp(ino, true));
    assert.ok(again.lseq(ino) > ada.lseq(ino) + 1_000_000n);
  });
});

describe('a listing', () => {
  it('waits for nobody, and leaves out attributes of what is written elsewhere', async () => {
    const { ada, bob } = await pair();
    const written = await ada.create('a');
    const quiet = await ada.create('b');
    await ada.release(quiet);
    const listing = await bob.ask(readdirOp());
    assert.equal(listing.outcome, 'ok');
    assert.ok(listing.reply?.result?.$case === 'readdir');
    const { entries } = listing.reply.result.value;
    const shown = entries.map(({ ino, attr }) => [ino, attr?.ino]);
    assert.deepEqual(shown, [
      [written, undefined],
      [quiet, quiet],
    ]);
    assert.deepEqual(grantsOf(listing), [`shared ${ROOT}`, `shared ${quiet}`]);
    assert.deepEqual(ada.recalls, []);
    const own = await ada.ask(readdirOp());
    assert.deepEqual(grantsOf(own), [`shared ${ROOT}`, `exclusive ${written}`, `shared ${quiet}`]);
  });

  it('brings no lease where somebody waits to change the directory', async () => {
    const { ada, bob } = await pair();
    await ada.ask(lookupOp('none', true));
    bob.send(makeOp('file'));
    const listing = await ada.ask(readdirOp());
    assert.deepEqual([listing.outcome, grantsOf(listing)], ['ok', []]);
  });
});

describe('a file that is open where no lease is left', () => {
  async function openElsewhere(): Promise<Pair & { readonly ino: bigint }> {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    const removal = await bob.ask(removeOp('file', ino));
    await ada.release(ino, { open: true });
    assert.ok(removal.reply?.result?.$case === 'remove');
    assert.equal(removal.reply.result.value.attr?.nlink, 0);
    return { life, ada, bob, ino };
  }

  it('outlives its last name until it is closed there', async () => {
    const { life, ada, ino } = await openElsewhere();
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ok');
    assert.equal(life.engine.status().inodes, 2);
    await ada.ask({ $case: 'closeUnlinked', value: { inos: [ino] } });
    assert.equal((await ada.ask(getattrOp(ino))).outcome, 'ENOENT');
    assert.equal(life.engine.status().inodes, 1);
  });

  it('goes with the session that has it open', async () => {
    const { life, bob, ino } = await openElsewhere();
    await LeaseMount.open(life, 'ada', 2n);
    assert.equal((await bob.ask(getattrOp(ino))).outcome, 'ENOENT');
    assert.equal(life.engine.status().inodes, 1);
  });

  it('is as any other once it was closed with a name', async () => {
    const { life, ada, bob } = await pair();
    const ino = await ada.create('file');
    bob.send(chmodOp(ino, 0o600));
    await ada.release(ino, { open: true });
    await ada.ask({ $case: 'closeUnlinked', value: { inos: [ino] } });
    assert.equal((await bob.ask(removeOp('file', ino))).outcome, 'ok');
    assert.equal(life.engine.status().inodes, 1);
  });
});
