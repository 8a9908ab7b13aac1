import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ManualClock, wallMs } from '../../../src/common/clock.ts';
import { deferred } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import {
  KeepAliveClient,
  type KeepAliveOptions,
  type SessionName,
} from '../../../src/common/rpc/keepalive-client.ts';
import { ScriptedMetaserver } from '../../support/scripted-metaserver.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';

const INTERVAL_MS = 80;
const AWAY_MS = 8_000;

interface World {
  readonly server: ScriptedMetaserver;
  readonly relay: TcpRelay;
  readonly clock: ManualClock;
  /** A client that speaks every 80 ms of the test's clock, and looks at it every 10. */
  start(options?: Partial<KeepAliveOptions>): KeepAliveClient;
}

async function world(t: TestContext): Promise<World> {
  const clock = new ManualClock();
  const server = await ScriptedMetaserver.startTcp();
  t.after(() => server[Symbol.asyncDispose]());
  const relay = await TcpRelay.start(server.port);
  t.after(() => relay[Symbol.asyncDispose]());
  const start = (options: Partial<KeepAliveOptions> = {}): KeepAliveClient => {
    const client = new KeepAliveClient({
      address: relay.address,
      sessions: () => [],
      bootMs: () => clock.bootMs(),
      wallMs: () => wallMs(clock),
      log: silentLogger,
      intervalMs: INTERVAL_MS,
      awayMs: AWAY_MS,
      onAway: () => undefined,
      ...options,
    });
    t.after(() => client[Symbol.asyncDispose]());
    return client;
  };
  return { server, relay, clock, start };
}

/** Resolves at each call in turn. */
function calls(): { readonly call: () => void; next(): Promise<void> } {
  let count = 0;
  let seen = 0;
  let waiting = deferred<void>();
  return {
    call: () => {
      count++;
      waiting.resolve();
      waiting = deferred<void>();
    },
    async next() {
      if (count === seen) await waiting.promise;
      seen++;
    },
  };
}

test('a frame names the sessions of its time, at once and then each interval', async (t) => {
  const { server, clock, start } = await world(t);
  let sessions: SessionName[] = [{ sid: 1, sepoch: 2 }];
  start({ sessions: () => sessions });
  await server.until(() => server.keepAlives.length === 1);
  assert.deepEqual(server.keepAlives[0]?.sessions, [{ sid: 1n, sepoch: 2n }]);
  sessions = [];
  clock.advance(INTERVAL_MS);
  await server.until(() => server.keepAlives.length === 2);
  assert.deepEqual(server.keepAlives[1]?.sessions, []);
});

test('an answer dates from when its frame was sent, and shows the other clock', async (t) => {
  const { server, clock, start } = await world(t);
  const answers = calls();
  server.onKeepAlive = ({ seq }) => {
    clock.advance(1_000);
    return { seq, wallMs: BigInt(wallMs(clock) + 60_000), ended: [] };
  };
  const sentMs = clock.bootMs();
  const client = start({ onAnswer: answers.call });
  assert.equal(client.lastAnsweredSentMs, undefined);
  assert.equal(client.wallSkewMs, undefined);
  await answers.next();
  assert.equal(client.lastAnsweredSentMs, sentMs);
  assert.equal(client.wallSkewMs, 60_500);
});

test('sessions that have ended are told', async (t) => {
  const { server, start } = await world(t);
  const told = deferred<readonly number[]>();
  server.onKeepAlive = ({ seq }) => ({ seq, wallMs: 0n, ended: [7n, 8n] });
  start({ onEnded: told.resolve });
  assert.deepEqual(await told.promise, [7, 8]);
});

test('a frozen network is noticed once, and left behind for a new connection', async (t) => {
  const { relay, clock, start } = await world(t);
  const answers = calls();
  const aways = calls();
  let count = 0;
  const client = start({
    onAnswer: answers.call,
    onAway: () => {
      count++;
      aways.call();
    },
  });
  await answers.next();
  relay.freeze();
  clock.advance(AWAY_MS);
  await aways.next();
  assert.equal(client.isAway, true);
  await relay.until(2);
  clock.advance(AWAY_MS);
  await relay.until(3);
  relay.thaw();
  clock.advance(AWAY_MS);
  await relay.until(4);
  await answers.next();
  assert.equal(client.isAway, false);
  assert.equal(count, 1);
});

test('a server that restarts in time is not away', async (t) => {
  const { server, start } = await world(t);
  const client = start({ onAway: () => assert.fail('nobody was away') });
  await server.until(() => server.keepAlives.length === 1);
  server.drop();
  await server.until(() => server.keepAlives.length === 2);
  assert.equal(client.isAway, false);
});

test('a server that reads and does not answer is away', async (t) => {
  const { server, clock, start } = await world(t);
  const away = deferred<void>();
  server.onKeepAlive = () => undefined;
  start({ onAway: away.resolve });
  await server.until(() => server.keepAlives.length === 1);
  clock.advance(AWAY_MS - 1);
  await server.until(() => server.keepAlives.length === 2);
  clock.advance(1);
  await away.promise;
});

test('nothing is said after the end, also when nobody ever answered', async (t) => {
  const { relay, start } = await world(t);
  relay.freeze();
  const client = start();
  await relay.until(1);
  await client[Symbol.asyncDispose]();
});
