import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** One bit on the disk turns, behind the back of whoever keeps the file. */
export function flipBit(path: string, position: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, position);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  writeSync(fd, byte, 0, 1, position);
  closeSync(fd);
}
