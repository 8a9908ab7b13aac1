import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DfsUnderTest, expectOk, run } from './dfs.ts';

/**
 * Puts the state folder of a node that was not mounted yet on a tmpfs of its own.
 * @param size as mount(8) takes it
 * @returns where that is mounted
 */
export async function onSmallDisk(dfs: DfsUnderTest, size: string): Promise<string> {
  const disk = join(dfs.dir, 'disk');
  await mkdir(disk);
  expectOk(await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'dfs-test', disk]), 'tmpfs');
  dfs.beforeRemoval(async () => {
    await run('umount', ['-l', disk]);
  });
  dfs.stateDir = join(disk, 'state');
  return disk;
}
