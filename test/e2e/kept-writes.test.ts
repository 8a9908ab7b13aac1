/**
 * kill -9 of the node process takes nothing that write(2) accepted (rule C16): files of this
 * machine and of the other one, neither synced nor closed, at any moment after the write. ROUNDS
 * makes it longer.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { delay } from '../../src/common/lifecycle.ts';
import {
  type ClusterNode,
  killRole,
  problemCodes,
  statusOf,
  TestCluster,
  withGuardianStopped,
} from '../support/cluster.ts';
import { HeldFile } from '../support/held-file.ts';
import { Random } from '../support/random.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const BACK_MS = 60_000;
const WRITES_MAX = 40;
const BASE = 'base of the file';

/** What the file must hold, and a process of the writer that has it open. */
interface Written {
  readonly name: string;
  readonly file: HeldFile;
  text: string;
}

async function writeSome(random: Random, written: Written): Promise<void> {
  const count = 1 + random.below(WRITES_MAX);
  for (let index = 0; index < count; index += 1) {
    const at = random.below(written.text.length + 200);
    const text = `${index}:`.repeat(1 + random.below(400));
    await written.file.ok({ call: 'write', at, text });
    const before = written.text.slice(0, at).padEnd(at, '\0');
    written.text = before + text + written.text.slice(at + text.length);
  }
}

async function holds({ dfs }: ClusterNode, name: string): Promise<string> {
  return Buffer.from(await dfs.ok(`base64 -w0 ${name}`), 'base64').toString('latin1');
}

/** All of it is there, seen from both machines, and nothing is set aside. */
async function assertKept(
  cluster: TestCluster,
  writer: ClusterNode,
  files: readonly Written[],
  place: string,
): Promise<void> {
  await cluster.untilWhole(`${place}: after`, BACK_MS);
  for (const node of [...cluster.nodes.filter((each) => each !== writer), writer]) {
    for (const { name, text } of files) {
      assert.equal(await holds(node, name), text, `${place}: ${name} on ${node.name}`);
    }
  }
  const lost = join(writer.dfs.stateDir, 'lost+found');
  assert.deepEqual(existsSync(lost) ? readdirSync(lost) : [], [], place);
  assert.ok(!problemCodes(await statusOf(writer)).includes('unpublished'), place);
}

test('every byte write(2) accepted outlives kill -9 of the node', async (t) => {
  const random = Random.fromEnvironment();
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  for (let round = 0; round < ROUNDS; round += 1) {
    const writer = cluster.node((round + 1) % 2);
    const place = `seed ${random.seed} round ${round}, ${writer.name} is killed`;
    const files: Written[] = [];
    for (const { dfs, name: home } of cluster.nodes) {
      const name = `r${round}-of-${home}`;
      await dfs.ok(`printf '${BASE}' > ${name}`);
      const file = await HeldFile.open(t, join(writer.dfs.mountpoint, name), 'r+');
      files.push({ name, file, text: BASE });
    }
    await Promise.all(files.map((written) => writeSome(random, written)));
    // Sometimes the kill comes while they are published.
    const syncs = random.chance(0.5) ? files.map(({ file }) => file.call({ call: 'fsync' })) : [];
    await delay(random.below(10));
    await killRole(writer, 'node');
    await Promise.all(syncs);
    await assertKept(cluster, writer, files, place);
    for (const { file } of files) file.kill();
  }
});

test('what a damaged journal does not tell is in lost+found, and status says so', async (t) => {
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const [home, writer] = [cluster.node(0), cluster.node(1)];
  await home.dfs.ok(`printf '${BASE}' > file`);
  const file = await HeldFile.open(t, join(writer.dfs.mountpoint, 'file'), 'r+');
  for (const at of [0, 100, 200]) await file.ok({ call: 'write', at, text: 'written' });
  await withGuardianStopped([writer], async () => {
    await killRole(writer, 'node');
    const path = join(writer.dfs.stateDir, 'journal');
    const bytes = await readFile(path);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
    await writeFile(path, bytes);
  });
  await cluster.untilWhole('after the kill', BACK_MS);
  const codes = ['journal-unreadable', 'lost-and-found'];
  await cluster.untilStatus(
    'status says so',
    writer,
    (status) => codes.every((code) => problemCodes(status).includes(code)),
    BACK_MS,
  );
  assert.equal(await holds(writer, 'file'), BASE);
  const lost = join(writer.dfs.stateDir, 'lost+found');
  const [kept = '', ...more] = readdirSync(lost);
  assert.deepEqual(more, []);
  const found = await readFile(join(lost, kept), 'latin1');
  assert.equal(found.replaceAll('\0', ''), 'written'.repeat(3));
  file.kill();
});
