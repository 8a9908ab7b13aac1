import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { asEpoch } from '../../../src/common/ids.ts';
import { MemoryKv } from '../../../src/metaserver/kv.ts';
import { LevelKv } from '../../../src/metaserver/level-kv.ts';
import { kvSuite } from '../../conformance/kv-suite.ts';

const scratch = await mkdtemp(path.join(tmpdir(), 'dfs-kv-'));
after(() => rm(scratch, { recursive: true, force: true }));
let count = 0;
function nextDirectory(): string {
  count += 1;
  return path.join(scratch, `db${count}`);
}

kvSuite('MemoryKv', { create: async () => new MemoryKv(), reopen: undefined });

let last = '';
kvSuite('LevelKv', {
  async create() {
    last = nextDirectory();
    return LevelKv.open({ directory: last, create: true });
  },
  reopen: () => LevelKv.open({ directory: last, create: false }),
});

describe('opening a LevelKv', () => {
  it('makes nothing when the database is missing', async () => {
    const directory = nextDirectory();
    await assert.rejects(LevelKv.open({ directory, create: false }), { code: 'ENOENT' });
    await assert.rejects(readdir(directory), { code: 'ENOENT' });
  });

  it('refuses to create over an existing one', async () => {
    const directory = nextDirectory();
    {
      await using kv = await LevelKv.open({ directory, create: true });
      await kv.commit(new Map([['a', Buffer.from('1')]]), asEpoch(1));
    }
    await assert.rejects(LevelKv.open({ directory, create: true }), { code: 'EIO' });
    await using kv = await LevelKv.open({ directory, create: false });
    assert.equal(kv.get('a')?.length, 1);
  });

  it('says so when another opener holds it', async () => {
    const directory = nextDirectory();
    await using _kv = await LevelKv.open({ directory, create: true });
    await assert.rejects(LevelKv.open({ directory, create: false }), {
      code: 'EBUSY',
      message: /in use by another process/,
    });
  });

  it('refuses a truncated database', async () => {
    const directory = nextDirectory();
    {
      await using kv = await LevelKv.open({ directory, create: true });
      await kv.commit(new Map([['a', Buffer.from('1')]]), asEpoch(1));
    }
    const manifest = (await readdir(directory)).find((name) => name.startsWith('MANIFEST'));
    assert.ok(manifest);
    await truncate(path.join(directory, manifest), 3);
    await assert.rejects(LevelKv.open({ directory, create: false }), { code: 'EIO' });
    await writeFile(path.join(directory, 'CURRENT'), 'MANIFEST-');
    await assert.rejects(LevelKv.open({ directory, create: false }), { code: 'EIO' });
  });
});
