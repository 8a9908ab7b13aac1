/**
 * A process for the crash tests: writes to a store without end and says on stdout what it has
 * fsynced, one line each: `<ino> <sequence>`. Seals in the background all the while.
 * Arguments: the state folder, a seed, the group's epoch, the first sequence.
 *
 * Each file is an array of 4 KiB records; record n of a file holds the number of the last write to
 * it, so that the reader knows what it must find at least.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { ManualClock } from '../../../src/common/clock.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { DiskChunkStore } from '../../../src/peer/disk-store.ts';
import { hostFileIo } from '../../../src/peer/file-io.ts';
import { LevelIndex } from '../../../src/peer/level-index.ts';
import { OwnedBytes } from '../../../src/peer/owned-bytes.ts';
import { DEFAULT_LIMITS } from '../../../src/peer/store-options.ts';
import { Random } from '../../support/random.ts';
import { context, groupView, ino } from '../../support/store-helpers.ts';
import { CRASH_FILES, CRASH_RECORDS, record } from './crash-records.ts';

const [stateDir = '', seed = '1', epoch = '1', first = '1'] = process.argv.slice(2);

const clock = new ManualClock();
const dataDir = join(stateDir, 'data');
const index = await LevelIndex.open(join(stateDir, 'index'));
const owned = new OwnedBytes(0);
const shared = { dataDir, index, io: hostFileIo, owned, clock, log: silentLogger };
const store = DiskChunkStore.open({ ...shared, limits: DEFAULT_LIMITS });
store.setGroups([groupView(Number(epoch))]);
let sealing: Promise<void> | undefined;
const random = new Random(Number(seed));
for (let sequence = Number(first); ; sequence += 1) {
  const file = ino(4000 + random.below(CRASH_FILES));
  const slot = random.below(CRASH_RECORDS);
  const data = record(sequence);
  const write = { kind: 'write', offset: slot * data.length, data } as const;
  writeSync(1, `try ${file} ${slot} ${sequence}\n`);
  await store.commit(context(Number(epoch)), file, write);
  if (random.chance(0.1)) {
    await sealing;
    writeSync(1, `sealed ${store.status().sealedChunks}\n`);
    clock.advance(6_000);
    sealing = store.sealIdle();
  }
  if (!random.chance(0.3)) continue;
  await store.fsync(file);
  writeSync(1, `synced ${file}\n`);
}
