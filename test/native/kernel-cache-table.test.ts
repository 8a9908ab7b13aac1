/** The table as the guardian reads it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { native } from '../../native/index.ts';
import { asIno } from '../../src/common/ids.ts';
import {
  KERNEL_CACHE_SLOTS,
  KernelCacheTable,
} from '../../src/mount/driver/native/kernel-cache-table.ts';

const HEADER_WORDS = 16;
const FUSE_FD = 7;

function create(t: TestContext): { table: KernelCacheTable; file: string } {
  const dir = mkdtempSync(join(tmpdir(), 'dfs-table-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'kernel-cache');
  return { table: KernelCacheTable.create(file, { fuseFd: FUSE_FD, incEpoch: true }), file };
}

function words(file: string, from: number, count: number): bigint[] {
  const bytes = readFileSync(file);
  return Array.from({ length: count }, (_, index) => bytes.readBigUInt64LE((from + index) * 8));
}

test('a new table says whose it is, and that nothing may be cached', (t) => {
  const { table, file } = create(t);
  const [magic, version, pid, fd, ...rest] = words(file, 0, 16);
  assert.deepEqual([magic, version], [0x31656863616366n, 1n]);
  assert.deepEqual([pid, fd], [BigInt(process.pid), BigInt(FUSE_FD)]);
  assert.deepEqual(rest, [0n, 0n, 1n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
  table.extend(1234.9);
  assert.deepEqual(words(file, 4, 1), [1234n]);
  const { size, blocks } = statSync(file);
  assert.equal(size, (HEADER_WORDS + KERNEL_CACHE_SLOTS) * 8);
  assert.ok(blocks * 512 < 65_536, 'it is sparse');
});

test('a slot is used again, and the mark of those ever used stays', (t) => {
  const { table, file } = create(t);
  for (const ino of [10, 11, 12, 11]) assert.ok(table.add(asIno(ino)));
  assert.deepEqual(words(file, 16, 4), [10n, 11n, 12n, 0n]);
  table.remove(asIno(11));
  table.remove(asIno(99));
  assert.deepEqual(words(file, 16, 4), [10n, 0n, 12n, 0n]);
  assert.ok(table.add(asIno(2 ** 53 - 1)));
  assert.deepEqual(words(file, 16, 4), [10n, 2n ** 53n - 1n, 12n, 0n]);
  assert.deepEqual(words(file, 7, 1), [3n]);
});

test('a full table says so until something is removed', (t) => {
  const { table } = create(t);
  for (let ino = 1; ino <= KERNEL_CACHE_SLOTS; ino++) assert.ok(table.add(asIno(ino)));
  assert.equal(table.add(asIno(KERNEL_CACHE_SLOTS + 1)), false);
  assert.equal(table.add(asIno(5)), true, 'it is there already');
  table.remove(asIno(5));
  assert.equal(table.add(asIno(KERNEL_CACHE_SLOTS + 1)), true);
});

test('a table that is cleared begins anew', (t) => {
  const { table, file } = create(t);
  for (const ino of [10, 11]) table.add(asIno(ino));
  table.clear();
  assert.deepEqual([words(file, 7, 1), words(file, 16, 2)], [[0n], [0n, 0n]]);
  assert.ok(table.add(asIno(12)));
  assert.deepEqual([words(file, 7, 1), words(file, 16, 2)], [[1n], [12n, 0n]]);
});

test('it is watched while somebody looks, and not once it is closed', (t) => {
  const { table, file } = create(t);
  const claim = (lookedMs: number): void => {
    const bytes = readFileSync(file);
    bytes.writeBigUInt64LE(4711n, 5 * 8);
    bytes.writeBigUInt64LE(3n, 8 * 8);
    bytes.writeBigUInt64LE(BigInt(Math.floor(lookedMs)), 10 * 8);
    writeFileSync(file, bytes, { flag: 'r+' });
  };
  assert.equal(table.watched, false);
  claim(native.bootMs());
  assert.deepEqual([table.watched, table.purges], [true, 3]);
  claim(native.bootMs() - 5_000);
  assert.equal(table.watched, false);
  claim(native.bootMs());
  table.close();
  assert.equal(table.watched, false);
  table.extend(99);
  assert.deepEqual(words(file, 2, 3), [0n, 2n ** 64n - 1n, 0n]);
});
