/** A namespace with something of everything, damaged on purpose in each way that a check knows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/common/attr.ts';
import type { FsckCode, NamespaceReport } from '../../../src/common/core/fsck-report.ts';
import { asGroupId, asIno, asSessionId, type Ino, ROOT_INO } from '../../../src/common/ids.ts';
import {
  dentryKey,
  groupKey,
  INODES_KEY,
  inodeKey,
  NEXT_INO_KEY,
  NEXT_SID_KEY,
  openerKey,
  RECLAIM_COUNT_KEY,
  reclaimKey,
  replyKey,
  sessionKey,
  slotKey,
  symlinkKey,
} from '../../../src/metaserver/core/keyspace.ts';
import type { Codec, Entry, Inode } from '../../../src/metaserver/core/records.ts';
import { checkNamespace } from '../../../src/metaserver/fsck.ts';
import { MemorySnapshot } from '../../../src/metaserver/kv.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import type { Records } from '../../sim/held-kv.ts';
import { Database } from '../../sim/invariants.ts';
import { Random } from '../../support/random.ts';
import { LeaseMount } from './lease-rig.ts';
import { Life, Member } from './member.ts';
import { makeOp, removeOp } from './rig.ts';
import { FOUNDER } from './two-mounts.ts';

const NO_STOP = new AbortController().signal;
const NOTHING = new Uint8Array(0);
const DAMAGED = Buffer.from([0xff, 0xff, 0xff]);

interface Sample {
  readonly records: Records;
  readonly sid: number;
  readonly ino: Readonly<Record<'dir' | 'sub' | 'file' | 'link' | 'open' | 'gone', Ino>>;
}

async function recordsOf({ kv }: Life): Promise<Records> {
  return new Map(await kv.snapshot().range({ gte: '\0', lt: '\xff', limit: 1_000_000 }));
}

/** `dir/sub/file`, the symbolic link `link`, a removed file that is open, and one that is gone. */
async function sample(): Promise<Sample> {
  const life = await Life.first();
  await Member.peer(life, FOUNDER);
  const ada = await LeaseMount.open(life, 'ada');
  const make = async (name: string, mode: number, parent?: Ino): Promise<Ino> => {
    const { outcome, reply } = await ada.ask(makeOp(name, mode, parent));
    assert.ok(reply?.result?.$case === 'make', outcome);
    return asIno(reply.result.value.attr?.ino ?? 0n);
  };
  const dir = await make('dir', S_IFDIR | 0o755);
  const sub = await make('sub', S_IFDIR | 0o755, dir);
  const file = await make('file', S_IFREG | 0o644, sub);
  const symlink = makeOp('link', S_IFLNK | 0o777);
  assert.ok(symlink.$case === 'make');
  const value = { ...symlink.value, target: Buffer.from('dir/sub') };
  const { reply } = await ada.ask({ $case: 'make', value });
  assert.ok(reply?.result?.$case === 'make');
  const link = asIno(reply.result.value.attr?.ino ?? 0n);
  const open = await make('open', S_IFREG | 0o644);
  const gone = await make('gone', S_IFREG | 0o644);
  await ada.ask(removeOp('open', BigInt(open), true));
  await ada.ask(removeOp('gone', BigInt(gone)));
  await life.settled();
  const ino = { dir, sub, file, link, open, gone };
  return { records: await recordsOf(life), sid: ada.session.sid, ino };
}

function check(records: Records): Promise<NamespaceReport<string>> {
  return checkNamespace({ snapshot: new MemorySnapshot(records), signal: NO_STOP });
}

async function codesOf(records: Records): Promise<FsckCode[]> {
  const { counts, findings } = await check(records);
  const codes = Object.keys(counts).sort();
  assert.deepEqual([...new Set(findings.map(({ code }) => code))].sort(), codes);
  return codes as FsckCode[];
}

