/** What a mount makes of a state folder, with a metaserver whose word the test decides. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { Environment } from '../../../src/cli/environment.ts';
import { openState, type Prepared, planJoin } from '../../../src/cli/prepare-state.ts';
import { type Config, type ConfigChanges, loadConfig } from '../../../src/common/config.ts';
import { asClusterId } from '../../../src/common/ids.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { CLUSTER, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

const UID = 1000;
const environment: Environment = {
  env: {},
  uid: UID,
  gid: UID,
  colour: false,
  program: '',
  log: silentLogger,
};

/** A place for one state folder, and a metaserver to join. */
class Place {
  readonly dir: string;
  readonly server: ScriptedMetaserver;

  private constructor(dir: string, server: ScriptedMetaserver) {
    this.dir = dir;
    this.server = server;
  }

  static async make(t: TestContext): Promise<Place> {
    const scratch = await mkdtemp(join(tmpdir(), 'dfs-prepare-'));
    t.after(() => rm(scratch, { recursive: true, force: true }));
    const server = await ScriptedMetaserver.startTcp();
    t.after(() => server[Symbol.asyncDispose]());
    const now = BigInt(Date.now());
    server.description = { ...server.description, clusterName: 'wren', wallMs: now };
    return new Place(join(scratch, 'state'), server);
  }

  get address(): string {
    return `127.0.0.1:${this.server.port}`;
  }

  /** All that `dfs mount` does with the folder. */
  async mount(
    flags: { readonly join?: string; readonly name?: string } = {},
    settings: ConfigChanges = {},
  ): Promise<Prepared> {
    const { dir } = this;
    const config: Config = existsSync(dir) ? await loadConfig(dir) : {};
    const target = await planJoin({ dir, join: flags.join, config, settings, environment });
    return openState({ dir, name: flags.name, settings, target, environment });
  }
}

describe('a fresh folder', () => {
  test('founds a cluster, and keeps the settings that were given', async (t) => {
    const place = await Place.make(t);
    const settings = { listen: '127.0.0.1:0', cacheSize: '1G' };
    const { made, state } = await place.mount({ name: 'one' }, settings);
    assert.equal(made, 'founded');
    assert.deepEqual(state.roles, ['metaserver', 'peer', 'mount']);
    assert.deepEqual([state.nodeName, state.clusterName], ['one', 'one']);
    const { cacheBytes, join: joined, listen, name } = await loadConfig(place.dir);
    assert.deepEqual(
      [cacheBytes, joined, listen, name],
      [2 ** 30, undefined, '127.0.0.1:0', 'one'],
    );
  });

  test('joins a cluster under an identity of its own, and remembers the way', async (t) => {
    const place = await Place.make(t);
    const { address } = place;
    const { made, state } = await place.mount({ join: address, name: 'two' }, { insecure: true });
    assert.equal(made, 'joined');
    assert.deepEqual(state.roles, ['peer', 'mount']);
    assert.deepEqual([state.clusterId, state.clusterName], [CLUSTER, 'wren']);
    assert.equal(state.nodeName, 'two');
    assert.ok(!existsSync(join(place.dir, 'meta')), 'no database of names is made');
    const config = { join: address, insecure: true, name: 'two' };
    assert.deepEqual({ ...(await loadConfig(place.dir)) }, config);
    assert.equal((await stat(join(place.dir, 'config.json'))).mode & 0o777, 0o600);
  });

  test('stays unmade when the cluster cannot be joined', async (t) => {
    const place = await Place.make(t);
    const { description } = place.server;
    place.server.description = { ...description, wallMs: description.wallMs - 7_200_000n };
    await assert.rejects(place.mount({ join: place.address }), {
      code: 'EINVAL',
      message: /clocks/,
    });
    place.server.description = { ...description, wireVersion: { major: 9, minor: 0 } };
    await assert.rejects(place.mount({ join: place.address }), { code: 'EPROTO' });
    await place.server[Symbol.asyncDispose]();
    await assert.rejects(place.mount({ join: place.address }), { code: 'ECONNREFUSED' });
    assert.ok(!existsSync(place.dir));
  });

  test('stays unmade when the settings contradict each other', async (t) => {
    const place = await Place.make(t);
    const usage = (message: RegExp): object => ({ name: 'UsageError', message });
    await assert.rejects(place.mount({}, { listen: '0.0.0.0' }), usage(/add --insecure/));
    await assert.rejects(place.mount({}, { peerListen: '0.0.0.0' }), usage(/add --insecure/));
    const joining = { join: place.address };
    await assert.rejects(
      place.mount(joining, { listen: '127.0.0.1' }),
      usage(/--listen is for the machine that founds a cluster/),
    );
    assert.ok(!existsSync(place.dir));
  });
});

