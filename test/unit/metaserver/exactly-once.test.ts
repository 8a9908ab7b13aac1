import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Reply } from '../../../gen/meta.ts';
import type { MetaEngine } from '../../../src/metaserver/engine.ts';
import { MemoryKv } from '../../../src/metaserver/kv.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import { HeldKv, pump, tick } from '../../sim/held-kv.ts';
import { NODE } from './fixture.ts';
import {
  ask,
  foundIn,
  makeOp,
  type Op,
  openEngine,
  readdirOp,
  removeOp,
  request,
  requestId,
  resultOf,
} from './rig.ts';

const SETTLED: Op = { $case: 'settled', value: { open: [] } };

async function openSession(engine: MetaEngine, instance = 5n): Promise<Session> {
  const identity = { nodeId: NODE, nodeName: 'n', kind: 'mount', instance } as const;
  const { session } = await engine.openSession(identity);
  // A server that starts anew waits for this.
  engine.execute(session, request(SETTLED), () => undefined);
  return session;
}

async function newHeld(): Promise<{ kv: HeldKv; engine: MetaEngine; session: Session }> {
  const kv = new HeldKv();
  await pump(kv, foundIn(kv));
  const engine = await pump(kv, openEngine(kv));
  return { kv, engine, session: await pump(kv, openSession(engine)) };
}

async function names(engine: MetaEngine, session: Session): Promise<string[]> {
  const page = resultOf(await ask(engine, session, readdirOp()), 'readdir');
  return page.entries.map(({ name }) => Buffer.from(name).toString('latin1'));
}

describe('a repeated mutation', () => {
  it('is executed once and answered alike', async () => {
    const kv = new MemoryKv();
    await foundIn(kv);
    const engine = await openEngine(kv);
    const session = await openSession(engine);
    const first = await ask(engine, session, makeOp('a'), requestId(2));
    assert.deepEqual(await ask(engine, session, makeOp('a'), requestId(2)), first);
    assert.equal(await ask(engine, session, makeOp('a'), requestId(4)), 'EEXIST');
    assert.deepEqual(await names(engine, session), ['a']);
  });

  it('is recognised while the first one is not durable yet, and waits with it', async () => {
    const { kv, engine, session } = await newHeld();
    const replies: Uint8Array[] = [];
    const asked = request(makeOp('a'), requestId(2));
    engine.execute(session, asked, (reply) => replies.push(reply));
    engine.execute(session, asked, (reply) => replies.push(reply));
    await tick();
    assert.equal(replies.length, 0);
    kv.sync();
    await tick();
    assert.equal(replies.length, 2);
    assert.deepEqual(replies[0], replies[1]);
    assert.equal(engine.status().inodes, 2);
  });

  it('may be sent again on another connection under the same number', async () => {
    const kv = new MemoryKv();
    await foundIn(kv);
    const engine = await openEngine(kv);
    const session = await openSession(engine);
    await ask(engine, session, makeOp('a'), requestId(2));
    const other = { ...requestId(2), connection: 8n };
    resultOf(await ask(engine, session, makeOp('b'), other), 'make');
  });

  it('is executed anew when the first one failed', async () => {
    const kv = new MemoryKv();
    await foundIn(kv);
    const engine = await openEngine(kv);
    const session = await openSession(engine);
    resultOf(await ask(engine, session, makeOp('a'), requestId(2)), 'make');
    assert.equal(await ask(engine, session, makeOp('a'), requestId(4)), 'EEXIST');
    resultOf(await ask(engine, session, removeOp('a', 0n), requestId(6)), 'remove');
    resultOf(await ask(engine, session, makeOp('a'), requestId(4)), 'make');
  });
});

