/** Random work on two files by two machines whose processes are killed: nothing accepted is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fh, Ino } from '../../../../src/common/ids.ts';
import { Random } from '../../../support/random.ts';
import { type TwoWorlds, turns, worldsFor } from '../../../support/two-worlds.ts';
import type { WorldNode } from '../../../support/world-node.ts';

const RUNS = 30;
const STEPS = 40;
const SPAN = 300;
const NAMES = ['of-one', 'of-two'] as const;
const MACHINES = ['one', 'two'] as const;

interface File {
  readonly ino: Ino;
  readonly name: string;
  bytes: Buffer;
}

class Run {
  readonly #worlds: TwoWorlds;
  readonly #random: Random;
  readonly #files: File[] = [];
  /** Handles of this life of each machine. */
  readonly #handles = new Map<WorldNode, Map<Ino, Fh>>();
  kills = 0;

  constructor(worlds: TwoWorlds, random: Random) {
    this.#worlds = worlds;
    this.#random = random;
  }

  async begin(): Promise<void> {
    for (const [at, name] of NAMES.entries()) {
      const ino = await this.#worlds.node(MACHINES[at] ?? 'one').put(name, 'base');
      this.#files.push({ ino, name, bytes: Buffer.from('base') });
    }
  }

  async step(): Promise<void> {
    const random = this.#random;
    const node = this.#worlds.node(random.pick(MACHINES));
    const file = random.pick(this.#files);
    switch (random.below(12)) {
      case 0:
        await this.#kill(node);
        return;
      case 1:
        await this.#truncate(node, file);
        return;
      case 2:
        await this.check(node, file);
        return;
      case 3:
        assert.equal(await node.vfs.publishAll(), 0);
        return;
      case 4:
        await node.fsync(await this.#handle(node, file));
        return;
      default:
        await this.#write(node, file);
    }
  }

  async checkAll(): Promise<void> {
    for (const name of MACHINES) {
      for (const file of this.#files) await this.check(this.#worlds.node(name), file);
    }
    for (const name of MACHINES) assert.equal(this.#worlds.node(name).data.chargedBytes, 0);
  }

  async check(node: WorldNode, { bytes, name }: File): Promise<void> {
    const found = await node.get(name, 2 * SPAN);
    assert.equal(found.toString('latin1'), bytes.toString('latin1'), `${name} on ${node.name}`);
  }

  async #write(node: WorldNode, file: File): Promise<void> {
    const at = this.#random.below(SPAN);
    const data = this.#random.bytes(1 + this.#random.below(60));
    await node.write(await this.#handle(node, file), at, data);
    const bytes = Buffer.alloc(Math.max(file.bytes.length, at + data.length));
    file.bytes.copy(bytes);
    data.copy(bytes, at);
    file.bytes = bytes;
  }

  async #truncate(node: WorldNode, file: File): Promise<void> {
    const size = this.#random.below(SPAN);
    await node.truncate(file.ino, size);
    const bytes = Buffer.alloc(size);
    file.bytes.copy(bytes);
    file.bytes = bytes;
  }

  /** While it publishes, or not; where an answer is on its way to it, or not. */
  async #kill(node: WorldNode): Promise<void> {
    const random = this.#random;
    this.kills += 1;
    if (random.chance(0.7)) node.vfs.publishAll().catch(() => undefined);
    await turns(random.below(30));
    const next = await this.#worlds.kill(node, 'goes on');
    if (random.chance(0.5)) assert.equal(await next.vfs.publishNow(), 0);
  }

  async #handle(node: WorldNode, { ino, name }: File): Promise<Fh> {
    const handles = this.#handles.get(node) ?? new Map<Ino, Fh>();
    this.#handles.set(node, handles);
    const fh = handles.get(ino) ?? (await node.open(name)).fh;
    handles.set(ino, fh);
    return fh;
  }
}

test('random work and random kills lose nothing that was accepted', async (t) => {
  const random = Random.fromEnvironment();
  let kills = 0;
  for (let round = 0; round < RUNS; round += 1) {
    const seed = random.below(2 ** 31);
    const run = new Run(await worldsFor(t), new Random(seed));
    await run.begin();
    try {
      for (let step = 0; step < STEPS; step += 1) await run.step();
      await run.checkAll();
    } catch (error) {
      throw new Error(`seed ${random.seed} round ${round}`, { cause: error });
    }
    kills += run.kills;
  }
  assert.ok(kills > 30, `${kills} kills`);
});
