import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Obstacle, ObstacleKind, type WaitsReply } from '../../../gen/meta.ts';
import { waitingText } from '../../../src/common/core/waiting.ts';
import { FsError } from '../../../src/common/errno.ts';
import { asIno } from '../../../src/common/ids.ts';
import type {
  Operation,
  OperationResult,
  Unanswered,
} from '../../../src/common/rpc/session-client.ts';
import type { RequestContext, StuckRequest } from '../../../src/mount/driver/driver.ts';
import { RecentNames } from '../../../src/mount/vfs/recent-names.ts';
import { WhoWaits } from '../../../src/mount/who-waits.ts';

const FILE = 7;
const DIRECTORY = 5;
const NOW_MS = 100_000;

const NOBODY: Obstacle = {
  kind: ObstacleKind.HOLDER,
  nodeName: 'nas',
  own: false,
  ino: BigInt(FILE),
  recalledMs: 5_000n,
  homes: [],
  restMs: 0n,
};

function context(): RequestContext {
  return {
    uid: 0,
    gid: 0,
    connection: 1,
    unique: 2,
    acked: () => 0,
    interrupt: undefined,
    interrupted: false,
    waitsFor: undefined,
  };
}

function stuck(options: Partial<StuckRequest>): StuckRequest {
  return { op: 'WRITE', ms: 6_000, ino: FILE, for: undefined, context: context(), ...options };
}

interface World {
  readonly up?: boolean;
  readonly unanswered?: readonly Partial<Unanswered>[];
  /** What the metaserver says of request 9; undefined: nothing at all. */
  readonly obstacles?: readonly Obstacle[] | 'not waiting' | FsError;
  readonly more?: number;
  readonly home?: string;
}

function worldOf({ home, more = 0, obstacles, unanswered = [], up = true }: World) {
  const asked: bigint[][] = [];
  const names = new RecentNames();
  names.set(asIno(1), 'src', asIno(DIRECTORY));
  names.set(asIno(DIRECTORY), 'a.c', asIno(FILE));
  const answer = (): Promise<OperationResult> => {
    if (obstacles === undefined) return new Promise(() => undefined);
    if (obstacles instanceof FsError) return Promise.reject(obstacles);
    const operations: WaitsReply['operations'] =
      obstacles === 'not waiting' ? [] : [{ id: 9n, obstacles: [...obstacles], more }];
    return Promise.resolve({ $case: 'waits', value: { operations } });
  };
  const all = unanswered.map((each) => ({
    id: 9n,
    op: undefined,
    sinceMs: NOW_MS - 6_000,
    waiter: undefined,
    ...each,
  }));
  const who = new WhoWaits({
    session: {
      up,
      unanswered: () => all,
      request: (op) => {
        assert.ok(op.$case === 'waits');
        asked.push([...op.value.ids]);
        return answer();
      },
    },
    vfs: { paths: () => names.paths(), homeName: () => home },
    bootMs: () => NOW_MS,
  });
  const text = async (request: StuckRequest): Promise<string> => {
    const [found] = await who.explain([request]);
    assert.ok(found !== undefined);
    return `${found.for}: ${waitingText(found)}`;
  };
  return { asked, text, who };
}

const leaseOp: Operation = { $case: 'lease', value: { ino: BigInt(FILE), exclusive: true } };
const forLease = { for: { lease: asIno(FILE) } };
const publication: Operation = {
  $case: 'flushAttr',
  value: { ino: BigInt(FILE), size: 1n, mtime: undefined, cuts: 0n, rgEpoch: 1n },
};