/** Two changes in two batches; a crash after so many syncs; both are sent again. */
async function crashAndRepeat(synced: number, keep: boolean): Promise<void> {
  const { kv, engine, session } = await newHeld();
  const asked = [request(makeOp('a'), requestId(2)), request(makeOp('b'), requestId(4))];
  const answered: Uint8Array[] = [];
  for (const each of asked) {
    engine.execute(session, each, (reply) => answered.push(reply));
    await tick();
  }
  for (let index = 0; index < synced; index += 1) {
    kv.sync();
    await tick();
  }
  assert.equal(answered.length, synced);

  const after = kv.crash(keep);
  const next = await pump(after, openEngine(after));
  const same = await pump(after, openSession(next));
  assert.equal(same.sid, session.sid, 'the same instance resumes its session');
  for (const [index, each] of asked.entries()) {
    const reply = await pump(after, ask(next, same, each.op, each.requestId));
    const before = answered[index];
    if (before !== undefined) assert.deepEqual(reply, Reply.decode(before).result);
    resultOf(reply, 'make');
  }
  assert.deepEqual(await names(next, same), ['a', 'b']);
  assert.equal(next.status().inodes, 3);
}

describe('a crash', () => {
  for (const synced of [0, 1, 2]) {
    for (const keep of [false, true]) {
      const what = `${synced} of 2 batches synced, the next one ${keep ? 'kept' : 'lost'}`;
      it(`leaves each change done once after a repeat: ${what}`, async () => {
        await crashAndRepeat(synced, keep);
      });
    }
  }

  it('never hands out an ino twice', async () => {
    const { kv, engine, session } = await newHeld();
    engine.execute(session, request(makeOp('lost'), requestId(2)), () => assert.fail());
    await tick();
    const after = kv.crash(false);
    const next = await pump(after, openEngine(after));
    const same = await pump(after, openSession(next));
    const first = resultOf(await pump(after, ask(next, same, makeOp('a'), requestId(4))), 'make');
    const again = after.crash(false);
    const third = await pump(again, openEngine(again));
    const resumed = await pump(again, openSession(third));
    const op = makeOp('b');
    const second = resultOf(await pump(again, ask(third, resumed, op, requestId(6))), 'make');
    assert.ok((second.attr?.ino ?? 0n) > (first.attr?.ino ?? 0n) + 60_000n);
  });
});

describe('acknowledged replies', () => {
  const COUNT = 1000;

  function replyKeys(kv: HeldKv): number {
    return [...kv.synced().keys()].filter((key) => key.startsWith('r')).length;
  }

  async function fill(rig: Awaited<ReturnType<typeof newHeld>>): Promise<void> {
    const { kv, engine, session } = rig;
    for (let index = 1; index <= COUNT; index += 1) {
      const acked = 2 * (index - 1);
      engine.execute(session, request(makeOp(`f${index}`), requestId(2 * index, acked)), () => {});
    }
    await pump(kv, engine.drain());
  }

  it('are deleted, so that the cache stays small', async () => {
    const rig = await newHeld();
    await fill(rig);
    assert.ok(replyKeys(rig.kv) < 300, `${replyKeys(rig.kv)} replies are left`);
  });

  it('refuse a repeat from below the watermark, also after a restart', async () => {
    const rig = await newHeld();
    await fill(rig);
    const repeat = (engine: MetaEngine, session: Session): ReturnType<typeof ask> => {
      return ask(engine, session, makeOp('other'), requestId(2));
    };
    assert.equal(await pump(rig.kv, repeat(rig.engine, rig.session)), 'EIO');
    const after = rig.kv.crash(false);
    const next = await pump(after, openEngine(after));
    const same = await pump(after, openSession(next));
    assert.equal(await pump(after, repeat(next, same)), 'EIO');
    resultOf(await pump(after, ask(next, same, makeOp('x'), requestId(9999, 0))), 'make');
  });

  it('go with the session', async () => {
    const rig = await newHeld();
    await fill(rig);
    await pump(rig.kv, openSession(rig.engine, 6n));
    assert.equal(replyKeys(rig.kv), 0);
  });
});

describe('a failing disk', () => {
  it('answers nobody and stops the server', async () => {
    const kv = new HeldKv();
    await pump(kv, foundIn(kv));
    const fatal: Error[] = [];
    const engine = await pump(
      kv,
      openEngine(kv, (error) => fatal.push(error)),
    );
    const session = await pump(kv, openSession(engine));
    engine.execute(session, request(makeOp('a'), requestId(2)), () => assert.fail('answered'));
    await tick();
    kv.fail(new Error('EIO'));
    await tick();
    assert.equal(fatal.length, 1);
  });
});
