import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Level } from 'level';
import { ManualClock } from '../../../src/common/clock.ts';
import { FsError } from '../../../src/common/errno.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Peer } from '../../../src/peer/node.ts';
import { context, groupView, ino, read } from '../../support/store-helpers.ts';
import { chunkVersions, content, fetched } from './cache-fixture.ts';

const open = (stateDir: string): Promise<Peer> =>
  Peer.open({ stateDir, clock: new ManualClock(), log: silentLogger });

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'dfs-peer-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function created(t: TestContext): Promise<string> {
  const dir = await folder(t);
  await Peer.create(dir);
  return dir;
}

const isError = (code: string, text: string) => (error: unknown) =>
  error instanceof FsError && error.code === code && error.message.includes(text);

/** Changes the database behind the peer's back. */
async function putMarker(stateDir: string, name: string, value: string): Promise<void> {
  const db = new Level<string, string>(join(stateDir, 'index'));
  await db.put(`m${name}`, value);
  await db.close();
}

describe('a peer', () => {
  it('keeps its bytes and its figures over an orderly end', async (t) => {
    const dir = await created(t);
    const file = ino(1_000_000);
    {
      await using peer = await open(dir);
      peer.store.setGroups([groupView(1)]);
      const data = Buffer.alloc(1024 ** 2, 'q');
      await peer.store.commit(context(1), file, { kind: 'write', offset: 0, data });
      assert.equal(peer.status().unsealedFiles, 1);
    }
    await using peer = await open(dir);
    assert.equal((await read(peer.store, file, [1024 ** 2 - 2, 4])).toString(), 'qq\0\0');
    const { bytesOwned, bytesOwnedExact, problems } = peer.status();
    assert.deepEqual([bytesOwned, bytesOwnedExact, problems], [1024 ** 2, true, []]);
  });

  it('counts its bytes anew after any other end', async (t) => {
    const dir = await created(t);
    {
      await using peer = await open(dir);
      peer.store.setGroups([groupView(1)]);
      for (const file of [ino(1_000_000), ino(2_000_000), ino(2_000_001)]) {
        const data = Buffer.alloc(8192, 'q');
        await peer.store.commit(context(1), file, { kind: 'write', offset: 0, data });
      }
    }
    await putMarker(dir, 'clean', '0');
    await putMarker(dir, 'owned', '5');
    await using peer = await open(dir);
    while (!peer.status().bytesOwnedExact) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(peer.store.space().bytesOwned, 3 * 8192);
  });

  it('keeps blocks of other peers apart from its own bytes, as many as it may', async (t) => {
    const dir = await created(t);
    const shared = { stateDir: dir, clock: new ManualClock(), log: silentLogger };
    const file = ino(70_000);
    {
      await using peer = await Peer.open({ ...shared, cacheBytes: 1024 ** 2 });
      peer.cache.put(file, { chunk: 0, blockFirst: 0, blockEnd: 2 }, fetched([3, 4]));
      const { bytesCached, bytesOwned } = peer.store.space();
      assert.deepEqual([bytesCached, bytesOwned], [peer.cache.status().bytes, 0]);
      assert.ok(bytesCached >= 2 * 65_536);
      assert.equal(peer.cache.status().limitBytes, 1024 ** 2);
    }
    {
      await using peer = await open(dir);
      const target = Buffer.alloc(4);
      assert.ok(peer.cache.read(file, 0, target, chunkVersions([3, 4])));
      assert.deepEqual(target, content(3).subarray(0, 4));
    }
    await using peer = await Peer.open({ ...shared, cacheBytes: 0 });
    assert.equal(peer.cache.held(file, 0), undefined);
  });

  it('is made once, and only where there is none', async (t) => {
    const dir = await created(t);
    await assert.rejects(Peer.create(dir), isError('EEXIST', 'data'));
    await rm(join(dir, 'data'), { recursive: true });
    await assert.rejects(Peer.create(dir), isError('EEXIST', 'index'));
  });

  it('is refused while another has it open', async (t) => {
    const dir = await created(t);
    await using peer = await open(dir);
    await assert.rejects(open(dir), isError('EBUSY', 'in use'));
    assert.equal(peer.status().openFiles, 0);
  });

  it('is refused when a part is missing, and nothing is made', async (t) => {
    const empty = await folder(t);
    await assert.rejects(open(empty), isError('ENOENT', 'backing files'));
    assert.deepEqual(readdirSync(empty), []);
    const dir = await created(t);
    await rm(join(dir, 'index'), { recursive: true });
    await assert.rejects(open(dir), isError('ENOENT', 'no peer index'));
    await mkdir(join(dir, 'index'));
    await assert.rejects(open(dir), isError('ENOENT', 'no peer index'));
    assert.deepEqual(readdirSync(join(dir, 'index')), []);
  });

  it('is refused when it is foreign, newer, or damaged', async (t) => {
    const dir = await created(t);
    const copy = join(dir, 'copy');
    await mkdir(copy);
    for (const part of ['index', 'data']) {
      await cp(join(dir, part), join(copy, part), { recursive: true });
    }
    await putMarker(dir, 'format', '2');
    await assert.rejects(open(dir), isError('EPROTO', 'format 2'));
    await putMarker(dir, 'magic', 'someone else');
    await assert.rejects(open(dir), isError('EINVAL', 'not the index of a dfs peer'));
    await writeFile(join(copy, 'index', 'CURRENT'), 'garbage');
    await assert.rejects(open(copy), isError('EIO', 'cannot be opened'));
  });
});
