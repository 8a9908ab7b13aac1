import assert from 'node:assert/strict';
import { test } from 'node:test';
import { S_IFREG } from '../../../src/common/attr.ts';
import { ERRNO } from '../../../src/common/errno.ts';
import { asFh, asGroupId, asIno, type Ino } from '../../../src/common/ids.ts';
import { type Deferred, deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import type { EntryResult, FileSystem, RequestContext } from '../../../src/mount/driver/driver.ts';
import {
  F_WRLCK,
  LK_FLOCK,
  OPCODE,
  RELEASE_FLOCK_UNLOCK,
} from '../../../src/mount/driver/native/abi.ts';
import { FuseConnection } from '../../../src/mount/driver/native/connection.ts';
import { dispatch } from '../../../src/mount/driver/native/dispatch.ts';
import { FakeFuseSession } from '../../support/fake-fuse-session.ts';

const SLOT_BYTES = 64 * 1024;
const time = { sec: 0, nsec: 0 };
const entry: EntryResult = {
  attr: {
    ino: asIno(1024),
    mode: S_IFREG | 0o644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    atime: time,
    mtime: time,
    ctime: time,
    av: 1,
    dirv: 0,
    dv: 0,
    cuts: 0,
    rg: asGroupId(1),
  },
  blocks: 0,
  attrValidMs: 0,
  entryValidMs: 0,
};

interface Harness {
  readonly fuse: FuseConnection;
  readonly session: FakeFuseSession;
  readonly contexts: RequestContext[];
  readonly gates: Deferred<void>[];
  /** References the kernel owes, by inode. */
  readonly owed: Map<Ino, number>;
  /** Who locked what by flock(2), and gave it up with which handle. */
  readonly flocks: string[];
  send(opcode: number, unique: number, payload: Buffer): void;
}

/** Unlinks and flushes wait until the test lets them go; entries are counted. */
function harness(): Harness {
  const session = new FakeFuseSession({
    slotCount: 1,
    slotBytes: SLOT_BYTES,
    replyBytes: 16 + SLOT_BYTES,
  });
  const contexts: RequestContext[] = [];
  const gates: Deferred<void>[] = [];
  const owed = new Map<Ino, number>();
  const flocks: string[] = [];
  const wait = (context: RequestContext): Promise<void> => {
    contexts.push(context);
    const gate = deferred<void>();
    gates.push(gate);
    return gate.promise;
  };
  const count = (ino: Ino, by: number): void => {
    owed.set(ino, (owed.get(ino) ?? 0) + by);
  };
  const unused = (): never => assert.fail('not for this test');
  const fs: FileSystem = {
    lookup: () => {
      count(entry.attr.ino, 1);
      return entry;
    },
    forget: (ino, by) => count(ino, -by),
    unlink: wait,
    flush: wait,
    readdir: () => [
      { cookie: 3, name: 'name', ino: entry.attr.ino, type: S_IFREG, stat: entry, entryValidMs: 0 },
      {
        cookie: 4,
        name: 'other',
        ino: entry.attr.ino,
        type: S_IFREG,
        stat: entry,
        entryValidMs: 0,
      },
    ],
    remember: (attr) => count(attr.ino, 1),
    opendir: () => ({ fh: asFh(2), keepCache: false }),
    releasedir: () => undefined,
    readlink: unused,
    mknod: unused,
    symlink: unused,
    rmdir: unused,
    rename: unused,
    link: unused,
    getattr: unused,
    setattr: unused,
    open: unused,
    create: unused,
    read: unused,
    write: unused,
    fsync: unused,
    release: (fh, owner) => {
      flocks.push(`release ${fh} of ${owner}`);
    },
    statfs: unused,
    locks: {
      getlk: unused,
      setlk: (_context, fh, { kind, owner }) => {
        flocks.push(`${kind} ${fh} of ${owner}`);
      },
      unlock: unused,
    },
  };
  const fuse = new FuseConnection({
    session,
    slotBytes: SLOT_BYTES,
    fs,
    connection: 7,
    nowMs: () => 0,
    log: silentLogger,
  });
  const send = (opcode: number, unique: number, payload: Buffer): void => {
    const header = Buffer.alloc(40);
    header.writeUInt32LE(40 + payload.length, 0);
    header.writeUInt32LE(opcode, 4);
    header.writeUInt32LE(unique, 8);
    header.writeUInt32LE(1, 16);
    new Uint8Array(session.slots).set(Buffer.concat([header, payload]));
    dispatch(fuse, 0, 40 + payload.length);
  };
  return { fuse, session, contexts, gates, owed, flocks, send };
}

const name = Buffer.from('name\0');

/** fuse_lk_in of flock(2), and fuse_release_in that ends it: of one owner, as the kernel numbers it. */
function flockOf(fh: number): { readonly lock: Buffer; readonly release: Buffer } {
  const lock = Buffer.alloc(48);
  const release = Buffer.alloc(24);
  for (const payload of [lock, release]) payload.writeUInt32LE(fh, 0);
  lock.writeUInt32LE(1234, 8);
  lock.writeUInt32LE(F_WRLCK, 32);
  lock.writeUInt32LE(LK_FLOCK, 40);
  release.writeUInt32LE(RELEASE_FLOCK_UNLOCK, 12);
  release.writeUInt32LE(1234, 16);
  return { lock, release };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('the watermark never passes a request without an answer', async () => {
  const { contexts, gates, send } = harness();
  send(OPCODE.FLUSH, 2, Buffer.alloc(24));
  send(OPCODE.UNLINK, 4, name);
  send(OPCODE.UNLINK, 6, name);
  assert.deepEqual(
    contexts.map((context) => context.acked()),
    [1, 1, 1],
  );
  gates[1]?.resolve();
  await settled();
  assert.equal(contexts[2]?.acked(), 1);
  gates[0]?.resolve();
  await settled();
  assert.equal(contexts[2]?.acked(), 5);
  send(OPCODE.UNLINK, 8, name);
  assert.equal(contexts[3]?.acked(), 5);
  gates[2]?.resolve();
  await settled();
  assert.equal(contexts[3]?.acked(), 7);
});

test('an interrupt reaches the request that waits, also before it waits for anybody', async () => {
  const { contexts, gates, send, fuse } = harness();
  send(OPCODE.UNLINK, 2, name);
  const target = Buffer.alloc(8);
  target.writeUInt32LE(2);
  send(OPCODE.INTERRUPT, 4, target);
  send(OPCODE.INTERRUPT, 6, Buffer.alloc(8));
  assert.equal(contexts[0]?.interrupted, true);
  gates[0]?.resolve();
  await settled();
  assert.equal(fuse.waitingCount, 0);
});

test('references of a reply the kernel did not take are given back', () => {
  const { owed, send, session } = harness();
  session.errno = ERRNO.ENOENT;
  send(OPCODE.LOOKUP, 2, name);
  assert.equal(owed.get(entry.attr.ino), 0);
  const read = Buffer.alloc(40);
  read.writeUInt32LE(4096, 16);
  send(OPCODE.READDIRPLUS, 4, read);
  assert.equal(owed.get(entry.attr.ino), 0);
  session.errno = 0;
  send(OPCODE.READDIRPLUS, 6, read);
  assert.equal(owed.get(entry.attr.ino), 2);
});

test('what waits says for whom, and of which inode', () => {
  const { contexts, fuse, send } = harness();
  send(OPCODE.UNLINK, 2, name);
  const [context] = contexts;
  assert.ok(context !== undefined);
  const unlink = { op: 'UNLINK', ms: 0, ino: 1, for: undefined, context };
  assert.deepEqual(fuse.stuck(0), [unlink]);
  context.waitsFor = 'metaserver';
  assert.deepEqual(fuse.stuck(0), [{ ...unlink, for: 'metaserver' }]);
  assert.deepEqual(fuse.stuck(1), []);
});

test('an open file that the kernel numbers as one that is not released yet has its own flock', async () => {
  const { flocks, send } = harness();
  send(OPCODE.SETLKW, 2, flockOf(1).lock);
  send(OPCODE.SETLKW, 4, flockOf(2).lock);
  send(OPCODE.RELEASE, 6, flockOf(1).release);
  await settled();
  assert.deepEqual(flocks, ['flock 1 of 1', 'flock 2 of 2', 'release 1 of 1']);
});
