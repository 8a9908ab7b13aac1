import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { asIno } from '../../../../src/common/ids.ts';
import { delay } from '../../../../src/common/lifecycle.ts';
import { WritebackFiles } from '../../../../src/mount/data/writeback-files.ts';

const FILE = asIno(2000);

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-writeback-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('bytes are found where they were written, and zeros elsewhere', async (t) => {
  const files = new WritebackFiles(join(await folder(t), 'writeback'), await folder(t));
  await files.clear();
  files.write(FILE, 5, Buffer.from('bytes'));
  const target = Buffer.alloc(8, 0xee);
  files.read(FILE, 3, target);
  assert.equal(target.toString('latin1'), '\0\0bytes\0');
  files.closeAll();
});

test('what an earlier process left is named and thrown away', async (t) => {
  const dir = await folder(t);
  await writeFile(join(dir, '2000'), 'left');
  const files = new WritebackFiles(dir, await folder(t));
  assert.deepEqual(await files.clear(), ['2000']);
  assert.deepEqual(await readdir(dir), []);
});

test('a file that was discarded can be written again', async (t) => {
  const dir = await folder(t);
  const files = new WritebackFiles(dir, await folder(t));
  files.write(FILE, 0, Buffer.from('one'));
  files.discard(FILE);
  files.discard(FILE);
  files.write(FILE, 0, Buffer.from('two'));
  const target = Buffer.alloc(3);
  files.read(FILE, 0, target);
  assert.equal(target.toString(), 'two');
  while ((await readdir(dir)).length > 1) await delay(1);
  assert.deepEqual(await readdir(dir), [String(FILE)], 'what was written last has its name');
  files.closeAll();
});

test('what cannot be published is kept aside, each byte in its place', async (t) => {
  const aside = join(await folder(t), 'lost+found');
  const dir = await folder(t);
  const files = new WritebackFiles(dir, aside);
  files.write(FILE, 5, Buffer.from('bytes'));
  const kept = files.setAside(FILE, 41);
  assert.equal(kept, join(aside, `${FILE}.41`));
  assert.equal(await readFile(kept, 'latin1'), '\0\0\0\0\0bytes');
  assert.deepEqual(await readdir(dir), []);
  files.write(FILE, 0, Buffer.from('new'));
  assert.deepEqual(await readdir(dir), [String(FILE)]);
  assert.equal(files.setAside(FILE, 41), join(aside, `${FILE}.41.1`), 'nothing is written over');
});

test('what counts is left, what may count is kept aside, and nothing else', async (t) => {
  const [dir, parent] = [await folder(t), await folder(t)];
  const aside = join(parent, 'lost+found');
  for (const name of ['2000', '2001', 'gone-1']) await writeFile(join(dir, name), name);
  const files = new WritebackFiles(dir, aside);
  const counts = (ino: number): boolean => ino === FILE;
  assert.deepEqual(await files.clear({ counts, isDoubtful: true }), ['2001']);
  assert.deepEqual(await readdir(dir), ['2000']);
  assert.deepEqual(await readdir(aside), ['2001.0']);
  assert.equal(files.adopt(asIno(2001)), undefined);
  assert.equal(files.adopt(FILE), 4);
  files.closeAll();
});
