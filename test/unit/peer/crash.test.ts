import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { ManualClock } from '../../../src/common/clock.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { Peer } from '../../../src/peer/node.ts';
import { Random } from '../../support/random.ts';
import { groupView, ino, read } from '../../support/store-helpers.ts';
import { CRASH_FILES, CRASH_RECORDS, RECORD_BYTES, sequenceOf } from './crash-records.ts';

const KILLS = 8;
const WRITER = join(import.meta.dirname, 'crash-writer.js');

/** The last write of each record, of which the very last one may or may not have happened. */
interface Told {
  readonly last: Map<string, number>;
  writing: { readonly key: string; readonly sequence: number } | undefined;
  sequence: number;
  synced: number;
  /** Chunks the last writer had sealed. */
  sealed: number;
}

function hear(told: Told, line: string): void {
  const [what, file, slot, sequence] = line.split(' ');
  if (told.writing !== undefined) told.last.set(told.writing.key, told.writing.sequence);
  told.writing = undefined;
  if (what === 'synced') told.synced += 1;
  if (what === 'sealed') told.sealed = Number(file);
  if (what !== 'try' || sequence === undefined) return;
  told.writing = { key: `${file}/${slot}`, sequence: Number(sequence) };
  told.sequence = Number(sequence);
}

/** Runs a writer until it has synced `syncs` times, then kills it in mid-work. */
async function runAndKill(told: Told, args: readonly string[], syncs: number): Promise<void> {
  const child = spawn(process.execPath, [WRITER, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const enough = told.synced + syncs;
  for await (const line of createInterface({ input: child.stdout })) {
    hear(told, line);
    if (told.synced >= enough) child.kill('SIGKILL');
  }
  await ended;
  assert.equal(child.signalCode, 'SIGKILL', 'the writer ended by itself');
}

it('a store whose process was killed while writing has all its bytes, whole', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'dfs-crash-'));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  const random = Random.fromEnvironment();
  await Peer.create(stateDir);
  const told: Told = { last: new Map(), writing: undefined, sequence: 0, synced: 0, sealed: 0 };
  let sealed = 0;
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const args = [stateDir, random.below(1_000_000), kill * 2, told.sequence + 1].map(String);
    await runAndKill(told, args, 20 + random.below(100));
    await using peer = await Peer.open({ stateDir, clock: new ManualClock(), log: silentLogger });
    peer.store.setGroups([groupView(kill * 2 + 1)]);
    sealed += told.sealed;
    const where = `seed ${random.seed} kill ${kill}`;
    await checkAll(peer, told, where);
    assert.equal(peer.status().checksumErrors, 0, where);
  }
  assert.ok(sealed > 0, `seed ${random.seed}: nothing was ever sealed`);
  const count = `${told.sequence} writes, ${told.synced} syncs, ${sealed} chunks sealed`;
  t.diagnostic(`${count}, ${KILLS} kills, seed ${random.seed}`);
});

async function checkAll(peer: Peer, told: Told, where: string): Promise<void> {
  for (let file = 4000; file < 4000 + CRASH_FILES; file += 1) {
    const bytes = await read(peer.store, ino(file), [0, CRASH_RECORDS * RECORD_BYTES]);
    for (let slot = 0; slot < CRASH_RECORDS; slot += 1) {
      const key = `${file}/${slot}`;
      const at = slot * RECORD_BYTES;
      const found = sequenceOf(bytes.subarray(at, at + RECORD_BYTES));
      const expected = told.last.get(key) ?? 0;
      const unknown = told.writing?.key === key && told.writing.sequence === found;
      assert.ok(found === expected || unknown, `${where}: ${key} is ${found}, not ${expected}`);
      if (unknown) told.last.set(key, found);
    }
  }
  told.writing = undefined;
}
