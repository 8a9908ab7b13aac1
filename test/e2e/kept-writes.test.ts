/**
 * kill -9 of the node process takes nothing that write(2) accepted (rule C16): files of this
 * machine and of the other one, neither synced nor closed, at any moment after the write. ROUNDS
 * makes it longer.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ClusterNode, killRole, problemCodes, TestCluster } from '../support/cluster.ts';
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

test('every byte write(2) accepted outlives kill -9 of the node', async (t) => {
  const random = Random.fromEnvironment();
  const cluster = await TestCluster.start(t, { nodes: 2, network: 'host' });
  const nodes = [cluster.node(0), cluster.node(1)] as const;
  for (let round = 0; round < ROUNDS; round += 1) {
    const [writer, other] = round % 2 === 0 ? [nodes[1], nodes[0]] : nodes;
    const place = `seed ${random.seed} round ${round}, ${writer.name} is killed`;
    const files: Written[] = [];
    for (const home of [writer, other]) {
      const name = `r${round}-of-${home.name}`;
      await home.dfs.ok(`printf '${BASE}' > ${name}`);
      const file = await HeldFile.open(t, join(writer.dfs.mountpoint, name), 'r+');
      files.push({ name, file, text: BASE });
    }
    await Promise.all(files.map((written) => writeSome(random, written)));
    await killRole(writer, 'node');
    await cluster.untilWhole(`${place}: after`, BACK_MS);
    for (const node of [other, writer]) {
      for (const { name, text } of files) {
        assert.equal(await holds(node, name), text, `${place}: ${name} on ${node.name}`);
      }
    }
    for (const { file } of files) file.kill();
    const lost = join(writer.dfs.stateDir, 'lost+found');
    assert.deepEqual(existsSync(lost) ? readdirSync(lost) : [], [], place);
    const status = await cluster.untilStatus(place, writer, () => true, BACK_MS);
    assert.ok(!problemCodes(status).includes('unpublished'), place);
  }
});
