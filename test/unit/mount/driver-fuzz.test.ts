import assert from 'node:assert/strict';
import { test } from 'node:test';
import { S_IFREG } from '../../../src/common/attr.ts';
import { ERRNO } from '../../../src/common/errno.ts';
import { asFh, asGroupId, asIno } from '../../../src/common/ids.ts';
import { JsonLogger } from '../../../src/common/log.ts';
import type { EntryResult, FileSystem } from '../../../src/mount/driver/driver.ts';
import { OPCODE } from '../../../src/mount/driver/native/abi.ts';
import { FuseConnection } from '../../../src/mount/driver/native/connection.ts';
import { dispatch } from '../../../src/mount/driver/native/dispatch.ts';
import { FakeFuseSession } from '../../support/fake-fuse-session.ts';
import { Random } from '../../support/random.ts';

const SLOT_BYTES = 64 * 1024;
const NO_REPLY = new Set<number>([
  OPCODE.FORGET,
  OPCODE.BATCH_FORGET,
  OPCODE.INTERRUPT,
  OPCODE.NOTIFY_REPLY,
]);

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
const opened = { fh: asFh(1), directIo: false, keepCache: false };

/** Agrees to everything, so that only the decoding can refuse. */
const agreeable: FileSystem = {
  lookup: () => entry,
  forget: () => undefined,
  readlink: () => 'target',
  mknod: () => entry,
  symlink: () => entry,
  unlink: () => undefined,
  rmdir: () => undefined,
  rename: () => undefined,
  link: () => entry,
  getattr: () => entry,
  setattr: () => entry,
  open: () => opened,
  create: () => ({ ...opened, entry }),
  read: (_context, _fh, _offset, target) => target.length,
  write: () => undefined,
  flush: () => undefined,
  fsync: () => undefined,
  release: () => undefined,
  statfs: () => ({ bytesTotal: 1, bytesFree: 1, files: 1 }),
  opendir: () => ({ fh: asFh(2), keepCache: true }),
  readdir: () => [
    { cookie: 3, name: 'name', ino: asIno(1024), type: S_IFREG, stat: entry, entryValidMs: 0 },
  ],
  remember: () => undefined,
  releasedir: () => undefined,
};

function connect(): { fuse: FuseConnection; session: FakeFuseSession; bugs: string[] } {
  const session = new FakeFuseSession({
    slotCount: 2,
    slotBytes: SLOT_BYTES,
    replyBytes: 16 + SLOT_BYTES,
  });
  const bugs: string[] = [];
  const log = JsonLogger.create('', 'error', (line) => {
    if (line.includes('bug')) bugs.push(line);
  });
  const fuse = new FuseConnection({
    session,
    slotBytes: SLOT_BYTES,
    fs: agreeable,
    connection: 7,
    nowMs: () => 0,
    log,
  });
  return { fuse, session, bugs };
}

function request(opcode: number, payload: Buffer, unique: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + payload.length, 0);
  header.writeUInt32LE(opcode, 4);
  header.writeUInt32LE(unique, 8);
  header.writeUInt32LE(1, 16);
  return Buffer.concat([header, payload]);
}

test('random payloads of every operation get one well-formed answer and never a bug', () => {
  const random = Random.fromEnvironment();
  const { fuse, session, bugs } = connect();
  const slots = new Uint8Array(session.slots);
  const opcodes = [...Object.values(OPCODE).filter((code) => code !== OPCODE.INIT), 999];
  for (let round = 0; round < 20_000; round++) {
    const opcode = random.pick(opcodes);
    const payload = random.bytes(random.below(random.chance(0.1) ? 4000 : 140));
    if (random.chance(0.5)) payload.fill(0, 0, random.below(payload.length + 1));
    const bytes = request(opcode, payload, 2 * round + 2);
    slots.set(bytes, SLOT_BYTES);
    session.sent.length = 0;
    dispatch(fuse, 1, bytes.length);
    const note = `seed ${random.seed} round ${round} opcode ${opcode}`;
    assert.equal(session.sent.length, NO_REPLY.has(opcode) ? 0 : 1, note);
    const reply = session.sent[0];
    if (reply === undefined) continue;
    assert.equal(reply.readUInt32LE(0), reply.length, note);
    assert.equal(reply.readUInt32LE(8), 2 * round + 2, note);
    const errno = -reply.readInt32LE(4);
    assert.ok(errno >= 0 && errno < 512, note);
    if (errno > 0) assert.equal(reply.length, 16, note);
  }
  assert.deepEqual(bugs, [], `seed ${random.seed}`);
  assert.equal(session.kept.size, 0);
});

test('a request cut anywhere never reads what lies behind it', () => {
  const { fuse, session, bugs } = connect();
  const slots = new Uint8Array(session.slots);
  for (const opcode of Object.values(OPCODE)) {
    if (opcode === OPCODE.INIT) continue;
    for (let length = 0; length <= 96; length++) {
      slots.fill(0xff, SLOT_BYTES);
      slots.set(request(opcode, Buffer.alloc(length, 1), 2), SLOT_BYTES);
      dispatch(fuse, 1, 40 + length);
    }
  }
  assert.deepEqual(bugs, []);
});

test('a length that lies about the bytes read is dropped', () => {
  const { fuse, session } = connect();
  const bytes = request(OPCODE.GETATTR, Buffer.alloc(16), 2);
  new Uint8Array(session.slots).set(bytes, 0);
  for (const length of [0, 8, 39, 40, bytes.length - 1, bytes.length + 1, SLOT_BYTES + 1]) {
    dispatch(fuse, 0, length);
  }
  assert.equal(session.sent.length, 0);
});

test('an oversized write or read is refused instead of reaching beyond its slot', () => {
  const { fuse, session } = connect();
  const write = Buffer.alloc(40);
  write.writeUInt32LE(SLOT_BYTES, 16);
  for (const opcode of [OPCODE.WRITE, OPCODE.READ]) {
    write.writeUInt32LE(0x7fff_ffff, 16);
    const bytes = request(opcode, write, 2);
    new Uint8Array(session.slots).set(bytes, 0);
    session.sent.length = 0;
    dispatch(fuse, 0, bytes.length);
    assert.equal(session.sent[0]?.readInt32LE(4), -ERRNO.EINVAL);
  }
});
