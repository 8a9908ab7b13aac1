import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClusterMap, ClusterStatusReply, PeerEntry } from '../../../gen/meta.ts';
import { Life, Member, nodeBytes } from './member.ts';
import { ask, makeOp, requestId, resultOf } from './rig.ts';

const FOUNDER = { name: 'founder', chunkAddress: ':7481' } as const;
const ADA = { name: 'ada', chunkAddress: '192.0.2.7:7481' } as const;
const BOB = { name: 'bob', chunkAddress: '192.0.2.8:7481' } as const;

/** `ada up 192.0.2.7:7481 stores` */
function line({ name, up, address, stores }: PeerEntry): string {
  return [name, up ? 'up' : 'down', address, stores ? 'stores' : 'client'].join(' ');
}

/** `1.2 founder`: group 1 in epoch 2. */
function groupsOf(map: ClusterMap): string[] {
  const names = new Map(map.peers.map(({ nodeId, name }) => [nodeId.toString(), name]));
  return map.groups.map(({ rg, epoch, primary }) => {
    return `${rg}.${epoch} ${names.get(primary.toString()) ?? 'nobody'}`;
  });
}

async function statusSeenBy(life: Life, member: Member): Promise<ClusterStatusReply> {
  const answer = await ask(life.engine, member.session, { $case: 'clusterStatus', value: {} });
  return resultOf(answer, 'clusterStatus');
}

async function reasonOf(life: Life, seenBy: Member, name: string): Promise<string> {
  const { peers } = await statusSeenBy(life, seenBy);
  return peers.find((peer) => peer.name === name)?.clientReason ?? 'unknown';
}

async function problemsSeenBy(life: Life, member: Member): Promise<string[]> {
  const { problems } = await statusSeenBy(life, member);
  return problems.map(({ code, message }) => `${code}: ${message}`);
}

async function reports(member: Member, bytesFree: number, ...unreachable: string[]): Promise<void> {
  const value = {
    bytesTotal: 100n,
    bytesFree: BigInt(bytesFree),
    bytesOwned: 0n,
    bytesCached: 0n,
    unreachable: unreachable.map(nodeBytes),
  };
  assert.equal(await member.request({ $case: 'peerReport', value }), '');
}

/** A founder, and ada, whom it has reached. */
async function twoPeers(): Promise<{ life: Life; founder: Member; ada: Member }> {
  const life = await Life.first();
  const founder = await Member.peer(life, FOUNDER);
  const ada = await Member.peer(life, ADA);
  await founder.dialled(true);
  return { life, founder, ada };
}

describe('the map of the cluster', () => {
  it('is told to a peer after its Welcome, with the groups in their epochs', async () => {
    const life = await Life.first();
    const { map } = await Member.peer(life, FOUNDER);
    assert.deepEqual(map.peers.map(line), ['founder up :7481 stores']);
    assert.deepEqual(groupsOf(map), ['1.2 founder']);
    assert.deepEqual(
      map.groups[0]?.members,
      map.peers.map(({ nodeId }) => nodeId),
    );
  });

  it('is told to all again when one comes, goes or moves', async () => {
    const { life, founder, ada } = await twoPeers();
    assert.deepEqual(founder.map, ada.map);
    assert.deepEqual(groupsOf(ada.map), ['1.2 founder', '2.1 ada']);
    ada.leave();
    await life.settled();
    assert.match(founder.map.peers.map(line).join(), /ada down 192\.0\.2\.7:7481 stores/);
    await Member.peer(life, { ...ADA, chunkAddress: '192.0.2.9:7481' });
    assert.match(founder.map.peers.map(line).join(), /ada up 192\.0\.2\.9:7481 stores/);
    const versions = founder.maps.map(({ version }) => version);
    assert.deepEqual(
      versions,
      [...new Set(versions)].sort((a, b) => Number(a - b)),
    );
  });

  it('shows the next epoch of the groups of a peer that began a new life', async () => {
    const { life, founder } = await twoPeers();
    await Member.peer(life, { ...ADA, instance: 2n });
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.2 ada']);
    await Member.peer(life, { ...ADA, instance: 2n });
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.2 ada'], 'the same life again');
  });

  it('is told once for all that changes in one turn, and not for what it does not show', async () => {
    const { life, founder, ada } = await twoPeers();
    const bob = await Member.peer(life, BOB);
    const before = founder.maps.length;
    ada.leave();
    bob.leave();
    await life.settled();
    assert.equal(founder.maps.length, before + 1);
    await reports(founder, 5, 'ada');
    await life.pass(1_000);
    assert.equal(founder.maps.length, before + 1);
  });

  it('goes on counting after a restart of the server', async () => {
    const { life, founder } = await twoPeers();
    const again = await Member.peer(await life.next(), FOUNDER);
    assert.ok(again.map.version > founder.map.version);
  });

  it('is not told to mounts', async () => {
    const life = await Life.first();
    const member = await Member.mount(life, { name: 'ada' });
    await Member.peer(life, FOUNDER);
    assert.deepEqual(member.maps, []);
  });
});

