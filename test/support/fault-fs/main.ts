/**
 * Serves a FaultFileSystem: `node main.js MOUNTPOINT DIR`. SIGTERM is the power cut: the process
 * ends at once, and with it everything that was not synced.
 */
import { JsonLogger } from '../../../src/common/log.ts';
import { SystemClock } from '../../../src/common/system-clock.ts';
import { parseMask } from '../../../src/mount/driver/native/capabilities.ts';
import { NativeDriver } from '../../../src/mount/driver/native/native-driver.ts';
import { FaultFileSystem } from './fault-file-system.ts';

const [mountpoint = '', dir = ''] = process.argv.slice(2);
process.once('SIGTERM', () => process.exit(0));
await NativeDriver.mount({
  mountpoint,
  source: 'fault',
  subtype: 'fault',
  flags: 0,
  options: 'default_permissions,allow_other',
  mask: parseMask(''),
  keeps: undefined,
  fs: new FaultFileSystem(dir),
  clock: new SystemClock(),
  log: JsonLogger.create('fault-fs', 'warn'),
  onEnd: () => process.exit(0),
});
process.stdout.write('ready\n');
