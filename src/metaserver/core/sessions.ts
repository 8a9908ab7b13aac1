/**
 * The life of a session: registered; handed over, in the next epoch, to a process that follows;
 * ended by a record with the next epoch and no instance, which fences it for good; forgotten once
 * its openers and replies are gone. Sids are never reused, so a sid without a record is an ended
 * session too.
 */
import { assert } from '../../common/assert.ts';
import { asEpoch, type Epoch, type SessionId } from '../../common/ids.ts';
import type { SessionState } from './records.ts';
import type { Txn } from './txn.ts';

const FIRST_EPOCH = asEpoch(1);

export function registerSession(
  txn: Txn,
  sid: SessionId,
  identity: Omit<SessionState, 'sepoch'>,
): SessionState {
  assert(txn.session(sid) === undefined, `session ${sid} is registered twice`);
  const session = { ...identity, sepoch: FIRST_EPOCH };
  txn.putSession(sid, session);
  return session;
}

/** Another process of the node goes on with it; calls of the one before name a smaller epoch. */
export function handOverSession(txn: Txn, sid: SessionId, instance: bigint): Epoch {
  const session = txn.session(sid);
  assert(session?.instance !== undefined, `session ${sid} has ended`);
  const sepoch = asEpoch(session.sepoch + 1);
  txn.putSession(sid, { ...session, sepoch, instance });
  return sepoch;
}

/** Idempotent: an ended session stays as it is. */
export function endSession(txn: Txn, sid: SessionId): void {
  const session = txn.session(sid);
  if (session?.instance === undefined) return;
  txn.putSession(sid, { ...session, sepoch: asEpoch(session.sepoch + 1), instance: undefined });
}

export function forgetSession(txn: Txn, sid: SessionId): void {
  assert(txn.session(sid)?.instance === undefined, `session ${sid} has not ended`);
  txn.deleteSession(sid);
}
