/**
 * `node caching-node.js ... --state DIR`: serves DIR/mnt with a CachingFuse as a node would, with the
 * lock, the pid file and the table that a guardian looks for. Orders come from the parent process.
 */
import { mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MNT_DETACH, native } from '../../native/index.ts';
import { asIno } from '../../src/common/ids.ts';
import { deferred } from '../../src/common/lifecycle.ts';
import type { OpcodeName } from '../../src/mount/driver/native/abi.ts';
import { KernelCacheTable } from '../../src/mount/driver/native/kernel-cache-table.ts';
import { CachingFuse } from './caching-fuse.ts';

export type Order =
  | {
      readonly do: 'counts' | 'held' | 'change' | 'release' | 'incEpoch' | 'busy' | 'closeNotifier';
    }
  | { readonly do: 'state' | 'letGo' | 'unmount' | 'abort' }
  | { readonly do: 'create'; readonly name: string }
  | { readonly do: 'relist'; readonly ino: number }
  | { readonly do: 'hold'; readonly op: OpcodeName }
  | {
      readonly do: 'invalInode';
      readonly ino: number;
      readonly at: number;
      readonly length: number;
    }
  | { readonly do: 'invalEntry'; readonly name: string }
  | { readonly do: 'extend'; readonly ms: number };

export interface Reply {
  readonly id: number;
  readonly value: unknown;
}

const ROOT = 1;
/** The kernel has never heard of it. */
const UNKNOWN = 1_000_000;
const dir = process.argv.at(-1) ?? '';
const mountpoint = join(dir, 'mnt');
const lock = openSync(join(dir, 'lock'), 'w');
if (!native.flock(lock, true)) process.exit(1);
writeFileSync(join(dir, 'run/node.pid'), `${process.pid}\n`);
// What the one before this has left.
await native.unmount(mountpoint, MNT_DETACH).catch(() => undefined);
mkdirSync(mountpoint, { recursive: true });

const ready = deferred<void>();
const ended = deferred<number>();
const fuse = new CachingFuse({
  mountpoint,
  onReady: () => ready.resolve(),
  onTold: (ino) => table.add(asIno(ino)),
  onEnd: (errno) => ended.resolve(errno),
});
const table = KernelCacheTable.create(join(dir, 'run/kernel-cache'), {
  fuseFd: fuse.fd,
  incEpoch: true,
});
const notifier = new native.FuseNotifier({ fd: fuse.fd });
for (const name of ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']) {
  fuse.create(name);
}

/** @returns how the connection ended, and after how long */
async function unmount(): Promise<{ errno: number; ms: number }> {
  table.close();
  notifier.close();
  const start = native.bootMs();
  await native.unmount(mountpoint, 0);
  const errno = await ended.promise;
  return { errno, ms: native.bootMs() - start };
}

/** To the end of the table; another one gets its place. */
function relist(ino: number): void {
  table.remove(asIno(ino));
  table.add(asIno(UNKNOWN));
  table.add(asIno(ino));
}

function obey(order: Order): unknown {
  switch (order.do) {
    case 'counts':
      return fuse.counts;
    case 'held':
      return fuse.held;
    case 'change':
      return fuse.change();
    case 'create':
      return fuse.create(order.name);
    case 'relist':
      return relist(order.ino);
    case 'hold':
      return fuse.hold(order.op);
    case 'release':
      return fuse.release();
    case 'invalInode':
      return notifier.invalInode(order.ino, order.at, order.length);
    case 'invalEntry':
      return notifier.invalEntry(ROOT, Buffer.from(order.name));
    case 'incEpoch':
      return notifier.incEpoch();
    case 'busy':
      return { busy: notifier.busy, oldestMs: notifier.oldestMs };
    case 'closeNotifier':
      return notifier.close();
    case 'extend':
      return table.extend(native.bootMs() + order.ms);
    case 'state':
      return { watched: table.watched, purges: table.purges };
    case 'letGo':
      return table.close();
    case 'unmount':
      return unmount();
    case 'abort':
      return native.abortConnection(fuse.fd);
  }
}

process.on('message', ({ id, order }: { id: number; order: Order }) => {
  Promise.resolve(obey(order)).then(
    (value) => process.send?.({ id, value } satisfies Reply),
    (error: unknown) => process.send?.({ id, value: String(error) } satisfies Reply),
  );
});
process.on('SIGTERM', () => {
  unmount()
    .finally(() => {
      rmSync(join(dir, 'run/node.pid'));
      process.exit(0);
    })
    .catch(() => undefined);
});
await ready.promise;
process.send?.({ id: 0, value: 'ready' } satisfies Reply);
