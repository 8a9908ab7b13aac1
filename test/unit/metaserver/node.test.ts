import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { ClusterRecord } from '../../../gen/store.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { asClusterId, asEpoch } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { CLUSTER_KEY } from '../../../src/metaserver/core/keyspace.ts';
import { LevelKv } from '../../../src/metaserver/level-kv.ts';
import { Metaserver, type MetaserverOptions } from '../../../src/metaserver/node.ts';
import { CLUSTER, NODE } from './fixture.ts';
import { makeOp, readdirOp, requestId } from './rig.ts';
import { StreamClient } from './stream-client.ts';

const scratch = await mkdtemp(path.join(tmpdir(), 'dfs-node-'));
after(() => rm(scratch, { recursive: true, force: true }));
let count = 0;

async function newStateDir(): Promise<string> {
  count += 1;
  const stateDir = path.join(scratch, `state${count}`);
  await mkdir(stateDir);
  return stateDir;
}

async function founded(): Promise<string> {
  const stateDir = await newStateDir();
  await found(stateDir);
  return stateDir;
}

function found(stateDir: string): Promise<void> {
  const names = { clusterId: CLUSTER, clusterName: 'test', nodeId: NODE };
  const rootOwner = { uid: 1000, gid: 1001 };
  return Metaserver.found({ stateDir, ...names, rootOwner, clock: new ManualClock() });
}

function options(stateDir: string, changes: Partial<MetaserverOptions> = {}): MetaserverOptions {
  return {
    stateDir,
    socketPath: path.join(stateDir, 'meta.sock'),
    clusterId: CLUSTER,
    clusterName: 'test',
    clock: new ManualClock(),
    log: silentLogger,
    onFatal: (error) => assert.fail(error),
    ...changes,
  };
}

async function clientOf(stateDir: string): Promise<StreamClient> {
  const client = new StreamClient(path.join(stateDir, 'meta.sock'));
  const frame = await client.open();
  assert.equal(frame.$case, 'welcome');
  return client;
}

describe('founding', () => {
  it('makes a database with an empty root that belongs to the founder', async () => {
    const stateDir = await founded();
    await using _server = await Metaserver.start(options(stateDir));
    await using client = await clientOf(stateDir);
    const { result } = await client.request({ $case: 'getattr', value: { ino: 1n } });
    assert.ok(result?.$case === 'attr' && result.value.attr);
    const { mode, uid, gid, nlink } = result.value.attr;
    assert.deepEqual([mode, uid, gid, nlink], [0o040755, 1000, 1001, 2]);
  });

  it('sets space aside, 1 GiB at most', async () => {
    const stateDir = await founded();
    const { size, blocks } = await stat(path.join(stateDir, 'reserve'));
    assert.ok(size > 0 && size <= 1024 ** 3);
    assert.ok(blocks * 512 >= size, 'the blocks are allocated');
  });

  it('is refused where a database exists, and leaves that alone', async () => {
    const stateDir = await founded();
    await assert.rejects(found(stateDir), { code: 'EEXIST' });
    await using _server = await Metaserver.start(options(stateDir));
  });

  it('starts over what an interrupted founding left', async () => {
    const stateDir = await newStateDir();
    await mkdir(path.join(stateDir, 'meta.new'));
    await found(stateDir);
    assert.deepEqual((await readdir(stateDir)).sort(), ['meta', 'reserve']);
  });
});

