import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { ManualClock } from '../../../src/common/clock.ts';
import { silentLogger } from '../../../src/common/log.ts';
import {
  decideSpace,
  emergencyBytes,
  lowWaterBytes,
  reserveBytesFor,
} from '../../../src/metaserver/core/space.ts';
import { type Allocate, Reserve } from '../../../src/metaserver/reserve.ts';
import { SpaceGuard } from '../../../src/metaserver/space-guard.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const scratch = await mkdtemp(path.join(tmpdir(), 'dfs-space-'));
after(() => rm(scratch, { recursive: true, force: true }));
let count = 0;
function nextFile(): string {
  count += 1;
  return path.join(scratch, `reserve${count}`);
}

const unsupported: Allocate = () => {
  throw Object.assign(new Error('not supported'), { code: 'EOPNOTSUPP' });
};

describe('the space decision', () => {
  const disk = { totalBytes: 100 * GIB, reserveBytesWanted: GIB };

  it('lets the database grow while there is space', () => {
    const decision = decideSpace({ ...disk, freeBytes: 50 * GIB, reserveBytes: GIB });
    assert.deepEqual(decision, { mayGrow: true, reserve: 'keep' });
  });

  it('stops growth below the low-water mark and keeps the reserve', () => {
    const freeBytes = lowWaterBytes(disk.totalBytes) - 1;
    const decision = decideSpace({ ...disk, freeBytes, reserveBytes: GIB });
    assert.deepEqual(decision, { mayGrow: false, reserve: 'keep' });
  });

  it('gives the reserve up in an emergency', () => {
    const freeBytes = emergencyBytes(disk.totalBytes) - 1;
    const decision = decideSpace({ ...disk, freeBytes, reserveBytes: GIB });
    assert.deepEqual(decision, { mayGrow: false, reserve: 'release' });
  });

  it('does not let growth eat the reserve that was given up', () => {
    const decision = decideSpace({ ...disk, freeBytes: GIB, reserveBytes: 0 });
    assert.deepEqual(decision, { mayGrow: false, reserve: 'keep' });
  });

  it('fills the reserve again only when there is three times its size', () => {
    const at = (freeBytes: number): string => {
      return decideSpace({ ...disk, freeBytes, reserveBytes: 0 }).reserve;
    };
    assert.deepEqual([at(3 * GIB), at(3 * GIB + 1)], ['keep', 'refill']);
  });

  it('scales its marks with small disks', () => {
    assert.equal(lowWaterBytes(100 * MIB), 2 * MIB);
    assert.equal(lowWaterBytes(10 * GIB), 64 * MIB);
    assert.equal(reserveBytesFor(100 * MIB), 5 * MIB);
    assert.equal(reserveBytesFor(1000 * GIB), GIB);
  });
});

describe('the space guard', () => {
  it('walks through a full disk and back', async () => {
    const file = nextFile();
    const options = { file, bytesWanted: 3 * MIB + 5, allocate: unsupported };
    const reserve = await Reserve.create(options);
    assert.equal((await stat(file)).size, 3 * MIB + 5);
    const clock = new ManualClock();
    let freeBytes = 50 * MIB;
    const measure = (): { totalBytes: number; freeBytes: number } => {
      return { totalBytes: 100 * MIB, freeBytes };
    };
    const guard = new SpaceGuard({ reserve, clock, log: silentLogger, measure });
    assert.equal(guard.mayGrow(), true);
    assert.equal(guard.problem(), undefined);

    freeBytes = 100;
    assert.equal(guard.mayGrow(), true, 'measured less than 50 ms ago');
    clock.advance(50);
    assert.equal(guard.mayGrow(), false);
    assert.equal((await stat(file)).size, 0, 'the reserve is given up');
    assert.equal(guard.problem()?.code, 'metadata-space-low');

    freeBytes = 4 * MIB;
    clock.advance(50);
    assert.equal(guard.mayGrow(), false, 'what the reserve gave is not for growth');

    freeBytes = 50 * MIB;
    clock.advance(50);
    assert.equal(guard.mayGrow(), false);
    await guard[Symbol.asyncDispose]();
    assert.equal((await stat(file)).size, 3 * MIB + 5, 'the reserve is whole again');
    clock.advance(50);
    assert.equal(guard.mayGrow(), true);
  });

  it('adds nothing while the disk cannot be measured, and recovers', async () => {
    const reserve = await Reserve.open({ file: nextFile(), bytesWanted: 0, allocate: unsupported });
    const clock = new ManualClock();
    let broken = true;
    const measure = (): { totalBytes: number; freeBytes: number } => {
      if (broken) throw new Error('EIO');
      return { totalBytes: 100 * MIB, freeBytes: 50 * MIB };
    };
    await using guard = new SpaceGuard({ reserve, clock, log: silentLogger, measure });
    assert.equal(guard.mayGrow(), false);
    broken = false;
    clock.advance(50);
    assert.equal(guard.mayGrow(), true);
  });

  it('takes the reserve as an earlier life left it', async () => {
    const file = nextFile();
    const options = { file, bytesWanted: 10, allocate: unsupported };
    const missing = await Reserve.open(options);
    assert.deepEqual(missing.state, { reserveBytes: 0, reserveBytesWanted: 10 });
    await writeFile(file, 'four');
    const found = await Reserve.open(options);
    assert.deepEqual(found.state, { reserveBytes: 4, reserveBytesWanted: 4 });
  });

  it('leaves an empty reserve when the disk is too full to fill it', async () => {
    const file = nextFile();
    const full: Allocate = () => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const options = { file, bytesWanted: 10, allocate: full };
    await assert.rejects(Reserve.create(options), { code: 'ENOSPC' });
    assert.equal((await stat(file)).size, 0);
  });
});
