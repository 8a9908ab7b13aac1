import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Request, SessionKind } from '../../../gen/meta.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { asIno } from '../../../src/common/ids.ts';
import { type Deferred, deferred, delay } from '../../../src/common/lifecycle.ts';
import { silentLogger } from '../../../src/common/log.ts';
import { SessionClient } from '../../../src/common/rpc/session-client.ts';
import { JournalState } from '../../../src/mount/core/journal-state.ts';
import { MountLeases } from '../../../src/mount/mount-leases.ts';
import { leasedFiles } from '../../support/leased-files.ts';
import { journalOn, MemoryJournal } from '../../support/memory-journal.ts';
import { CLUSTER, NODE, ScriptedMetaserver } from '../../support/scripted-metaserver.ts';

const FILE = asIno(2000);
const SID = 7;
const BEFORE = 10;
const NOW = 11;

/** Nothing of it is answered but releases and what settles. */
class Started {
  readonly log: string[] = [];
  readonly journal;
  readonly adopted: Deferred<void> = deferred();
  readonly published: Deferred<void> = deferred();
  readonly server: ScriptedMetaserver;
  leave: () => Promise<void> = () => Promise.reject(new Error('it is not served'));

  private constructor(server: ScriptedMetaserver, left: boolean) {
    this.server = server;
    this.journal = journalOn(new MemoryJournal(), stateOf(left));
  }

  /** The next process of a node is on its way. */
  static async begin(
    t: TestContext,
    options: { readonly left: boolean; readonly sid: number },
  ): Promise<Started> {
    const dir = await mkdtemp(join(tmpdir(), 'dfs-leases-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const server = await ScriptedMetaserver.start(join(dir, 's'));
    t.after(() => server[Symbol.asyncDispose]());
    server.onHello = () => {
      server.welcome(options.sid);
      server.push({ $case: 'recall', value: { ino: 2000n, lseq: 40n, keepShared: false } });
    };
    const started = new Started(server, options.left);
    started.#mount(t, join(dir, 's')).catch((error) => started.log.push(String(error)));
    return started;
  }

  /** The log once it has grown to `length`, and had time to grow further. */
  async logged(length: number): Promise<string[]> {
    while (this.log.length < length) await delay(2);
    await delay(30);
    return this.log;
  }

  async #mount(t: TestContext, socketPath: string): Promise<void> {
    const { journal } = this;
    const clock = new ManualClock();
    const bootMs = (): number => clock.bootMs();
    const member = {
      leaseEndMs: () => Number.MAX_SAFE_INTEGER,
      onHeard: () => undefined,
      onEnded: () => undefined,
    };
    const leasing = new MountLeases({ member, journal, log: silentLogger, waitMs: 60_000, bootMs });
    const session = await SessionClient.open({
      address: `unix:${socketPath}`,
      clusterId: CLUSTER,
      nodeId: NODE,
      nodeName: 'test',
      kind: SessionKind.MOUNT,
      instance: NOW,
      waitMs: 60_000,
      bootMs,
      log: silentLogger,
      follows: leasing.asks(NOW),
      onWelcome: (welcome) => leasing.onWelcome(welcome),
      onPush: (frame) => leasing.onPush(frame),
    });
    t.after(() => session[Symbol.asyncDispose]());
    leasing.begin(session);
    t.after(() => leasing[Symbol.asyncDispose]());
    leasing.leases.files = leasedFiles({
      isOpen: () => false,
      mayWrite: () => false,
      publish: async (ino) => {
        this.log.push(`publishes ${ino}, which was called back`);
      },
    });
    leasing.vfs = {
      adopt: async () => {
        await this.adopted.promise;
        this.log.push('knows what was left');
      },
      evicted: () => undefined,
      tellOpen: () => [],
      publishAll: async () => 0,
      publishNow: async () => {
        await this.published.promise;
        this.log.push('has published');
        return 0;
      },
    };
    this.#watch(session);
    await leasing.adopt();
    this.log.push('is served');
    this.leave = () => leasing.leave(1_000);
  }

  #watch(session: SessionClient): void {
    const request = session.request.bind(session);
    session.request = (op, ...rest) => {
      this.log.push(`says ${op.$case}`);
      return request(op, ...rest);
    };
  }
}

/** What the process before left, if anything. */
function stateOf(left: boolean): JournalState {
  const state = new JournalState();
  state.apply({ kind: 'welcomed', instance: BEFORE, sid: SID });
  const file = { ino: FILE, isLocal: false, isFenced: false, cuts: 0, lseq: 4, end: 1 };
  const ranges = [{ start: 0, end: 1 }];
  const mtime = { sec: 0, nsec: 0 };
  if (left) state.apply({ kind: 'wrote', file: { ...file, mtime }, ranges });
  return state;
}

test('recalls are heard once it is known what was left, and then it settles', async (t) => {
  const started = await Started.begin(t, { left: true, sid: SID });
  const { journal, server } = started;
  await server.until(() => server.hellos === 1);
  assert.deepEqual(server.hello?.follows, [BigInt(BEFORE)]);
  await delay(30);
  assert.deepEqual(started.log, []);
  assert.equal(journal.sid, SID);
  assert.equal(journal.files.get(FILE)?.isFenced, false);
  started.adopted.resolve();
  const log = await started.logged(4);
  assert.deepEqual(log, [
    'knows what was left',
    `publishes ${FILE}, which was called back`,
    'is served',
    'says release',
  ]);
  started.published.resolve();
  assert.deepEqual((await started.logged(6)).slice(4), ['has published', 'says settled']);
});

test('in another session everything that was left is fenced, and nothing to settle', async (t) => {
  const started = await Started.begin(t, { left: true, sid: SID + 1 });
  const { journal, server } = started;
  await server.until(() => server.hellos === 1);
  started.adopted.resolve();
  started.published.resolve();
  const log = await started.logged(4);
  assert.equal(journal.sid, SID + 1);
  assert.equal(journal.files.get(FILE)?.isFenced, true);
  assert.ok(!log.includes('says settled'), log.join());
});

test('a process that left nothing is not followed', async (t) => {
  const { adopted, journal, server } = await Started.begin(t, { left: false, sid: SID });
  await server.until(() => server.hellos === 1);
  assert.deepEqual(server.hello?.follows, []);
  adopted.resolve();
  await delay(30);
  assert.deepEqual(journal.follows(1000), []);
});

test('who asks is in the journal before it asks', async (t) => {
  const started = await Started.begin(t, { left: true, sid: SID });
  const { adopted, journal, published, server } = started;
  const known: (readonly number[])[] = [];
  server.onHello = () => {
    known.push(journal.follows(0));
    server.welcome(SID);
  };
  adopted.resolve();
  published.resolve();
  assert.ok((await started.logged(3)).includes('is served'));
  assert.deepEqual(known, [[BEFORE, NOW]]);
});

for (const left of [true, false]) {
  test(`the session is ${left ? 'left to the next mount' : 'ended'} in good order`, async (t) => {
    const started = await Started.begin(t, { left, sid: SID });
    const { adopted, published, server } = started;
    adopted.resolve();
    published.resolve();
    await started.logged(4);
    const leaving = started.leave();
    if (!left) {
      const isLeave = ({ op }: Request): boolean => op?.$case === 'leave';
      await server.until(() => server.requests.some(isLeave));
      server.reply(server.requests.find(isLeave)?.id ?? 0n);
    }
    await leaving;
    assert.equal(started.log.includes('says leave'), !left);
  });
}
