import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, native } from '../../native/index.ts';

function withFile(work: (fd: number, path: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'dfs-native-'));
  const path = join(dir, 'file');
  const fd = openSync(path, 'w+');
  try {
    work(fd, path);
  } finally {
    closeSync(fd);
    rmSync(dir, { recursive: true });
  }
}

test('bytes written at a position are read back from there', () => {
  withFile((fd) => {
    const source = Buffer.from('..hello..');
    assert.equal(native.pwrite(fd, source, 2, 5, 4_294_967_296 + 7), 5);
    const target = new Uint8Array(8).fill(1);
    assert.equal(native.pread(fd, target, 1, 5, 4_294_967_296 + 7), 5);
    assert.equal(Buffer.from(target.subarray(1, 6)).toString(), 'hello');
    assert.deepEqual([target[0], target[6], target[7]], [1, 1, 1]);
    assert.equal(native.pread(fd, target, 0, 8, 4_294_967_296 + 10), 2);
    assert.equal(native.pread(fd, target, 0, 8, 2 ** 40), 0);
  });
});

test('views with an offset of their own and whole array buffers are accepted', () => {
  withFile((fd) => {
    const whole = new Uint8Array([0, 0, 1, 2, 3]).buffer;
    native.pwrite(fd, new Uint8Array(whole, 2), 0, 3, 0);
    const target = new ArrayBuffer(3);
    assert.equal(native.pread(fd, target, 0, 3, 0), 3);
    assert.deepEqual([...new Uint8Array(target)], [1, 2, 3]);
  });
});

test('punching a hole keeps the size and gives the blocks back', () => {
  withFile((fd) => {
    native.pwrite(fd, Buffer.alloc(1 << 20, 1), 0, 1 << 20, 0);
    const before = native.fstat(fd);
    native.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 19);
    const after = native.fstat(fd);
    assert.equal(after.size, before.size);
    assert.ok(after.blocks < before.blocks);
  });
});

test('a lock is held by one description at a time', () => {
  withFile((fd, path) => {
    const other = openSync(path, 'r+');
    assert.equal(native.flock(fd, true), true);
    assert.equal(native.flock(other, true), false);
    assert.equal(native.flock(other, false), false);
    closeSync(other);
    assert.equal(native.flock(fd, true), true);
  });
});

test('wrong arguments are refused, never carried out', () => {
  const buffer = new Uint8Array(8);
  const wrong: [() => unknown, RegExp | typeof TypeError | typeof RangeError][] = [
    [() => native.pread(0, buffer, 0, 9, 0), RangeError],
    [() => native.pread(0, buffer, 9, 0, 0), RangeError],
    [() => native.pread(0, buffer, 4, 5, 0), RangeError],
    [() => native.pread(0, buffer, 0, 8, -1), RangeError],
    [() => native.pread(0, buffer, 0, 8, 2 ** 53), RangeError],
    [() => native.pread(0, buffer, 0.5, 1, 0), RangeError],
    [() => native.pread(Number.NaN, buffer, 0, 1, 0), RangeError],
    [() => native.pread(2 ** 40, buffer, 0, 1, 0), RangeError],
    [() => native.pwrite(0, 'text' as unknown as Uint8Array, 0, 1, 0), TypeError],
    [() => (native.pread as (...args: unknown[]) => number)(), TypeError],
    [() => native.realtime([] as unknown as Float64Array), TypeError],
    [() => native.crc32c(0, buffer, 0, 9), RangeError],
  ];
  for (const [call, error] of wrong) assert.throws(call, error);
});

test('errors of the kernel carry errno, code and syscall', () => {
  const check = { errno: 9, code: 'EBADF', syscall: 'pread', message: /^EBADF: .*, pread$/ };
  assert.throws(() => native.pread(1_000_000, new Uint8Array(1), 0, 1, 0), check);
});

test('the boot clock grows and the wall clock agrees with Date', () => {
  const before = native.bootMs();
  assert.ok(native.bootMs() >= before);
  const parts = new Float64Array(2);
  native.realtime(parts);
  assert.ok(Math.abs((parts[0] ?? 0) * 1000 - Date.now()) < 5_000);
  assert.ok((parts[1] ?? -1) >= 0 && (parts[1] ?? 1e9) < 1e9);
});