describe('a peer that joins', () => {
  it('is dialled by a storing peer, and stores in a group of its own once it was reached', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, FOUNDER);
    const ada = await Member.peer(life, ADA);
    const [asked] = founder.dialBacks;
    assert.deepEqual(asked?.nodeId, nodeBytes('ada'));
    assert.equal(asked?.address, '192.0.2.7:7481');
    assert.deepEqual(ada.map.peers.map(line)[1], 'ada up 192.0.2.7:7481 client');
    assert.equal(await reasonOf(life, ada, 'ada'), 'the way back to it is being checked');
    assert.deepEqual(await problemsSeenBy(life, ada), [], 'nothing is wrong yet');
    await founder.dialled(true);
    assert.deepEqual(ada.map.peers.map(line)[1], 'ada up 192.0.2.7:7481 stores');
    assert.deepEqual(groupsOf(ada.map), ['1.2 founder', '2.1 ada']);
    assert.equal(await reasonOf(life, ada, 'ada'), '');
    assert.equal(founder.dialBacks.length, 1);
  });

  it('is a client while it cannot be reached, and is tried again every 30 s', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, FOUNDER);
    const ada = await Member.peer(life, ADA);
    await founder.dialled(false, 'nobody listens there');
    const reason = 'founder could not reach it at 192.0.2.7:7481: nobody listens there';
    assert.equal(await reasonOf(life, founder, 'ada'), reason);
    const problem = `client-only: ada stores no files: ${reason}`;
    assert.deepEqual(await problemsSeenBy(life, founder), [problem]);
    for (let second = 0; second < 29; second += 1) {
      await life.pass(1_000);
      founder.keepAlive();
      ada.keepAlive();
    }
    assert.equal(founder.dialBacks.length, 1);
    await life.pass(1_000);
    assert.equal(founder.dialBacks.length, 2);
    assert.equal(await reasonOf(life, founder, 'ada'), reason, 'until there is an answer');
    await founder.dialled(true);
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.1 ada']);
  });

  it('is tried again when it registers anew', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, FOUNDER);
    await Member.peer(life, ADA);
    await founder.dialled(false);
    await Member.peer(life, { ...ADA, instance: 2n });
    assert.equal(founder.dialBacks.length, 2);
  });

  it('is a client when nobody says within 10 s whether it was reached', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, FOUNDER);
    await Member.peer(life, ADA);
    await life.pass(9_999);
    assert.match(await reasonOf(life, founder, 'ada'), /is being checked/);
    await life.pass(1);
    const reason = 'founder did not say whether it reaches it at 192.0.2.7:7481';
    assert.equal(await reasonOf(life, founder, 'ada'), reason);
    await founder.dialled(true);
    assert.equal(await reasonOf(life, founder, 'ada'), reason, 'too late');
  });

  it('waits for a storing peer that can look for it', async () => {
    const life = await Life.first();
    const ada = await Member.peer(life, ADA);
    const reason = 'no storing peer is up to check the way back';
    assert.equal(await reasonOf(life, ada, 'ada'), reason);
    assert.deepEqual(await problemsSeenBy(life, ada), [
      `client-only: ada stores no files: ${reason}`,
    ]);
    const founder = await Member.peer(life, FOUNDER);
    assert.equal(founder.dialBacks.length, 1);
    assert.deepEqual(ada.dialBacks, []);
  });

  it('is a client for good when it serves no chunks', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, FOUNDER);
    await Member.peer(life, { name: 'ada' });
    await life.pass(1_000);
    assert.deepEqual(founder.dialBacks, []);
    assert.equal(await reasonOf(life, founder, 'ada'), 'it serves no chunks');
    assert.equal(founder.map.peers.map(line)[1], 'ada up  client');
    const { problems } = await statusSeenBy(life, founder);
    assert.match(problems[0]?.action ?? '', /`dfs mount --insecure` on ada/);
  });

  it('is looked for by another one when the one that was asked goes', async () => {
    const { life, founder, ada } = await twoPeers();
    await Member.peer(life, BOB);
    const first = founder.dialBacks.at(-1)?.address === BOB.chunkAddress ? founder : ada;
    const second = first === founder ? ada : founder;
    first.leave();
    await life.settled();
    assert.equal(second.dialBacks.at(-1)?.address, BOB.chunkAddress);
    await second.dialled(true);
    assert.equal(second.map.peers.map(line)[2], 'bob up 192.0.2.8:7481 stores');
  });

  it('is believed reached only by the one that was asked, at the address it has now', async () => {
    const { life, founder, ada } = await twoPeers();
    await Member.peer(life, BOB);
    const asked = founder.dialBacks.at(-1)?.address === BOB.chunkAddress ? founder : ada;
    const other = asked === founder ? ada : founder;
    const id = asked.dialBacks.at(-1)?.id ?? 0n;
    await other.request({ $case: 'dialBackDone', value: { id, reached: true, message: '' } });
    await Member.peer(life, { ...BOB, chunkAddress: '192.0.2.99:7481' });
    await asked.request({ $case: 'dialBackDone', value: { id, reached: true, message: '' } });
    await life.settled();
    assert.equal(asked.map.peers.map(line)[2], 'bob up 192.0.2.99:7481 client');
  });

  it('stores at once when it founded the cluster, reachable or not', async () => {
    const life = await Life.first();
    const founder = await Member.peer(life, { name: 'founder' });
    assert.deepEqual(founder.map.peers.map(line), ['founder up  stores']);
    assert.deepEqual(await problemsSeenBy(life, founder), []);
  });
});