describe('the folder of a node that joined', () => {
  test('needs no --join again, and no metaserver to be opened', async (t) => {
    const place = await Place.make(t);
    const first = await place.mount({ join: place.address });
    await place.server[Symbol.asyncDispose]();
    for (const flags of [{}, { join: place.address }]) {
      const { changed, made, state } = await place.mount(flags);
      assert.deepEqual([changed, made, state.nodeId], [false, undefined, first.state.nodeId]);
    }
  });

  test('takes a new address of its own cluster, and keeps what else is set', async (t) => {
    const place = await Place.make(t);
    const { address } = place;
    await place.mount({ join: address }, { cacheSize: '1G' });
    const moved = address.replace('127.0.0.1', 'localhost');
    const { changed, made } = await place.mount({ join: moved });
    assert.deepEqual([changed, made], [true, undefined]);
    const config = await loadConfig(place.dir);
    assert.deepEqual([config.join, config.cacheBytes], [moved, 2 ** 30]);
  });

  test('is refused another cluster, and left as it was', async (t) => {
    const place = await Place.make(t);
    await place.mount({ join: place.address });
    const before = await readFile(join(place.dir, 'config.json'), 'utf8');
    const other = await Place.make(t);
    const { description } = other.server;
    other.server.description = { ...description, clusterId: Buffer.alloc(16, 0xdd) };
    await assert.rejects(place.mount({ join: other.address }), {
      code: 'EINVAL',
      message: /this node belongs to the cluster wren .*another --state/,
    });
    assert.equal(await readFile(join(place.dir, 'config.json'), 'utf8'), before);
  });

  test('is refused when another command made it for another cluster meanwhile', async (t) => {
    const place = await Place.make(t);
    await place.mount({ join: place.address });
    const { dir } = place;
    const clusterId = asClusterId('dd'.repeat(16));
    const target = { address: '127.0.0.1:1', clusterId, clusterName: 'robin' };
    const opening = openState({ dir, name: undefined, settings: {}, target, environment });
    await assert.rejects(opening, { code: 'EINVAL', message: /another --state/ });
    assert.equal((await loadConfig(dir)).join, place.address);
  });
});

describe('the folder of a founder', () => {
  test('takes further settings, and tells whether they are new', async (t) => {
    const place = await Place.make(t);
    await place.mount();
    const settings = { listen: '0.0.0.0', insecure: true };
    assert.equal((await place.mount({}, settings)).changed, true);
    assert.equal((await place.mount({}, settings)).changed, false);
    assert.equal((await place.mount()).changed, false);
    const { insecure, listen } = await loadConfig(place.dir);
    assert.deepEqual([insecure, listen], [true, '0.0.0.0']);
  });

  test('joins nothing, whether somebody answers there or not', async (t) => {
    const place = await Place.make(t);
    await place.mount({ name: 'one' });
    await assert.rejects(place.mount({ join: place.address }), {
      code: 'EINVAL',
      message: /this node belongs to the cluster one .* serves wren: give another --state/,
    });
    await place.server[Symbol.asyncDispose]();
    await assert.rejects(place.mount({ join: place.address }), {
      code: 'EINVAL',
      message: /this node founded the cluster one, and cannot join .*: leave --join out/,
    });
  });
});
