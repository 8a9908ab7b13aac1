import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, it } from 'node:test';
import { asIno, type Ino } from '../../../src/common/ids.ts';
import { folderOf, folderPath } from '../../../src/peer/backing-files.ts';
import { findStrays } from '../../../src/peer/strays.ts';

const scratch = await mkdtemp(join(tmpdir(), 'dfs-strays-'));
after(() => rm(scratch, { recursive: true, force: true }));

async function dataWith(name: string, inos: readonly number[]): Promise<string> {
  const dir = join(scratch, name);
  await mkdir(dir);
  for (const ino of inos.map(asIno)) await put(pathOf(dir, ino));
  return dir;
}

const pathOf = (dir: string, ino: Ino): string => join(dir, folderPath(folderOf(ino)), String(ino));

async function put(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'x'.repeat(5_000));
}

it('finds the files that nobody knows, and what they take', async () => {
  const dir = await dataWith('some', [1024, 1025, 70_000]);
  await writeFile(join(dir, folderPath(folderOf(asIno(1024))), 'note.txt'), '');
  const found = await findStrays(dir, async (inos) => inos.filter((ino) => ino !== 1025));
  assert.deepEqual([found.files, found.strays, found.strayInos], [3, 2, [1024, 70_000]]);
  assert.ok(found.strayBytes >= 2 * 5_000);
});

it('passes over what is deleted while it asks', async () => {
  const dir = await dataWith('deleted', [1024, 1025]);
  const found = await findStrays(dir, async (inos) => {
    await rm(pathOf(dir, asIno(1024)));
    return inos;
  });
  assert.deepEqual(found.strayInos, [1025]);
});

it('asks about some at a time, and names the first ones', async () => {
  const inos = Array.from({ length: 2_500 }, (_, at) => 1024 + at);
  const dir = await dataWith('many', inos);
  const asked: number[] = [];
  const found = await findStrays(dir, async (piece) => {
    asked.push(piece.length);
    return piece;
  });
  assert.deepEqual(asked, [1024, 1024, 452]);
  assert.deepEqual([found.files, found.strays, found.strayInos.length], [2_500, 2_500, 200]);
});

it('finds nothing where there is nothing', async () => {
  const dir = await dataWith('none', []);
  const found = await findStrays(dir, () => assert.fail('nothing to ask'));
  assert.deepEqual(found, { files: 0, strays: 0, strayBytes: 0, strayInos: [] });
});
