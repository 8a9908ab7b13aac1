/**
 * What two machines do with one directory: one writes, the other reads, edits and writes back.
 * FILES and MEBIBYTES set the size of the repository and of the large file.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ClusterNetwork, type ClusterNode, peerOf, statusOf, TestCluster } from './cluster.ts';
import { expectOk, run } from './dfs.ts';
import { HeldFile } from './held-file.ts';
import { reasonAgainstNetworks } from './netns.ts';
import { makeRepository } from './sample-repository.ts';

const FILES = Number(process.env['FILES'] ?? 300);
const MEBIBYTES = Number(process.env['MEBIBYTES'] ?? 64);
const MIB = 2 ** 20;
const BLOCK = 2 ** 16;
const LONG_MS = 600_000;
const REPORTED_MS = 20_000;
const DROP_CACHES = '/proc/sys/vm/drop_caches';

interface Pair {
  /** Neither needs to be the one that runs the metaserver. */
  readonly writer: ClusterNode;
  readonly reader: ClusterNode;
}

export async function sharingSuite(
  name: string,
  shape: { readonly nodes: number; readonly network: ClusterNetwork },
): Promise<void> {
  const skip = shape.network === 'host' ? false : await reasonAgainstNetworks();
  test(name, { skip }, async (t) => {
    const cluster = await TestCluster.start(t, shape);
    const pair = { writer: cluster.node(shape.nodes - 2), reader: cluster.node(shape.nodes - 1) };
    await t.test('a tree cloned and built on one machine is whole on the other', () =>
      cloneAndBuild(pair),
    );
    await t.test('a large file is equal, and read again without the network', (sub) =>
      largeFile(sub, pair),
    );
    await t.test('what was cached is used after a restart of the node', () => afterRestart(pair));
    await t.test('edits are seen at the next open, both ways', () => editBothWays(pair));
    await t.test('changed bytes replace cached ones of the same size', () => replaceCached(pair));
    await t.test('two writers of different ranges both survive', (sub) => twoWriters(sub, pair));
    await t.test('a file belongs to the machine that created it', () => ownership(cluster, pair));
    await t.test('all see the same names, sizes and times', () => sameAttributes(cluster));
  });
}

async function cloneAndBuild({ writer, reader }: Pair): Promise<void> {
  const { dir } = writer.dfs;
  await makeRepository(join(dir, 'repository'), FILES);
  const clone = `git clone -q --no-hardlinks "${dir}/repository"`;
  expectOk(await run('bash', ['-euc', `${clone} "${dir}/local"`]), 'git clone');
  await writer.dfs.ok(`${clone} clone`, LONG_MS);
  await reader.dfs.ok(`diff -r --no-dereference --exclude=.git "${dir}/local" clone`, LONG_MS);
  await writer.dfs.ok('make -s -C clone/c', LONG_MS);
  // Nothing to do for make: the times of sources and results are those of the writer.
  await reader.dfs.ok('clone/c/prog && make -q -C clone/c && test "$(clone/run)" = run');
  await reader.dfs.ok('test -z "$(git -C clone status --porcelain)"', LONG_MS);
  await reader.dfs.ok('git -C clone fsck --full --strict', LONG_MS);
  const commit = 'git -c user.name=t -c user.email=t@localhost commit -qam';
  await reader.dfs.ok(`cd clone && echo more >> run && ${commit} 'Change it elsewhere'`);
  const log = await writer.dfs.ok(`cd clone && git status --porcelain && git log -1 --format=%s`);
  assert.equal(log, 'Change it elsewhere\n');
}

async function largeFile(t: TestContext, { writer, reader }: Pair): Promise<void> {
  const made = `head -c ${MEBIBYTES}M /dev/urandom | tee large | sha256sum`;
  const sum = await writer.dfs.ok(made, LONG_MS);
  const before = (await statusOf(reader)).cache.bytesFetched;
  assert.equal(await reader.dfs.ok('sha256sum < large', LONG_MS), sum);
  const first = (await statusOf(reader)).cache.bytesFetched;
  assert.ok(first - before >= MEBIBYTES * MIB, `only ${first - before} bytes were fetched`);
  assert.equal(await reader.dfs.ok('sha256sum < large', LONG_MS), sum);
  assert.equal((await statusOf(reader)).cache.bytesFetched, first, 'the second read');
  if (!canDropCaches()) {
    t.diagnostic(`${DROP_CACHES} cannot be written here: not read again without the page cache`);
    return;
  }
  expectOk(await run('sh', ['-c', `echo 3 > ${DROP_CACHES}`]), 'dropping the page cache');
  assert.equal(await reader.dfs.ok('sha256sum < large', LONG_MS), sum);
  assert.equal((await statusOf(reader)).cache.bytesFetched, first, 'without the page cache');
}

/** The home says which of the blocks are still right, and sends the one that is not. */
async function afterRestart({ writer, reader }: Pair): Promise<void> {
  const changed = 'printf changed | dd of=large bs=1 seek=1000000 conv=notrunc status=none';
  await writer.dfs.ok(changed);
  const sum = await writer.dfs.ok('sha256sum < large', LONG_MS);
  expectOk(await reader.dfs.cli(['stop']), 'dfs stop');
  await reader.dfs.mount(reader.mountArgs);
  assert.equal(await reader.dfs.ok('sha256sum < large', LONG_MS), sum);
  const { bytesFetched } = (await statusOf(reader)).cache;
  // Two requests of the kernel at once may each ask for it.
  assert.ok(bytesFetched > 0 && bytesFetched <= 2 * BLOCK, `${bytesFetched} bytes were fetched`);
}

