/** `node mount-as-user.js mount|unmount`: one call without root, its outcome as JSON. */
import { readdirSync, readFileSync } from 'node:fs';
import { MS_NOSUID, MS_RDONLY, native } from '../../native/index.ts';

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

async function call(): Promise<number | undefined> {
  if (process.argv[2] === 'unmount') {
    await native.unmount('/mnt', 0);
    return undefined;
  }
  return native.fuseMount({
    mountpoint: '/mnt',
    source: 'a,b',
    subtype: 'dfs',
    flags: MS_RDONLY | MS_NOSUID,
    options: 'allow_other',
  });
}

function closesOnExec(fd: number): boolean {
  const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
  return (Number.parseInt(flags?.[1] ?? '0', 8) & 0o2000000) !== 0;
}

async function outcome(): Promise<object> {
  try {
    const fd = await call();
    return fd === undefined ? {} : { closeOnExec: closesOnExec(fd) };
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    return { code, syscall, message };
  }
}

// Once before counting: Node opens some descriptors of its own on first use.
await outcome();
const before = descriptors();
const result = await outcome();
const opened = descriptors() - before;
process.stdout.write(JSON.stringify({ ...result, descriptors: opened }));
