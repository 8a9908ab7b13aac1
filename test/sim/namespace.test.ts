/**
 * The namespace against a model, under crashes, repeats, reordering and lost replies.
 * SEEDS=n runs n seeds, SEED=n only that one; a failure names the seed that replays it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Kv } from '../../src/metaserver/kv.ts';
import { HeldKv } from './held-kv.ts';
import { Tally } from './tally.ts';
import { World } from './world.ts';

const STEPS = 1500;
const ONLY = process.env['SEED'];
const SEEDS = ONLY === undefined ? Number(process.env['SEEDS'] ?? 200) : 1;

const KINDS = ['lookup', 'getattr', 'readlink', 'readdir', 'statfs', 'make', 'remove', 'rename'];
const MORE_KINDS = ['link', 'setattr', 'flush', 'close', 'reclaimed'];
const ERRORS = ['ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EINVAL', 'EPERM'];
const MORE_ERRORS = ['ENAMETOOLONG', 'ENOSPC', 'ESTALE'];
const RULES = [
  'refused: another epoch',
  'refused: cut since',
  'refused: growth after a cut',
  'cut',
  'resized',
];
const FAULTS = [
  'repeated',
  'reordered',
  'reply lost',
  'late',
  'disk nearly full',
  'crash, batch kept',
  'crash, batch lost',
  'crash while a session ends',
  'client restarted',
  'session handed over',
];

async function simulate(seed: number, tally: Tally, wrap?: (kv: HeldKv) => Kv): Promise<void> {
  const options = { seed, steps: STEPS, tally };
  try {
    await new World(wrap === undefined ? options : { ...options, wrap }).run();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`SEED=${seed} replays this: ${message}`, { cause });
  }
}

/** The first seed at which the mutation is noticed. */
async function caughtBy(wrap: (kv: HeldKv) => Kv): Promise<Error | undefined> {
  for (let seed = 1; seed <= 30; seed += 1) {
    try {
      await simulate(seed, new Tally(), wrap);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
  return undefined;
}

describe('the namespace under faults', () => {
  it(`does what the model says, ${SEEDS} seeds of ${STEPS} steps`, async (t) => {
    const tally = new Tally();
    const first = ONLY === undefined ? 1 : Number(ONLY);
    for (let seed = first; seed < first + SEEDS; seed += 1) await simulate(seed, tally);
    t.diagnostic(`${tally}`);
    if (SEEDS < 20) return;
    const expected = [
      ...[...KINDS, ...MORE_KINDS].map((kind) => `done ${kind}`),
      ...[...ERRORS, ...MORE_ERRORS].map((error) => `error ${error}`),
      ...FAULTS.map((fault) => `fault ${fault}`),
      ...RULES,
    ];
    assert.deepEqual(tally.missing(expected), [], 'these never happened');
  });

  it('notices a disk that acknowledges before it syncs', async (t) => {
    const error = await caughtBy((kv) => new EarlyKv(kv));
    assert.ok(error, 'not noticed');
    t.diagnostic(error.message);
    assert.match(error.message, /lost|not resumed/);
  });

  it('notices a server that forgets its replies', async (t) => {
    const error = await caughtBy((kv) => new ForgetfulKv(kv));
    assert.ok(error, 'not noticed');
    t.diagnostic(error.message);
  });

  it('notices a namespace whose deletes do not reach the slots', async (t) => {
    const error = await caughtBy((kv) => new SlotLeakKv(kv));
    assert.ok(error, 'not noticed');
    t.diagnostic(error.message);
    assert.match(error.message, /slots|names/);
  });
});

/** Passes everything on; the mutations below change one thing each. */
class PassingKv implements Kv {
  readonly inner: HeldKv;

  constructor(inner: HeldKv) {
    this.inner = inner;
  }

  get(key: string): Uint8Array | undefined {
    return this.inner.get(key);
  }

  range(range: Parameters<Kv['range']>[0]): ReturnType<Kv['range']> {
    return this.inner.range(range);
  }

  snapshot(): ReturnType<Kv['snapshot']> {
    return this.inner.snapshot();
  }

  commit(writes: Parameters<Kv['commit']>[0], _shardEpoch: number): Promise<void> {
    return this.inner.commit(writes);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Answers before the sync, and shows what it has taken. */
class EarlyKv extends PassingKv {
  override get(key: string): Uint8Array | undefined {
    return this.inner.newest().get(key);
  }

  override range(range: Parameters<Kv['range']>[0]): ReturnType<Kv['range']> {
    return new HeldKv(this.inner.newest()).range(range);
  }

  override async commit(writes: Parameters<Kv['commit']>[0]): Promise<void> {
    this.inner.commit(writes).catch(() => undefined);
  }
}

class ForgetfulKv extends PassingKv {
  override get(key: string): Uint8Array | undefined {
    return key.startsWith('r') ? undefined : super.get(key);
  }
}

class SlotLeakKv extends PassingKv {
  override commit(writes: Parameters<Kv['commit']>[0], shardEpoch: number): Promise<void> {
    const kept = [...writes].filter(
      ([key, value]) => !(key.startsWith('e') && value === undefined),
    );
    return super.commit(new Map(kept), shardEpoch);
  }
}