function canDropCaches(): boolean {
  try {
    accessSync(DROP_CACHES, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

type Step = readonly [who: 'writer' | 'reader', script: string];

const EDITS: readonly Step[] = [
  ['writer', 'mkdir edits; echo one > edits/e'],
  ['reader', 'test "$(cat edits/e)" = one'],
  ['writer', 'echo two >> edits/e'],
  ['reader', 'test "$(cat edits/e)" = "$(printf "one\\ntwo")"; test "$(stat -c %s edits/e)" = 8'],
  // As editors save: a new file takes the old one's name.
  ['reader', 'echo three > edits/e.new; mv edits/e.new edits/e'],
  ['writer', 'test "$(cat edits/e)" = three; test "$(ls edits)" = e'],
  ['writer', 'truncate -s 2 edits/e'],
  ['reader', 'test "$(cat edits/e)" = th; test "$(stat -c %s edits/e)" = 2'],
  ['reader', 'truncate -s 5 edits/e'],
  ['writer', 'test "$(od -An -c edits/e | tr -d " \\n")" = "th\\\\0\\\\0\\\\0"'],
  ['writer', 'sed -i "s/th/other/" edits/e; chmod 640 edits/e'],
  ['reader', 'test "$(stat -c %a edits/e)" = 640; test "$(head -c 5 edits/e)" = other'],
  ['reader', 'mkdir edits/d; mv edits/e edits/d/f; ln -s d/f edits/l; ln edits/d/f edits/hard'],
  ['writer', 'test ! -e edits/e; test "$(head -c 5 edits/l)" = other'],
  ['writer', 'test "$(stat -c %h edits/hard)" = 2; rm edits/d/f edits/l edits/hard'],
  ['reader', 'test -z "$(ls -A edits/d)"; rmdir edits/d; test -z "$(ls -A edits)"'],
  ['writer', 'test ! -e edits/d; rmdir edits'],
  ['reader', 'test ! -e edits'],
];

async function editBothWays(pair: Pair): Promise<void> {
  for (const [who, script] of EDITS) await pair[who].dfs.ok(script);
}

async function replaceCached({ writer, reader }: Pair): Promise<void> {
  await writer.dfs.ok('printf aaaa > same');
  for (const text of ['bbbb', 'cccc', 'dddd']) {
    await reader.dfs.ok('cat same > /dev/null');
    // Neither size nor, set back, the time tells that something changed.
    await writer.dfs.ok(`printf ${text} 1<> same; touch -d @1000000000 same`);
    assert.equal(await reader.dfs.ok('cat same'), text);
  }
}

async function twoWriters(t: TestContext, { writer, reader }: Pair): Promise<void> {
  await writer.dfs.ok('head -c 3000000 /dev/zero > both');
  // Within one block, in neighbouring ones, and far apart.
  for (const distance of [100, 65_536, 2 * MIB]) {
    const texts = [randomBytes(20).toString('hex'), randomBytes(20).toString('hex')] as const;
    const first = await HeldFile.open(t, join(writer.dfs.mountpoint, 'both'), 'r+');
    const second = await HeldFile.open(t, join(reader.dfs.mountpoint, 'both'), 'r+');
    await first.ok({ call: 'write', at: 0, text: texts[0] });
    await second.ok({ call: 'write', at: distance, text: texts[1] });
    await second.ok({ call: 'close' });
    await first.ok({ call: 'close' });
    for (const { dfs, name } of [writer, reader]) {
      const found = await dfs.ok(`head -c 40 both; tail -c +${distance + 1} both | head -c 40`);
      assert.equal(found, texts.join(''), `${name}, ${distance} bytes apart`);
    }
    first.kill();
    second.kill();
  }
}

async function ownership(cluster: TestCluster, { writer, reader }: Pair): Promise<void> {
  const before = peerOf(await statusOf(reader), reader.name).bytesOwned;
  const sum = await reader.dfs.ok(`head -c 8M /dev/urandom | tee own | sha256sum`);
  for (const node of cluster.nodes) {
    assert.equal(await node.dfs.ok('sha256sum < own'), sum, node.name);
    const what = `${reader.name} owns 8 MiB more`;
    // Small files that went since then may be part of the number before.
    const grown = (bytes: number): boolean => bytes - before >= 7 * MIB;
    await cluster.untilStatus(
      what,
      node,
      (status) => grown(peerOf(status, reader.name).bytesOwned),
      REPORTED_MS,
    );
  }
  await writer.dfs.ok('rm own');
}

async function sameAttributes(cluster: TestCluster): Promise<void> {
  const list = `find . -printf '%i %m %n %U %G %s %T@ %C@ %p %l\\n' | LC_ALL=C sort`;
  const [first, ...others] = await Promise.all(
    cluster.nodes.map(({ dfs }) => dfs.ok(list, LONG_MS)),
  );
  for (const other of others) assert.equal(other, first);
}
