/** Rule C16 on a disk that the test owns: what is durable when, and a server that stops in between. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { repliesOf, sessionKey } from '../../../src/metaserver/core/keyspace.ts';
import type { MetaEngine } from '../../../src/metaserver/engine.ts';
import type { Session } from '../../../src/metaserver/session.ts';
import { storeCodecs } from '../../../src/metaserver/store-codec.ts';
import { HeldKv, pump, tick } from '../../sim/held-kv.ts';
import { mountNamed } from './lease-rig.ts';
import { ask, foundIn, makeOp, openEngine, removeOp, requestId, resultOf } from './rig.ts';

interface Rig {
  readonly kv: HeldKv;
  readonly engine: MetaEngine;
  /** It keeps an unlinked file open. */
  readonly before: Session;
}

async function newRig(): Promise<Rig> {
  const kv = new HeldKv();
  await pump(kv, foundIn(kv));
  const engine = await pump(kv, openEngine(kv));
  const opening = engine.openSession(mountNamed('founder', 1n, []));
  const { session: before } = await pump(kv, opening);
  const made = await pump(kv, ask(engine, before, makeOp('file'), requestId(2)));
  const ino = resultOf(made, 'make').attr?.ino ?? 0n;
  await pump(kv, ask(engine, before, removeOp('file', ino, true), requestId(4)));
  assert.equal(engine.status().inodes, 2);
  return { kv, engine, before };
}

async function follow(engine: MetaEngine): Promise<Session> {
  return (await engine.openSession(mountNamed('founder', 2n, [1n]))).session;
}

/** So many batches become durable. @returns the session when it is open by then */
async function openWith({ kv, engine }: Rig, syncs: number): Promise<Session | undefined> {
  let session: Session | undefined;
  const opening = follow(engine).then((opened) => {
    session = opened;
  });
  // A server that stops fails it.
  opening.catch(() => undefined);
  for (let done = 0; ; ) {
    for (let turns = 0; turns < 5; turns += 1) await tick();
    if (session !== undefined || done === syncs) return session;
    assert.ok(kv.sync(), 'it waits for nothing');
    done += 1;
  }
}

async function replies(kv: HeldKv, { sid }: Session): Promise<number> {
  return (await kv.range({ ...repliesOf(sid), limit: 100 })).length;
}

describe('a hand-over', () => {
  it('is durable when it is told', async () => {
    const rig = await newRig();
    const session = await openWith(rig, 100);
    assert.ok(session);
    const stored = rig.kv.synced().get(sessionKey(session.sid));
    assert.ok(stored);
    const { sepoch, instance } = storeCodecs.session.decode(stored);
    assert.deepEqual([sepoch, instance], [2, 2n]);
    assert.equal(await replies(rig.kv, session), 0);
  });

  it('is done once and wholly, wherever the server stops', async () => {
    let syncs = 0;
    for (let isOpen = false; !isOpen; syncs += 1) {
      for (const keep of [false, true]) {
        const rig = await newRig();
        isOpen = (await openWith(rig, syncs)) !== undefined;
        const kv = rig.kv.crash(keep);
        const engine = await pump(kv, openEngine(kv));
        const session = await pump(kv, follow(engine));
        const where = `after ${syncs} syncs, keep ${keep}`;
        assert.deepEqual([session.sid, session.sepoch], [rig.before.sid, 2], where);
        assert.equal(engine.status().inodes, 1, where);
        assert.equal(await replies(kv, session), 0, where);
      }
    }
    assert.ok(syncs > 2, 'there was nothing to stop in');
  });
});