function edit<T>(records: Records, key: string, codec: Codec<T>, change: Partial<T>): void {
  const bytes = records.get(key);
  assert.ok(bytes, 'there is no such record');
  records.set(key, codec.encode({ ...codec.decode(bytes), ...change }));
}

function editInode(records: Records, ino: Ino, change: Partial<Inode>): void {
  edit(records, inodeKey(ino), storeCodecs.inode, change);
}

function editEntry(records: Records, dir: Ino, name: string, change: Partial<Entry>): void {
  edit(records, dentryKey(dir, name), storeCodecs.entry, change);
}

/** The name stands for something else, in the listing too. */
function swapName(records: Records, dir: Ino, name: string, to: Pick<Entry, 'ino' | 'type'>): void {
  editEntry(records, dir, name, to);
  const { seq } = storeCodecs.entry.decode(records.get(dentryKey(dir, name)) ?? NOTHING);
  edit(records, slotKey(dir, seq), storeCodecs.slot, to);
}

function setCounter(records: Records, key: string, value: number): void {
  records.set(key, storeCodecs.counter.encode(value));
}

interface Damage {
  readonly what: string;
  readonly found: readonly FsckCode[];
  readonly harm: (sample: Sample) => void;
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'a name without an inode',
    found: ['missing-inode', 'wrong-counter'],
    harm: ({ records, ino }) => records.delete(inodeKey(ino.file)),
  },
  {
    what: 'an inode without its name',
    found: ['wrong-entries', 'wrong-links', 'wrong-slot'],
    harm: ({ records, ino }) => records.delete(dentryKey(ino.sub, 'file')),
  },
  {
    what: 'a directory without its name',
    found: ['unreachable', 'wrong-entries', 'wrong-links'],
    harm: ({ records, ino }) => {
      records.delete(dentryKey(ino.dir, 'sub'));
      records.delete(slotKey(ino.dir, 3));
    },
  },
  {
    what: 'a directory without a record, and what is in it',
    found: ['missing-inode', 'no-directory', 'wrong-counter'],
    harm: ({ records, ino }) => records.delete(inodeKey(ino.sub)),
  },
  {
    what: 'no root',
    found: ['missing-inode', 'no-directory', 'wrong-counter'],
    harm: ({ records }) => records.delete(inodeKey(ROOT_INO)),
  },
  {
    what: 'names in a file',
    found: ['no-directory', 'wrong-type'],
    harm: ({ records, ino }) => editInode(records, ino.sub, { mode: S_IFREG, nlink: 1 }),
  },
  {
    what: 'names in a removed directory',
    found: ['no-directory', 'orphan', 'wrong-links'],
    harm: ({ records, ino }) => editInode(records, ino.sub, { nlink: 0 }),
  },
  {
    what: 'a name of another type',
    found: ['wrong-slot', 'wrong-type'],
    harm: ({ records, ino }) => editEntry(records, ino.sub, 'file', { type: S_IFLNK }),
  },
  {
    what: 'an inode of no type',
    found: ['wrong-type'],
    harm: ({ records, ino }) => editInode(records, ino.file, { mode: 0o644 }),
  },
  {
    what: 'a directory that hangs elsewhere',
    found: ['wrong-parent'],
    harm: ({ records, ino }) => editInode(records, ino.sub, { parent: ROOT_INO }),
  },
  {
    what: 'a directory within itself',
    found: ['unreachable', 'wrong-parent'],
    harm: ({ records, ino }) => {
      // The root has `file` under the name of `dir`, and `sub` has `dir` under that of `file`.
      swapName(records, ROOT_INO, 'dir', { ino: ino.file, type: S_IFREG });
      swapName(records, ino.sub, 'file', { ino: ino.dir, type: S_IFDIR });
      editInode(records, ino.sub, { nlink: 3 });
      editInode(records, ROOT_INO, { nlink: 2 });
    },
  },
  {
    what: 'a place in the listing that is empty',
    found: ['wrong-slot'],
    harm: ({ records, ino }) => records.delete(slotKey(ino.sub, 3)),
  },
  {
    what: 'a place in the listing of a name that is not there',
    found: ['wrong-slot'],
    harm: ({ records, ino }) => {
      const slot = { name: 'ghost', ino: ino.file, type: S_IFREG };
      records.set(slotKey(ino.sub, 99), storeCodecs.slot.encode(slot));
    },
  },
  {
    what: 'a place that would be given away once more',
    found: ['wrong-slot'],
    harm: ({ records, ino }) => editInode(records, ino.sub, { nextSeq: 3 }),
  },
  {
    what: 'too many links of a file',
    found: ['wrong-links'],
    harm: ({ records, ino }) => editInode(records, ino.file, { nlink: 2 }),
  },
  {
    what: 'too few links of a directory',
    found: ['wrong-links'],
    harm: ({ records, ino }) => editInode(records, ino.dir, { nlink: 2 }),
  },
  {
    what: 'a directory with two names',
    found: ['wrong-links', 'wrong-parent'],
    harm: ({ records, ino }) => {
      const sub = { ino: ino.sub, type: S_IFDIR };
      records.set(dentryKey(ROOT_INO, 'twin'), storeCodecs.entry.encode({ ...sub, seq: 50 }));
      records.set(slotKey(ROOT_INO, 50), storeCodecs.slot.encode({ ...sub, name: 'twin' }));
      editInode(records, ROOT_INO, { nlink: 4, entries: 3, nextSeq: 51 });
    },
  },
  {
    what: 'a wrong number of entries',
    found: ['wrong-entries'],
    harm: ({ records, ino }) => editInode(records, ino.dir, { entries: 7 }),
  },
  {
    what: 'a wrong number of openers',
    found: ['wrong-openers'],
    harm: ({ records, ino }) => editInode(records, ino.open, { openers: 2 }),
  },
  {
    what: 'an orphan',
    found: ['orphan'],
    harm: ({ records, sid, ino }) => {
      records.delete(openerKey(ino.open, asSessionId(sid)));
      editInode(records, ino.open, { openers: 0 });
    },
  },
  {
    what: 'an opener whose session has ended',
    found: ['stray-opener', 'stray-reply'],
    harm: ({ records, sid }) => {
      edit(records, sessionKey(asSessionId(sid)), storeCodecs.session, { instance: undefined });
    },
  },
  {
    what: 'an opener of an inode that is not there',
    found: ['missing-inode'],
    harm: ({ records, sid, ino }) => records.set(openerKey(ino.gone, asSessionId(sid)), NOTHING),
  },
  {
    what: 'an opener of an inode that has a name',
    found: ['stray-opener', 'wrong-openers'],
    harm: ({ records, sid, ino }) => records.set(openerKey(ino.file, asSessionId(sid)), NOTHING),
  },
  {
    what: 'an inode that is there and in the reclaim queue',
    found: ['reclaimed-alive', 'wrong-counter'],
    harm: ({ records, ino }) => {
      records.set(reclaimKey(ino.file), storeCodecs.reclaim.encode(asGroupId(1)));
    },
  },
  {
    what: 'a symbolic link without a target',
    found: ['wrong-target'],
    harm: ({ records, ino }) => records.delete(symlinkKey(ino.link)),
  },
  {
    what: 'a target of what is no link, and one of nothing',
    found: ['missing-inode', 'wrong-target'],
    harm: ({ records, ino }) => {
      records.set(symlinkKey(ino.file), Buffer.from('x'));
      records.set(symlinkKey(ino.gone), Buffer.from('x'));
    },
  },
  {
    what: 'files in a group that is not there',
    found: ['no-group'],
    harm: ({ records }) => records.delete(groupKey(asGroupId(1))),
  },
  {
    what: 'a reply of nobody',
    found: ['stray-reply'],
    harm: ({ records }) => records.set(replyKey(asSessionId(77), 1n, 1), NOTHING),
  },
  {
    what: 'a wrong number of inodes',
    found: ['wrong-counter'],
    harm: ({ records }) => setCounter(records, INODES_KEY, 1),
  },
  {
    what: 'a wrong length of the reclaim queue',
    found: ['wrong-counter'],
    harm: ({ records }) => setCounter(records, RECLAIM_COUNT_KEY, 0),
  },
  {
    what: 'inos and sids that would be handed out once more',
    found: ['wrong-counter'],
    harm: ({ records }) => {
      setCounter(records, NEXT_INO_KEY, 1024);
      setCounter(records, NEXT_SID_KEY, 1);
    },
  },
  {
    what: 'records that cannot be read',
    found: ['unreadable'],
    harm: ({ records, ino }) => {
      for (const key of [inodeKey(ino.file), groupKey(asGroupId(1)), reclaimKey(ino.gone)]) {
        records.set(key, DAMAGED);
      }
      records.set('i123', NOTHING);
    },
  },
  {
    what: 'a size beyond all sizes',
    found: ['unreadable'],
    harm: ({ records, ino }) => {
      const bytes = records.get(inodeKey(ino.file)) ?? NOTHING;
      // Field 6 once more: the last one counts.
      const size = Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
      records.set(inodeKey(ino.file), Buffer.concat([bytes, size]));
    },
  },
  {
    what: 'a name and a place that cannot be read',
    found: ['unreadable', 'wrong-links', 'wrong-slot'],
    harm: ({ records, ino }) => {
      records.set(dentryKey(ino.sub, 'file'), DAMAGED);
      records.set(slotKey(ino.dir, 3), DAMAGED);
    },
  },
];