describe('a request that waits', () => {
  it('for a lease names who has it, as the metaserver says', async () => {
    const { asked, text } = worldOf({ unanswered: [{ op: leaseOp }], obstacles: [NOBODY] });
    const line = await text(stuck(forLease));
    assert.equal(line, 'lease: write of src/a.c (inode 7), 6 s: machine "nas" has not given it up');
    assert.deepEqual(asked, [[9n]]);
  });

  it('says in fields for programs who that is', async () => {
    const { who } = worldOf({ unanswered: [{ op: leaseOp }], obstacles: [NOBODY] });
    const [found] = await who.explain([stuck(forLease)]);
    assert.deepEqual(found, {
      op: 'WRITE',
      ms: 6_000,
      ino: FILE,
      path: 'src/a.c',
      for: 'lease',
      why: 'machine "nas" has not given it up',
      blockers: [{ node: 'nas', own: false, because: 'holds', ino: FILE, ms: 5_000, homes: [] }],
    });
  });

  it('for others in other ways says how', async () => {
    const earlier = { ...NOBODY, kind: ObstacleKind.EARLIER, nodeName: 'b' };
    const unsettled = { ...NOBODY, kind: ObstacleKind.UNSETTLED, ino: 0n };
    const evicted = { ...NOBODY, kind: ObstacleKind.EVICTED, homes: ['b'], restMs: 4_000n };
    const lines: readonly (readonly [readonly Obstacle[], string])[] = [
      [
        [NOBODY, earlier],
        'machine "nas" has not given it up; machine "b" waits for it and comes first',
      ],
      [[unsettled], 'the metaserver was restarted, and machine "nas" has not said what it holds'],
      [
        [evicted],
        'machine "nas" was silent for too long; its leases fall in 4 s and when "b" has confirmed it',
      ],
      [[{ ...NOBODY, own: true }], 'this machine has not given it up'],
      [[{ ...NOBODY, ino: 11n }], 'machine "nas" has not given up inode 11'],
    ];
    for (const [obstacles, why] of lines) {
      const { who } = worldOf({ unanswered: [{ op: leaseOp }], obstacles });
      assert.deepEqual(
        (await who.explain([stuck(forLease)])).map((each) => each.why),
        [why],
      );
    }
    const { who } = worldOf({
      unanswered: [{ op: leaseOp }],
      obstacles: ['b', 'c', 'd', 'e'].map((nodeName) => ({ ...NOBODY, nodeName })),
      more: 2,
    });
    const [found] = await who.explain([stuck(forLease)]);
    assert.match(found?.why ?? '', /"d" has not given it up; 3 more are in the way$/);
  });

  it('for a lease that this machine is about to lose says that', async () => {
    const { asked, text } = worldOf({});
    assert.match(await text(stuck(forLease)), /^lease: .* this machine is giving it up to another/);
    assert.deepEqual(asked, [], 'there is nothing to ask');
  });

  it('for the metaserver, which says nothing within a second, says just that', async () => {
    const request = stuck({ op: 'MKDIR', ino: DIRECTORY, for: 'metaserver' });
    const value = {
      parent: BigInt(DIRECTORY),
      name: Buffer.from('new'),
      mode: 0,
      rdev: 0,
      target: Buffer.alloc(0),
      caller: undefined,
      openExisting: false,
    };
    const make = { op: { $case: 'make', value } as const, waiter: request.context };
    const { asked, text } = worldOf({ unanswered: [make] });
    const expected =
      'metaserver: mkdir of src/new (in inode 5), 6 s: the metaserver has not answered for 6 s';
    assert.deepEqual(await Promise.all([text(request), text(request)]), [expected, expected]);
    assert.equal(await text(request), expected);
    assert.equal(asked.length, 2, 'no further question behind those without an answer');
    const away = worldOf({ unanswered: [make], up: false });
    assert.equal(await away.text(request), expected);
    assert.deepEqual(away.asked, []);
  });

  it('for the metaserver, which works on it, says that too, also of an older one', async () => {
    const request = stuck({ for: 'metaserver' });
    const unanswered = [{ op: publication, waiter: request.context }];
    const unknown = new FsError('EPROTO', 'a request without a known operation');
    for (const obstacles of ['not waiting', unknown] as const) {
      const { text } = worldOf({ unanswered, obstacles });
      assert.match(await text(request), /^metaserver: .*: the metaserver has not done it yet$/);
    }
  });

  it('for the home of the file names it', async () => {
    const { text } = worldOf({});
    assert.equal(
      await text(stuck({ op: 'READ', for: 'peer nas' })),
      'peer nas: read of src/a.c (inode 7), 6 s: home of the file "nas" has not answered',
    );
  });

  it('for what somebody else began with the file says where that is', async () => {
    const behind = stuck({ op: 'FLUSH', for: 'earlier' });
    const atHome = worldOf({ home: 'nas' });
    assert.match(await atHome.text(behind), /^peer nas: /);
    const published = worldOf({ home: 'nas', unanswered: [{ op: publication }] });
    assert.match(await published.text(behind), /^metaserver: /);
    assert.match(await worldOf({}).text(behind), /^here: .* not finished what was begun before$/);
    const local = worldOf({ home: 'nas' });
    assert.match(
      await local.text(stuck({ for: 'disk' })),
      /^disk: .* the disk of this machine has/,
    );
  });

  it('is shown by its number where no name is known of it', async () => {
    const { text } = worldOf({});
    assert.match(
      await text(stuck({ ino: 99, for: 'disk' })),
      /^disk: write of \.\.\. \(inode 99\)/,
    );
  });

  it('is one of 64 that are explained, the oldest', async () => {
    const many = Array.from({ length: 100 }, (_, at) => stuck({ ino: at + 100, for: 'disk' }));
    const found = await worldOf({}).who.explain(many);
    assert.deepEqual([found.length, found[0]?.ino], [64, 100]);
  });
});

describe('paths of recent names', () => {
  it('end at what is not known, and where names lead in a circle', () => {
    const names = new RecentNames();
    names.set(asIno(1), 'top', asIno(10));
    names.set(asIno(10), 'sub', asIno(11));
    names.set(asIno(20), 'lost', asIno(21));
    names.set(asIno(31), 'one', asIno(30));
    names.set(asIno(30), 'two', asIno(31));
    const path = names.paths();
    assert.deepEqual([1, 10, 11, 21].map(path), ['', 'top', 'top/sub', '.../lost']);
    assert.match(path(30), /^(?:(?:one|two)\/)+one$/);
    names.delete(asIno(1), 'top');
    assert.equal(names.paths()(11), '.../sub');
  });
});
