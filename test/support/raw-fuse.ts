/**
 * `node raw-fuse.js MOUNTPOINT MODE`: the addon's session with a few raw bytes of protocol on top,
 * for tests of the session itself. Speaks to its parent by lines on stdout, listens on stdin.
 *
 * MODE echo: every stat is answered at once. MODE hold: GETATTR requests keep their slot and are
 * answered only after a line on stdin.
 */
import { createInterface } from 'node:readline';
import { native } from '../../native/index.ts';

const [mountpoint = '', mode = 'echo'] = process.argv.slice(2);
const SLOT_COUNT = 4;
const SLOT_BYTES = 1024 * 1024 + 8192;
const held: { slot: number; unique: bigint }[] = [];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const session = new native.FuseSession({
  fd: native.fuseMount({
    mountpoint,
    source: 'raw',
    subtype: 'raw',
    flags: 0,
    options: 'default_permissions',
  }),
  slotCount: SLOT_COUNT,
  slotBytes: SLOT_BYTES,
  replyBytes: 4096,
  onRequest,
  onEnd(errno) {
    say(`end ${errno}`);
    session.close();
    session.close();
    process.exit(0);
  },
});
const slots = new DataView(session.slots);
const reply = new DataView(session.reply);

function answer(unique: bigint, payloadBytes: number, error = 0): number {
  reply.setUint32(0, 16 + payloadBytes, true);
  reply.setInt32(4, -error, true);
  reply.setBigUint64(8, unique, true);
  return session.send(16 + payloadBytes);
}

function clearPayload(): void {
  new Uint8Array(session.reply).fill(0);
}

function answerInit(unique: bigint): void {
  clearPayload();
  reply.setUint32(16, 7, true);
  reply.setUint32(20, 31, true);
  reply.setUint32(36, 128 * 1024, true);
  answer(unique, 64);
}

function answerAttr(unique: bigint): void {
  clearPayload();
  reply.setBigUint64(32, 1n, true);
  reply.setUint32(92, 0o040755, true);
  reply.setUint32(96, 2, true);
  answer(unique, 104);
}

function onRequest(slot: number, length: number): void {
  const at = slot * SLOT_BYTES;
  const opcode = slots.getUint32(at + 4, true);
  const unique = slots.getBigUint64(at + 8, true);
  if (slots.getUint32(at, true) !== length) say('bad length');
  if (opcode === 26) {
    answerInit(unique);
    say('ready');
  } else if (opcode === 3 && mode === 'hold') {
    session.keepSlot(slot);
    held.push({ slot, unique });
    say(`held ${held.length}`);
  } else if (opcode === 3) answerAttr(unique);
  else if (opcode === 1) answer(unique, 0, 2);
  else if (opcode !== 2 && opcode !== 36 && opcode !== 42) answer(unique, 0, 38);
}

createInterface({ input: process.stdin }).on('line', () => {
  const first = held.shift();
  if (first === undefined) return;
  answerAttr(first.unique);
  session.releaseSlot(first.slot);
});
session.start();