describe('a check of the namespace', () => {
  it('finds nothing in one that is sound, and tells how much it looked at', async () => {
    const { records } = await sample();
    const { findings, ...report } = await check(records);
    assert.deepEqual(findings, []);
    const totals = { inodes: 6, names: 4, openers: 1, reclaimPending: 1 };
    assert.deepEqual(report, { ...totals, counts: {} });
  });

  for (const { found, harm, what } of DAMAGES) {
    it(`finds ${what}`, async () => {
      const damaged = await sample();
      harm(damaged);
      assert.deepEqual(await codesOf(damaged.records), [...found].sort());
    });
  }

  it('tells the name, the directory and the inode', async () => {
    const { records, ino } = await sample();
    records.delete(inodeKey(ino.file));
    const { findings } = await check(records);
    assert.deepEqual(findings[0], {
      code: 'missing-inode',
      ino: ino.file,
      dir: ino.sub,
      name: 'file',
      message: 'it is not there',
    });
  });

  it('lists the first two hundred, and counts all', async () => {
    const { records } = await sample();
    for (let sid = 100; sid < 1_100; sid += 1) {
      records.set(replyKey(asSessionId(sid), 1n, 1), NOTHING);
    }
    const { counts, findings } = await check(records);
    assert.deepEqual([counts, findings.length], [{ 'stray-reply': 1_000 }, 200]);
  });

  it('finds whatever the simulation would, in records that are lost or swapped', async () => {
    const random = Random.fromEnvironment();
    const { records } = await sample();
    const keys = [...records.keys()].filter((key) => 'ideot'.includes(key.charAt(0)));
    for (let run = 0; run < 300; run += 1) {
      const harmed = new Map(records);
      for (let count = 1 + random.below(3); count > 0; count -= 1) {
        const [one, other] = [random.pick(keys), random.pick(keys)];
        const value = records.get(other);
        if (one.charAt(0) !== other.charAt(0) || value === undefined) harmed.delete(one);
        else harmed.set(one, value);
      }
      const { findings } = await check(harmed);
      if (isSound(harmed)) continue;
      assert.notDeepEqual(findings, [], `seed ${random.seed} run ${run}`);
    }
  });
});

function isSound(records: Records): boolean {
  try {
    new Database(records).check();
    return true;
  } catch {
    return false;
  }
}