describe('starting', () => {
  async function refuses(stateDir: string, code: string, sentence: RegExp): Promise<void> {
    const before = await readdir(stateDir);
    await assert.rejects(Metaserver.start(options(stateDir)), { code, message: sentence });
    assert.deepEqual(await readdir(stateDir), before, 'nothing was made');
  }

  async function rewriteCluster(stateDir: string, changes: Partial<ClusterRecord>): Promise<void> {
    await using kv = await LevelKv.open({ directory: path.join(stateDir, 'meta'), create: false });
    const record = ClusterRecord.decode(kv.get(CLUSTER_KEY) ?? new Uint8Array(0));
    const value = ClusterRecord.encode({ ...record, ...changes }).finish();
    await kv.commit(new Map([[CLUSTER_KEY, value]]), asEpoch(1));
  }

  it('is refused without a database, and makes none', async () => {
    await refuses(await newStateDir(), 'ENOENT', /no database/);
  });

  it('is refused on the database of another cluster', async () => {
    const stateDir = await founded();
    const other = options(stateDir, { clusterId: asClusterId('ee'.repeat(16)) });
    await assert.rejects(Metaserver.start(other), {
      code: 'EINVAL',
      message: /belongs to cluster/,
    });
  });

  it('is refused on a newer format', async () => {
    const stateDir = await founded();
    await rewriteCluster(stateDir, { format: 2 });
    await refuses(stateDir, 'EINVAL', /format 2/);
  });

  it('is refused on a database without its first records', async () => {
    const stateDir = await newStateDir();
    const directory = path.join(stateDir, 'meta');
    {
      await using kv = await LevelKv.open({ directory, create: true });
      await kv.commit(new Map([['x', Buffer.from('y')]]), asEpoch(1));
    }
    await refuses(stateDir, 'EINVAL', /not the database of a metaserver/);
  });

  it('is refused on a truncated database', async () => {
    const stateDir = await founded();
    const directory = path.join(stateDir, 'meta');
    const manifest = (await readdir(directory)).find((name) => name.startsWith('MANIFEST'));
    assert.ok(manifest);
    await truncate(path.join(directory, manifest), 5);
    await refuses(stateDir, 'EIO', /cannot open the database/);
  });

  it('is refused while another server runs on it', async () => {
    const stateDir = await founded();
    await using _server = await Metaserver.start(options(stateDir));
    const second = options(stateDir, { socketPath: path.join(stateDir, 'other.sock') });
    await assert.rejects(Metaserver.start(second), { code: 'EBUSY', message: /in use/ });
  });

  it('takes a new shard epoch each time', async () => {
    const stateDir = await founded();
    const epochs: number[] = [];
    for (let life = 0; life < 3; life += 1) {
      await using server = await Metaserver.start(options(stateDir));
      epochs.push(server.status().shardEpoch);
    }
    assert.deepEqual(epochs, [2, 3, 4]);
  });
});

describe('a running server', () => {
  it('keeps what it acknowledged over a restart, and counts', async () => {
    const stateDir = await founded();
    {
      await using server = await Metaserver.start(options(stateDir));
      await using client = await clientOf(stateDir);
      for (let index = 1; index <= 20; index += 1) {
        await client.request(makeOp(`f${index}`), requestId(2 * index));
      }
      const status = server.status();
      assert.deepEqual([status.inodes, status.sessions, status.streams], [21, 1, 1]);
      assert.deepEqual(status.problems, []);
      assert.ok(status.commits >= 20 && status.batches >= 1);
    }
    await using server = await Metaserver.start(options(stateDir));
    assert.deepEqual([server.status().inodes, server.status().sessions], [21, 1]);
    await using client = await clientOf(stateDir);
    const { result } = await client.request(readdirOp());
    assert.ok(result?.$case === 'readdir');
    assert.equal(result.value.entries.length, 20);
  });

  it('stops twice without harm, and lets go of socket and database', async () => {
    const stateDir = await founded();
    const server = await Metaserver.start(options(stateDir));
    await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    await using _next = await Metaserver.start(options(stateDir));
  });

  it('makes accepted changes durable before it stops', async () => {
    const stateDir = await founded();
    const server = await Metaserver.start(options(stateDir));
    await using client = await clientOf(stateDir);
    for (let index = 1; index <= 200; index += 1) {
      const op = makeOp(`f${index}`);
      const value = { id: BigInt(1000 + index), requestId: requestId(2 * index), op };
      client.send({ $case: 'request', value });
    }
    await client.next();
    await server[Symbol.asyncDispose]();
    let answered = 1;
    for (;;) {
      try {
        await client.next();
        answered += 1;
      } catch {
        break;
      }
    }
    await using next = await Metaserver.start(options(stateDir));
    assert.ok(next.status().inodes - 1 >= answered, `${answered} answers`);
  });
});