describe('a storing peer', () => {
  it('that moved is looked for again, and keeps its group meanwhile', async () => {
    const { life, founder } = await twoPeers();
    await Member.peer(life, { ...ADA, chunkAddress: '192.0.2.9:7481', instance: 2n });
    assert.equal(founder.dialBacks.at(-1)?.address, '192.0.2.9:7481');
    assert.equal(founder.map.peers.map(line)[1], 'ada up 192.0.2.9:7481 stores');
    await founder.dialled(false, 'timed out');
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.2 ada']);
    assert.deepEqual(await problemsSeenBy(life, founder), [
      'peer-unreachable: ada cannot be reached from founder',
    ]);
    await life.pass(30_000);
    founder.keepAlive();
    await life.pass(0);
    await founder.dialled(true);
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.2 ada']);
  });

  it('goes down at once when its stream ends, and is up again when it is back', async () => {
    const { life, founder, ada } = await twoPeers();
    await life.pass(7_000);
    ada.leave();
    await life.settled();
    const downMs = founder.map.peers[1]?.sinceMs;
    assert.equal(downMs, 1_700_000_007_000n);
    await life.pass(50_000);
    founder.keepAlive();
    await life.settled();
    assert.deepEqual(await problemsSeenBy(life, founder), [
      'peer-down: ada has been down for 50 s',
    ]);
    await Member.peer(life, ADA);
    assert.match(line(founder.map.peers[1] ?? assert.fail()), /^ada up/);
    assert.equal(founder.map.peers[1]?.sinceMs, 1_700_000_057_000n);
  });

  it('on a stream that only seems open goes down after 14 s, until it is heard of', async () => {
    const { life, founder, ada } = await twoPeers();
    const ofAda = (): string => line(founder.map.peers[1] ?? assert.fail());
    await life.pass(10_000);
    founder.keepAlive();
    await life.pass(3_999);
    assert.match(ofAda(), /^ada up/);
    await life.pass(1);
    assert.match(ofAda(), /^ada down/);
    assert.equal(ada.closed, undefined);
    ada.keepAlive();
    await life.settled();
    assert.match(ofAda(), /^ada up/);
  });

  it('that cannot be reached from another one is a problem while that other is up', async () => {
    const { life, founder, ada } = await twoPeers();
    const bob = await Member.peer(life, BOB);
    await reports(bob, 5, 'ada', 'founder', 'nobody');
    const problem = 'peer-unreachable: ada cannot be reached from bob';
    assert.ok((await problemsSeenBy(life, founder)).includes(problem));
    const actions = (await statusSeenBy(life, founder)).problems.map(({ action }) => action);
    assert.match(actions.join(), /let bob connect to 192\.0\.2\.7:7481: look at firewalls/);
    assert.match(actions.join(), /let bob connect to port 7481 of founder: look at/);
    const { peers } = await statusSeenBy(life, founder);
    const from = peers.find(({ name }) => name === 'ada')?.unreachableFrom;
    assert.deepEqual(
      from?.map((id) => Buffer.from(id)),
      [nodeBytes('bob')],
    );
    bob.leave();
    await life.settled();
    assert.ok(!(await problemsSeenBy(life, founder)).includes(problem));
    await Member.peer(life, BOB);
    assert.ok(!(await problemsSeenBy(life, founder)).includes(problem), 'it has to look again');
    ada.leave();
    await life.settled();
    assert.ok(
      (await problemsSeenBy(life, founder)).includes('peer-down: ada has been down for 0 s'),
    );
  });
});

