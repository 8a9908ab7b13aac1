import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Reply, SessionKind } from '../../../gen/meta.ts';
import { ERRNO } from '../../../src/common/errno.ts';
import { DisposeStack, deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { RpcServer } from '../../../src/common/rpc/server.ts';
import type { MetaEngine } from '../../../src/metaserver/engine.ts';
import { MemoryKv } from '../../../src/metaserver/kv.ts';
import { SessionService } from '../../../src/metaserver/session-service.ts';
import { CLUSTER, NODE } from './fixture.ts';
import { foundIn, makeOp, type Op, openEngine, readdirOp, removeOp, requestId } from './rig.ts';
import { StreamClient } from './stream-client.ts';

const scratch = await mkdtemp(path.join(tmpdir(), 'dfs-meta-'));
after(() => rm(scratch, { recursive: true, force: true }));
let count = 0;

/** A served engine, and clients of it, all closed at the end of the test. */
class Served implements AsyncDisposable {
  readonly engine: MetaEngine;
  readonly socketPath: string;
  readonly #stack: DisposeStack;
  readonly #clients = new DisposeStack();

  private constructor(engine: MetaEngine, socketPath: string, stack: DisposeStack) {
    this.engine = engine;
    this.socketPath = socketPath;
    this.#stack = stack;
  }

  static async start(kv = new MemoryKv(), fresh = true): Promise<Served> {
    count += 1;
    const socketPath = path.join(scratch, `meta${count}.sock`);
    if (fresh) await foundIn(kv);
    const engine = await openEngine(kv);
    const stack = new DisposeStack();
    const onFatal = (error: Error): never => assert.fail(error);
    const service = stack.use(new SessionService({ engine, log: silentLogger, onFatal }));
    stack.use(await RpcServer.bindUnix(socketPath, [service.served]));
    return new Served(engine, socketPath, stack);
  }

  client(): StreamClient {
    return this.#clients.use(new StreamClient(this.socketPath));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clients[Symbol.asyncDispose]();
    await this.#stack[Symbol.asyncDispose]();
  }
}

const PEER = { kind: SessionKind.PEER } as const;

describe('a Hello', () => {
  it('is welcomed with a session and the name of the cluster', async () => {
    await using served = await Served.start();
    const frame = await served.client().open();
    assert.ok(frame.$case === 'welcome');
    assert.equal(Buffer.from(frame.value.clusterId).toString('hex'), CLUSTER);
    assert.deepEqual([frame.value.sid, frame.value.sepoch], [1n, 1n]);
    assert.deepEqual([frame.value.clusterName, frame.value.resumed], ['test', false]);
    assert.deepEqual(frame.value.groups, []);
  });

  for (const [what, changes, code, sentence] of [
    ['of another cluster', { clusterId: Buffer.alloc(16, 1) }, 'other-cluster', /serves cluster/],
    ['without a cluster', { clusterId: Buffer.alloc(3) }, 'other-cluster', /serves cluster/],
    ['of a newer major', { wireVersion: { major: 3, minor: 0 } }, 'wire-version', /same version/],
    ['without a version', { wireVersion: undefined }, 'wire-version', /wire version/],
    ['without a node id', { nodeId: Buffer.alloc(0) }, 'bad-hello', /node id/],
    ['without an instance', { instance: 0n }, 'bad-hello', /instance/],
    ['of no known kind', { kind: SessionKind.UNSPECIFIED }, 'bad-hello', /kind/],
    ['with no real port', { kind: SessionKind.PEER, peerPort: 65_536 }, 'bad-hello', /port 65536/],
    ['with a host of nobody', { peerPort: 7481, advertise: '0.0.0.0' }, 'bad-hello', /advertises/],
  ] as const) {
    it(`${what} is refused with a sentence`, async () => {
      await using served = await Served.start();
      const client = served.client();
      const frame = await client.open(changes);
      assert.ok(frame.$case === 'refusal');
      assert.equal(frame.value.code, code);
      assert.match(frame.value.message, sentence);
      await client.ended;
    });
  }

  it('of a minor version ahead is welcomed', async () => {
    await using served = await Served.start();
    const frame = await served.client().open({ wireVersion: { major: 2, minor: 9 } });
    assert.equal(frame.$case, 'welcome');
  });
});

describe('a session', () => {
  it('is resumed by the same instance, and the older stream ends', async () => {
    await using served = await Served.start();
    const first = served.client();
    await first.open();
    await first.request(makeOp('a'), requestId(2));
    const second = served.client();
    const frame = await second.open();
    assert.ok(frame.$case === 'welcome');
    assert.deepEqual([frame.value.sid, frame.value.resumed], [1n, true]);
    await first.ended;
    const repeated = await second.request(makeOp('a'), requestId(2));
    assert.equal(repeated.errno, 0);
  });

  it('outlives a restart of the server', async () => {
    const kv = new MemoryKv();
    {
      await using served = await Served.start(kv);
      const client = served.client();
      await client.open();
      await client.request(makeOp('a'), requestId(2));
    }
    await using served = await Served.start(kv, false);
    const client = served.client();
    const frame = await client.open();
    assert.ok(frame.$case === 'welcome' && frame.value.resumed);
    await client.request({ $case: 'settled', value: { open: [] } });
    assert.equal((await client.request(makeOp('a'), requestId(2))).errno, 0);
    assert.equal((await client.request(makeOp('a'), requestId(4))).errno, ERRNO.EEXIST);
  });

  it('ends when another instance of the node comes, and drops what it kept open', async () => {
    await using served = await Served.start();
    const first = served.client();
    await first.open();
    await first.request(makeOp('a'), requestId(2));
    const removed = await first.request(removeOp('a', 0n, true), requestId(4));
    assert.ok(removed.result?.$case === 'remove' && removed.result.value.kept);
    assert.equal(served.engine.status().inodes, 2);

    const second = served.client();
    const frame = await second.open({ instance: 6n });
    assert.ok(frame.$case === 'welcome');
    assert.deepEqual([frame.value.sid, frame.value.resumed], [2n, false]);
    const refusal = await first.next();
    assert.ok(refusal.$case === 'refusal' && refusal.value.code === 'session-ended');
    await first.ended;
    assert.equal(served.engine.status().inodes, 1);
    assert.equal(served.engine.status().sessions, 1);
  });

  it('goes on with another instance that follows it, and its own cannot come back', async () => {
    await using served = await Served.start();
    const first = served.client();
    await first.open();
    const frame = await served.client().open({ instance: 6n, follows: [4n, 5n] });
    assert.ok(frame.$case === 'welcome');
    assert.deepEqual([frame.value.sid, frame.value.sepoch], [1n, 2n]);
    for (const late of [await first.next(), await served.client().open()]) {
      assert.ok(late.$case === 'refusal' && late.value.code === 'session-ended');
    }
    await first.ended;
  });

  it('refuses what its ended predecessor still sends', async () => {
    await using served = await Served.start();
    const identity = { nodeId: NODE, nodeName: 'n', kind: 'mount' } as const;
    const { session } = await served.engine.openSession({ ...identity, instance: 5n });
    await served.engine.openSession({ ...identity, instance: 6n });
    const { promise, resolve } = deferred<Uint8Array>();
    const late = { id: 1n, requestId: requestId(2), op: makeOp('late') };
    served.engine.execute(session, late, resolve);
    assert.equal(Reply.decode(await promise).errno, ERRNO.ESTALE);
  });

  it('belongs to a node and a kind: neither disturbs the others', async () => {
    await using served = await Served.start();
    const [mount, peer, other] = [served.client(), served.client(), served.client()];
    await mount.open();
    await peer.open(PEER);
    await other.open({ ...PEER, nodeId: Buffer.alloc(16, 7), instance: 9n });
    for (const client of [mount, peer, other]) {
      assert.equal((await client.request({ $case: 'statfs', value: {} })).errno, 0);
    }
    assert.equal(served.engine.status().sessions, 3);
  });
});

describe('a peer session', () => {
  it('takes a new epoch in the group it leads, once a life', async () => {
    const kv = new MemoryKv();
    const epochs: bigint[] = [];
    for (const instance of [5n, 5n, 6n]) {
      await using served = await Served.start(kv, epochs.length === 0);
      const frame = await served.client().open({ ...PEER, instance });
      assert.ok(frame.$case === 'welcome');
      const [group] = frame.value.groups;
      assert.ok(group);
      assert.equal(Buffer.from(group.primary).toString('hex'), NODE);
      epochs.push(group.epoch);
    }
    assert.deepEqual(epochs, [2n, 2n, 3n]);
  });

  it('belongs to no group on a node that was not given one', async () => {
    await using served = await Served.start();
    const frame = await served.client().open({ ...PEER, nodeId: Buffer.alloc(16, 7) });
    assert.ok(frame.$case === 'welcome');
    assert.deepEqual(frame.value.groups, []);
  });

  it('is told what to delete, at its start and later, until it says done', async () => {
    await using served = await Served.start();
    const mount = served.client();
    await mount.open();
    const unlinked = async (name: string, unique: number): Promise<bigint> => {
      const made = await mount.request(makeOp(name), requestId(unique));
      assert.ok(made.result?.$case === 'make');
      const ino = made.result.value.attr?.ino ?? 0n;
      await mount.request(removeOp(name, ino), requestId(unique + 2));
      return ino;
    };
    const early = await unlinked('early', 2);

    const first = served.client();
    await first.open(PEER);
    assert.deepEqual(await first.next(), { $case: 'reclaim', value: { inos: [early] } });
    const again = served.client();
    await again.open(PEER);
    assert.deepEqual(await again.next(), { $case: 'reclaim', value: { inos: [early] } });
    const late = await unlinked('late', 10);
    const done = await again.request({ $case: 'reclaimDone', value: { inos: [early] } });
    assert.equal(done.errno, 0);
    assert.deepEqual(await again.next(), { $case: 'reclaim', value: { inos: [late] } });
    await again.request({ $case: 'reclaimDone', value: { inos: [late] } });
    assert.equal(served.engine.status().reclaimPending, 0);
  });

  it('shows in the status of the cluster, with its last report', async () => {
    await using served = await Served.start();
    const mount = served.client();
    await mount.open();
    const peers = async (): Promise<readonly { up: boolean; bytesFree: bigint }[]> => {
      const { result } = await mount.request({ $case: 'clusterStatus', value: {} });
      assert.ok(result?.$case === 'clusterStatus');
      return result.value.peers.map(({ up, bytesFree }) => ({ up, bytesFree }));
    };
    assert.deepEqual(await peers(), []);
    {
      await using peer = new StreamClient(served.socketPath);
      await peer.open({ ...PEER, nodeName: 'ada' });
      const space = {
        bytesTotal: 9n,
        bytesFree: 5n,
        bytesOwned: 3n,
        bytesCached: 1n,
        unreachable: [],
      };
      await peer.request({ $case: 'peerReport', value: space });
      assert.deepEqual(await peers(), [{ up: true, bytesFree: 5n }]);
    }
    while ((await peers())[0]?.up === true);
    assert.deepEqual(await peers(), [{ up: false, bytesFree: 5n }]);
    const report = {
      bytesTotal: 0n,
      bytesFree: 0n,
      bytesOwned: 0n,
      bytesCached: 0n,
      unreachable: [],
    };
    assert.equal((await mount.request({ $case: 'peerReport', value: report })).errno, ERRNO.EINVAL);
  });
});

describe('requests', () => {
  it('of one stream take effect in the order they were sent', async () => {
    await using served = await Served.start();
    const client = served.client();
    await client.open();
    for (let index = 1; index <= 500; index += 1) {
      const id = BigInt(index);
      const op = makeOp(`f${index}`);
      client.send({ $case: 'request', value: { id, requestId: requestId(2 * index), op } });
    }
    client.send({ $case: 'request', value: { id: 501n, requestId: undefined, op: readdirOp() } });
    const answered: bigint[] = [];
    for (;;) {
      const frame = await client.next();
      assert.ok(frame.$case === 'reply' && frame.value.errno === 0);
      answered.push(frame.value.id);
      const { result } = frame.value;
      if (result?.$case !== 'readdir') continue;
      assert.equal(result.value.entries.length, 500);
      break;
    }
    assert.equal(answered.length, 501);
  });

  it('page through a directory without losing or repeating a name', async () => {
    await using served = await Served.start();
    const client = served.client();
    await client.open();
    const expected = Array.from({ length: 25 }, (_, index) => `name${index}`);
    for (const [index, name] of expected.entries()) {
      await client.request(makeOp(name), requestId(2 + 2 * index));
    }
    const seen: string[] = [];
    let cookie = 0;
    for (let end = false; !end; ) {
      const { result } = await client.request(readdirOp(cookie, 7));
      assert.ok(result?.$case === 'readdir');
      assert.equal(result.value.parent, 1n);
      for (const { name, seq, attr } of result.value.entries) {
        assert.ok(attr);
        seen.push(Buffer.from(name).toString());
        cookie = Number(seq);
      }
      end = result.value.end;
    }
    assert.deepEqual(seen, expected);
  });

  it('that wait for a lease do not keep the release from being read that comes behind them', async () => {
    await using served = await Served.start();
    const holder = served.client();
    await holder.open();
    const made = await holder.request(makeOp('file'), requestId(2));
    const [grant] = made.grants;
    assert.ok(grant?.exclusive);
    const asker = served.client();
    await asker.open({ nodeId: Buffer.alloc(16, 9) });
    const link = makeOp('link');
    assert.ok(link.$case === 'make');
    const value = { ...link.value, mode: 0o120777, target: Buffer.from('file') };
    const mine = await asker.request({ $case: 'make', value }, requestId(2));
    const ask = (ino: bigint, exclusive: boolean): Op => ({
      $case: 'lease',
      value: { ino, exclusive },
    });
    // More than a stream may have under way, all behind the lease of the other.
    const count = 5000n;
    for (let id = 100n; id < 100n + count; id += 1n) {
      const value = { id, requestId: undefined, op: ask(grant.ino, false) };
      asker.send({ $case: 'request', value });
    }
    const wanted = { id: 1n, requestId: undefined, op: ask(mine.grants[0]?.ino ?? 0n, true) };
    holder.send({ $case: 'request', value: { ...wanted, id: 77n } });
    const recalled = await asker.next();
    assert.ok(recalled.$case === 'recall', `a ${recalled.$case} came first`);
    const { ino, lseq } = recalled.value;
    const lease = { ino, lseq, keepShared: false, open: false, progress: false };
    const op: Op = { $case: 'release', value: { leases: [lease] } };
    asker.send({ $case: 'request', value: { id: 2n, requestId: undefined, op } });
    const released = await asker.next();
    assert.ok(released.$case === 'reply' && released.value.id === 2n);
    const first = await holder.next();
    assert.ok(first.$case === 'recall' && first.value.lseq === grant.lseq);
    const granted = await holder.next();
    assert.ok(granted.$case === 'reply' && granted.value.id === 77n);
    assert.equal(granted.value.grants.length, 1);
  });

  it('without a known operation or a needed field get an errno and a sentence', async () => {
    await using served = await Served.start();
    const client = served.client();
    await client.open();
    const make = makeOp('x');
    assert.ok(make.$case === 'make');
    const anonymous = { $case: 'make', value: { ...make.value, caller: undefined } } as const;
    const huge = { $case: 'getattr', value: { ino: 2n ** 60n } } as const;
    const cases = [
      [undefined, undefined, ERRNO.EPROTO],
      [make, undefined, ERRNO.EINVAL],
      [make, requestId(0), ERRNO.EINVAL],
      [anonymous, requestId(2), ERRNO.EPROTO],
      [huge, undefined, ERRNO.EINVAL],
      [{ $case: 'getattr', value: { ino: 0n } }, undefined, ERRNO.EINVAL],
    ] as const;
    for (const [op, id, errno] of cases) {
      const reply = await client.request(op, id);
      assert.equal(reply.errno, errno);
      assert.ok(reply.message.length > 10);
    }
  });
});

describe('nonsense', () => {
  const seed = Number(process.env['SEED'] ?? 1);

  async function refusal(client: StreamClient): Promise<string> {
    const frame = await client.next();
    assert.ok(frame.$case === 'refusal', `got ${frame.$case}`);
    await client.ended;
    return frame.value.code;
  }

  it('before, instead of and after a Hello ends the stream with a sentence', async () => {
    await using served = await Served.start();
    const early = served.client();
    early.send({ $case: 'request', value: { id: 1n, requestId: undefined, op: undefined } });
    assert.equal(await refusal(early), 'out-of-order');
    const garbled = served.client();
    garbled.sendRaw(Buffer.from([0x0a, 0xff, 0xff]));
    assert.equal(await refusal(garbled), 'garbled');
    const empty = served.client();
    empty.sendRaw(Buffer.alloc(0));
    assert.equal(await refusal(empty), 'garbled');
    const twice = served.client();
    await twice.open();
    twice.sendRaw(Buffer.from([0x0a, 0x00]));
    assert.equal(await refusal(twice), 'out-of-order');
  });

  it('that is too large ends the stream, with a sentence up to 1 MiB', async () => {
    await using served = await Served.start();
    const large = served.client();
    await large.open();
    large.sendRaw(Buffer.alloc(300 * 1024));
    assert.equal(await refusal(large), 'too-large');
    const huge = served.client();
    await huge.open();
    huge.sendRaw(Buffer.alloc(2 * 1024 * 1024));
    await huge.ended;
  });

  it(`of random bytes never stops the server (SEED=${seed})`, async () => {
    await using served = await Served.start();
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let round = 0; round < 40; round += 1) {
      await using client = new StreamClient(served.socketPath);
      if (random(2) === 0) await client.open({ instance: BigInt(1 + random(3)) });
      for (let index = 0; index < 20; index += 1) {
        const bytes = Buffer.alloc(random(60)).map(() => random(256));
        // A frame that starts like a request gets deeper.
        client.sendRaw(Buffer.concat([Buffer.from([0x12, bytes.length]), bytes]));
      }
      client.sendRaw(Buffer.from([0x07]));
      await client.ended;
    }
    const good = served.client();
    assert.equal((await good.open({ instance: 77n })).$case, 'welcome');
    assert.equal((await good.request({ $case: 'statfs', value: {} })).errno, 0);
  });
});

