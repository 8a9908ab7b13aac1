import assert from 'node:assert/strict';
import { it } from 'node:test';
import { asIno, asSessionId } from '../../../src/common/ids.ts';
import { inodeKey, openerKey } from '../../../src/metaserver/core/keyspace.ts';
import { checkNamespace } from '../../../src/metaserver/fsck.ts';
import { removeOp } from './rig.ts';
import { twoMounts } from './two-mounts.ts';

it('keeps no file for a session that has ended, before its leases have fallen', async () => {
  const { life, founder, ada, bob, ino } = await twoMounts();
  // It may have written another file, so that its home has to refuse it first.
  await ada.create('written');
  await ada.release(ino, { open: true });
  const { sid } = ada.session;
  await ada.ask({ $case: 'leave', value: {} });
  await life.settled();
  assert.equal((await bob.ask(removeOp('file', ino))).outcome, 'ok');
  await life.settled();
  assert.equal(life.kv.get(openerKey(asIno(ino), asSessionId(sid))), undefined);
  assert.equal(life.kv.get(inodeKey(asIno(ino))), undefined, 'nobody would delete it');
  const value = { sid: BigInt(sid), sepoch: 2n };
  assert.equal(await founder.request({ $case: 'fenced', value }), '');
  await life.settled();
  const signal = new AbortController().signal;
  const { findings } = await checkNamespace({ snapshot: life.kv.snapshot(), signal });
  assert.deepEqual(findings, []);
});
