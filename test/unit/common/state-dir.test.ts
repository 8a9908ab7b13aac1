import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { asClusterId, asNodeId } from '../../../src/common/ids.ts';
import { createState, type LoadedState, loadState } from '../../../src/common/state-dir.ts';

const IDENTITY = {
  clusterId: asClusterId('0123456789abcdef0123456789abcdef'),
  clusterName: 'alpha',
  nodeId: asNodeId('fedcba9876543210fedcba9876543210'),
  nodeName: 'one',
  roles: ['metaserver', 'peer', 'mount'] as const,
};

async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-state-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** What the metaserver and the peer make. */
async function parts(dir: string): Promise<void> {
  for (const name of ['meta', 'index', 'data']) await mkdir(join(dir, name));
}

function create(dir: string, populate = () => parts(dir)): Promise<LoadedState> {
  return createState({ ...IDENTITY, dir, config: {}, populate });
}

test('a created folder loads with the same identity', async (t) => {
  const dir = join(await scratch(t), 'deep', 'state');
  const created = await create(dir);
  assert.deepEqual(await loadState(dir), created);
  assert.equal(created.clusterName, 'alpha');
  assert.deepEqual(created.roles, ['metaserver', 'peer', 'mount']);
  assert.equal((await stat(join(dir, 'config.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'writeback'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(dir, 'run'))).mode & 0o777, 0o755);
});

test('an existing empty folder is taken, also a fresh disk with its lost+found', async (t) => {
  const dir = await scratch(t);
  await mkdir(join(dir, 'lost+found'));
  await create(dir);
  assert.equal((await loadState(dir)).nodeName, 'one');
});

test('a folder with something else in it is refused and left alone', async (t) => {
  const dir = await scratch(t);
  await writeFile(join(dir, 'thesis.tex'), 'chapter 1');
  await assert.rejects(create(dir), { message: /is not empty and not a dfs state folder/ });
  assert.deepEqual(await readdir(dir), ['thesis.tex']);
});

test('a folder that only looks like an interrupted founding is refused', async (t) => {
  const dir = await scratch(t);
  await mkdir(join(dir, 'data'));
  await assert.rejects(create(dir), { message: /is not empty/ });
  await mkdir(join(dir, '.dfs-founding'));
  await writeFile(join(dir, 'thesis.tex'), 'chapter 1');
  await assert.rejects(create(dir), { message: /is not empty/ });
  assert.deepEqual((await readdir(dir)).sort(), ['.dfs-founding', 'data', 'thesis.tex']);
});

test('a file in place of the folder is refused', async (t) => {
  const path = join(await scratch(t), 'file');
  await writeFile(path, '');
  await assert.rejects(create(path), { code: 'ENOTDIR', message: /is not a folder/ });
});

test('a second founding is refused', async (t) => {
  const dir = await scratch(t);
  await create(dir);
  const before = await readFile(join(dir, 'format.json'), 'utf8');
  await assert.rejects(create(dir), { code: 'EEXIST' });
  assert.equal(await readFile(join(dir, 'format.json'), 'utf8'), before);
});

test('a founding cut short is no state yet, and the next one starts over', async (t) => {
  const dir = await scratch(t);
  await assert.rejects(
    create(dir, async () => {
      await mkdir(join(dir, 'meta'));
      await writeFile(join(dir, 'meta', 'half'), '');
      throw new Error('the power went');
    }),
    /the power went/,
  );
  await assert.rejects(loadState(dir), { code: 'ENOENT' });
  await create(dir);
  assert.equal((await readdir(join(dir, 'meta'))).length, 0);
  assert.equal((await readdir(dir)).includes('.dfs-founding'), false);
});

test('loading a missing folder says so and creates nothing', async (t) => {
  const dir = await scratch(t);
  await assert.rejects(loadState(join(dir, 'state')), {
    code: 'ENOENT',
    message: /is not a dfs state folder: `dfs mount MOUNTPOINT` makes one/,
  });
  assert.deepEqual(await readdir(dir), []);
});

test('every damage of format.json is refused by name and nothing is changed', async (t) => {
  const dir = await scratch(t);
  await create(dir);
  const path = join(dir, 'format.json');
  const whole = await readFile(path, 'utf8');
  const change = (changes: object): string => JSON.stringify({ ...JSON.parse(whole), ...changes });
  const cases: readonly [string, RegExp][] = [
    ['', /format\.json is damaged \(empty\)/],
    [whole.slice(0, 40), /format\.json is damaged \(not valid JSON\)/],
    ['null', /is damaged/],
    [change({ magic: 'other' }), /belongs to another program: choose another folder/],
    [change({ format: 2 }), /has format 2, newer than 1/],
    [change({ format: 'x' }), /no format number/],
    [change({ clusterId: '123' }), /fields are missing/],
    [change({ nodeId: undefined }), /fields are missing/],
    [change({ roles: ['king'] }), /fields are missing/],
    [change({ roles: [] }), /fields are missing/],
  ];
  for (const [source, message] of cases) {
    await writeFile(path, source);
    const before = (await readdir(dir)).sort();
    await assert.rejects(loadState(dir), { name: 'FsError', message }, source);
    assert.equal(await readFile(path, 'utf8'), source);
    assert.deepEqual((await readdir(dir)).sort(), before);
  }
});

test('format.json cut at every byte never loads', async (t) => {
  const dir = await scratch(t);
  await create(dir);
  const path = join(dir, 'format.json');
  const { size } = await stat(path);
  // The last byte is the newline, without which it is whole.
  for (let length = size - 2; length >= 0; length--) {
    await truncate(path, length);
    await assert.rejects(loadState(dir), { name: 'FsError' }, `cut to ${length} bytes`);
  }
});

for (const part of ['meta', 'index', 'data', 'writeback']) {
  test(`a missing ${part}/ is refused and not made`, async (t) => {
    const dir = await scratch(t);
    await create(dir);
    await rm(join(dir, part), { recursive: true });
    await assert.rejects(loadState(dir), { message: new RegExp(`${join(dir, part)} is missing`) });
    assert.equal((await readdir(dir)).includes(part), false);
  });
}
