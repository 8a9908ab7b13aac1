import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isClientOnly,
  planMetaserverListener,
  planPeerListener,
} from '../../../src/cli/listen-plan.ts';
import { checkListeners } from '../../../src/cli/prepare-state.ts';
import type { ListenRecord } from '../../../src/common/listen-record.ts';

const FIRST: ListenRecord = { metaserver: [], peer: undefined };
const BEFORE: ListenRecord = {
  metaserver: [{ host: '127.0.0.1', port: 4001 }],
  peer: { host: '127.0.0.1', port: 4002 },
};

test('a founder listens on this machine alone unless told otherwise', () => {
  const metaserver = { host: '127.0.0.1', port: 7480, exact: false };
  assert.deepEqual(planMetaserverListener({}, FIRST), metaserver);
  assert.deepEqual(planPeerListener({}, FIRST), { ...metaserver, port: 7481 });
});

test('the chunk service of a founder listens beside its metaserver', () => {
  const config = { listen: '10.0.0.5:7000', insecure: true };
  assert.deepEqual(planPeerListener(config, FIRST), { host: '10.0.0.5', port: 7481, exact: false });
});

test('ports of before are kept, unless the user names one', () => {
  assert.equal(planMetaserverListener({}, BEFORE).port, 4001);
  assert.equal(planPeerListener({}, BEFORE)?.port, 4002);
  const named = planMetaserverListener({ listen: '127.0.0.1:7000' }, BEFORE);
  assert.deepEqual(named, { host: '127.0.0.1', port: 7000, exact: true });
});

test('the port 0 is any port the first time, and the same one afterwards', () => {
  const config = { peerListen: 'localhost:0' };
  assert.deepEqual(planPeerListener(config, FIRST), { host: 'localhost', port: 0, exact: false });
  assert.equal(planPeerListener(config, BEFORE)?.port, 4002);
});

test('nothing listens beyond this machine without --insecure', () => {
  for (const host of ['0.0.0.0', '[::]', '10.0.0.5', 'wren.example']) {
    const sentence = { code: 'EACCES', message: /--insecure/ };
    assert.throws(() => planMetaserverListener({ listen: host }, FIRST), sentence);
    assert.throws(() => planPeerListener({ peerListen: host }, FIRST), sentence);
    planMetaserverListener({ listen: host, insecure: true }, FIRST);
  }
  for (const host of ['127.0.0.2', '[::1]', 'localhost']) {
    planMetaserverListener({ listen: host }, FIRST);
  }
});

test('a node that joins through the network without --insecure is a client only', () => {
  const join = '10.0.0.1:7480';
  assert.equal(planPeerListener({ join }, FIRST), undefined);
  const served = planPeerListener({ join, insecure: true }, FIRST);
  assert.deepEqual(served, { host: '0.0.0.0', port: 7481, exact: false });
  assert.deepEqual([isClientOnly({ join }), isClientOnly({ join, insecure: true })], [true, false]);
});

test('a node that joins on its own machine serves its data there', () => {
  const served = planPeerListener({ join: '127.0.0.1:7480' }, FIRST);
  assert.deepEqual(served, { host: '127.0.0.1', port: 7481, exact: false });
});

test('settings that contradict each other are wrong usage', () => {
  const refusal = { name: 'UsageError', message: /^--listen 0\.0\.0\.0:7480 opens .*--insecure/ };
  assert.throws(() => checkListeners({ listen: '0.0.0.0' }, true), refusal);
  checkListeners({ join: '10.0.0.1' }, false);
});
