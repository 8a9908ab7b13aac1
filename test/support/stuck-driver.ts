/**
 * `node stuck-driver.js MOUNTPOINT DIR`: a NativeDriver that never answers a read, and takes the
 * data of the file back meanwhile, so that the kernel keeps a thread of it. When told, it unmounts
 * as an orderly shutdown does: umount(2) waits for that thread, so the mount is detached.
 */
import { join } from 'node:path';
import { deferred, within } from '../../src/common/lifecycle.ts';
import { JsonLogger } from '../../src/common/log.ts';
import { SystemClock } from '../../src/common/system-clock.ts';
import type { OpenResult } from '../../src/mount/driver/driver.ts';
import { parseMask } from '../../src/mount/driver/native/capabilities.ts';
import type { KernelConnection } from '../../src/mount/driver/native/kernel-cache.ts';
import { NativeDriver } from '../../src/mount/driver/native/native-driver.ts';
import { FaultFileSystem } from './fault-fs/fault-file-system.ts';

const [mountpoint = '', dir = ''] = process.argv.slice(2);
const FIRST_FILE = 2;
const UMOUNT_MS = 500;
const KEPT_MS = 300;
const attached = deferred<KernelConnection>();
const ended = deferred<number>();

class StuckFileSystem extends FaultFileSystem {
  override open(...args: Parameters<FaultFileSystem['open']>): OpenResult {
    return { ...super.open(...args), keepCache: false };
  }

  override read(): never {
    attached.promise
      .then(({ notifier }) => {
        const kept = notifier.invalInode(FIRST_FILE, 0, 0);
        // By then the kernel has it, and waits for the page.
        setTimeout(() => process.send?.('a read waits'), KEPT_MS);
        return kept;
      })
      .catch(() => undefined);
    // The interface allows a promise, what this is made from does not.
    return new Promise<number>(() => undefined) as unknown as never;
  }
}

const driver = await NativeDriver.mount({
  mountpoint,
  source: 'stuck',
  subtype: 'stuck',
  flags: 0,
  options: 'default_permissions',
  mask: parseMask(''),
  keeps: {
    kernel: {
      attach: (connection) => attached.resolve(connection),
      close: () => undefined,
    },
    tablePath: join(dir, 'table'),
  },
  fs: new StuckFileSystem(dir),
  clock: new SystemClock(),
  log: JsonLogger.create('stuck', 'error'),
  onEnd: (errno) => ended.resolve(errno),
});

async function end(): Promise<string> {
  const { notifier } = await attached.promise;
  const kept = notifier.busy;
  const unmounted = driver.unmount();
  const isSlow = await within(unmounted, UMOUNT_MS, 'umount(2)').then(
    () => false,
    () => true,
  );
  await driver.detach();
  await ended.promise;
  await unmounted;
  return `kept ${kept}, ${isSlow ? 'detached' : 'unmounted'}`;
}

process.on('message', () => {
  end()
    .then(
      (how) => process.send?.(how),
      (error: unknown) => process.send?.(String(error)),
    )
    .finally(() => process.disconnect())
    .catch(() => undefined);
});
process.send?.('ready');