describe('the socket', () => {
  it('is private, and goes with the server', async () => {
    let socketPath: string;
    {
      await using served = await Served.start();
      socketPath = served.socketPath;
      assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
      await assert.rejects(RpcServer.bindUnix(socketPath, []), {
        code: 'EBUSY',
        message: /another process answers/,
      });
    }
    await assert.rejects(stat(socketPath), { code: 'ENOENT' });
  });

  it('replaces a file that a dead server left', async () => {
    const socketPath = path.join(scratch, 'stale.sock');
    const dead = net.createServer();
    const listening = deferred<void>();
    dead.listen(socketPath, () => listening.resolve());
    await listening.promise;
    // Closing would remove the file; a killed process does not.
    await rename(socketPath, `${socketPath}.kept`);
    const closed = deferred<void>();
    dead.close(() => closed.resolve());
    await closed.promise;
    await rename(`${socketPath}.kept`, socketPath);
    await using _server = await RpcServer.bindUnix(socketPath, []);
  });

  it('is refused where a path is too long or no socket', async () => {
    const long = path.join(scratch, 'x'.repeat(120));
    await assert.rejects(RpcServer.bindUnix(long, []), { code: 'EINVAL' });
    const missing = path.join(scratch, 'missing', 'a.sock');
    await assert.rejects(RpcServer.bindUnix(missing, []), { code: 'EIO' });
    const plain = path.join(scratch, 'plain');
    await writeFile(plain, 'precious');
    await assert.rejects(RpcServer.bindUnix(plain, []), { code: 'EEXIST' });
    assert.equal(await readFile(plain, 'utf8'), 'precious');
  });
});