describe('a keepalive', () => {
  it('is answered with its number, the time, and the sessions that have ended', async () => {
    const { life, ada } = await twoPeers();
    const { session: old } = ada;
    const { session: now } = await Member.peer(life, { ...ADA, instance: 2n });
    const sessions = [
      { sid: BigInt(old.sid), sepoch: BigInt(old.sepoch) },
      { sid: BigInt(now.sid), sepoch: BigInt(now.sepoch) },
      { sid: 99n, sepoch: 1n },
    ];
    const answer = life.engine.keepAlive({ seq: 7n, sessions });
    const ended = [BigInt(old.sid), 99n];
    assert.deepEqual(answer, { seq: 7n, wallMs: 1_700_000_000_000n, ended });
  });

  it('of another epoch of a session names one that has ended, and keeps nothing alive', async () => {
    const { life, founder, ada } = await twoPeers();
    const { sid, sepoch } = ada.session;
    await life.pass(13_000);
    founder.keepAlive();
    const sessions = [{ sid: BigInt(sid), sepoch: BigInt(sepoch) + 1n }];
    assert.deepEqual(life.engine.keepAlive({ seq: 1n, sessions }).ended, [BigInt(sid)]);
    await life.pass(1_000);
    assert.match(line(founder.map.peers[1] ?? assert.fail()), /^ada down/);
  });
});

describe('a file', () => {
  /** Makes one. @returns its group, or the code of the error */
  async function groupOfNew(life: Life, mount: Member, name: string): Promise<bigint | string> {
    const id = requestId(2 * name.length);
    const answer = await ask(life.engine, mount.session, makeOp(name), id);
    if (typeof answer === 'string') return answer;
    return resultOf(answer, 'make').attr?.layout?.rg ?? 0n;
  }

  function mounted(life: Life, name: string): Promise<Member> {
    return Member.mount(life, { name });
  }

  it('is kept by the node that makes it, when that stores', async () => {
    const { life, founder, ada } = await twoPeers();
    await reports(founder, 90);
    await reports(ada, 1);
    assert.equal(await groupOfNew(life, await mounted(life, 'ada'), 'x'), 2n);
  });

  it('of a client goes to the peer with most space that is up and has an address', async () => {
    const { life, founder, ada } = await twoPeers();
    await reports(founder, 5);
    await reports(ada, 90);
    const client = await mounted(life, 'cyd');
    assert.equal(await groupOfNew(life, client, 'a'), 2n);
    await Member.peer(life, { name: 'ada', instance: 2n });
    assert.equal(await groupOfNew(life, client, 'bb'), 1n, 'ada has no address now');
    ada.leave();
    founder.leave();
    assert.equal(await groupOfNew(life, client, 'ccc'), 'EIO');
  });
});

describe('after a restart of the server', () => {
  it('peers are known, down since the start, and keep address and group', async () => {
    const { life } = await twoPeers();
    await life.pass(5_000);
    const next = await life.next();
    const founder = await Member.peer(next, FOUNDER);
    assert.deepEqual(founder.map.peers.map(line).sort(), [
      'ada down 192.0.2.7:7481 stores',
      'founder up :7481 stores',
    ]);
    const ada = founder.map.peers.find(({ name }) => name === 'ada');
    assert.equal(ada?.sinceMs, 1_700_000_005_000n);
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.1 ada']);
    await Member.peer(next, ADA);
    assert.deepEqual(founder.dialBacks, [], 'it was reached before');
  });

  it('a peer that was a client is looked for again', async () => {
    const life = await Life.first();
    await Member.peer(life, FOUNDER);
    await Member.peer(life, ADA);
    const next = await life.next();
    const founder = await Member.peer(next, FOUNDER);
    assert.deepEqual(founder.dialBacks, [], 'it is not there yet');
    await Member.peer(next, ADA);
    await founder.dialled(true);
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.1 ada']);
  });

  it('the next peer gets a group that nobody had', async () => {
    const { life } = await twoPeers();
    const next = await life.next();
    const founder = await Member.peer(next, FOUNDER);
    await Member.peer(next, BOB);
    await founder.dialled(true);
    assert.deepEqual(groupsOf(founder.map), ['1.2 founder', '2.1 ada', '3.1 bob']);
  });
});
