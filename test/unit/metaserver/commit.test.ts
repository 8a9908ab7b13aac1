import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FsError } from '../../../src/common/errno.ts';
import { asEpoch } from '../../../src/common/ids.ts';
import { CommitPath, type View } from '../../../src/metaserver/commit.ts';
import { HeldKv, tick } from '../../sim/held-kv.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

class Rig {
  readonly kv = new HeldKv();
  readonly fatal: Error[] = [];
  readonly path = new CommitPath({
    kv: this.kv,
    shardEpoch: asEpoch(1),
    writesPendingMax: 3,
    onFatal: (error) => this.fatal.push(error),
  });

  put(key: string, value: string | undefined): View {
    const view = this.path.view();
    const stored = value === undefined ? undefined : bytes(value);
    this.path.submit(view, new Map([[key, stored]]));
    return view;
  }

  /** Becomes true when everything the view depends on is durable. */
  watch(view: View): { done: boolean } {
    const watched = { done: false };
    this.path.whenDurable(view, (error) => {
      watched.done = error === undefined;
    });
    return watched;
  }

  async sync(): Promise<void> {
    await tick();
    this.kv.sync();
    await tick();
  }
}

function read(view: View, key: string): string | undefined {
  const value = view.get(key);
  return value === undefined ? undefined : Buffer.from(value).toString();
}

describe('the commit path', () => {
  it('lets a reply go only after the batch of its writes is synced', async () => {
    const rig = new Rig();
    const watched = rig.watch(rig.put('a', '1'));
    await tick();
    assert.equal(watched.done, false);
    assert.equal(rig.kv.unsyncedCount, 1);
    await rig.sync();
    assert.equal(watched.done, true);
  });

  it('shows uncommitted writes to reads, newest first, and deletes too', async () => {
    const rig = new Rig();
    rig.put('a', 'committing');
    await tick();
    rig.put('b', 'pending');
    const view = rig.path.view();
    assert.equal(read(view, 'a'), 'committing');
    assert.equal(read(view, 'b'), 'pending');
    rig.put('a', undefined);
    assert.equal(read(view, 'a'), undefined);
  });

  it('makes a reader wait for what it has seen, and for no more', async () => {
    const rig = new Rig();
    rig.put('a', '1');
    await tick();
    rig.put('b', '2');
    const [older, newer, free] = [rig.path.view(), rig.path.view(), rig.path.view()];
    read(older, 'a');
    read(newer, 'b');
    read(newer, 'a');
    read(free, 'c');
    const [sawOlder, sawNewer, sawNothing] = [older, newer, free].map((view) => rig.watch(view));
    assert.deepEqual([sawOlder?.done, sawNewer?.done, sawNothing?.done], [false, false, true]);
    await rig.sync();
    assert.deepEqual([sawOlder?.done, sawNewer?.done], [true, false]);
    await rig.sync();
    assert.equal(sawNewer?.done, true);
  });

  it('makes a reader wait for a delete it has seen', async () => {
    const rig = new Rig();
    rig.put('a', undefined);
    const view = rig.path.view();
    assert.equal(read(view, 'a'), undefined);
    const watched = rig.watch(view);
    assert.equal(watched.done, false);
    await rig.sync();
    assert.equal(watched.done, true);
  });

  it('waits for the newer batch after a first one that is durable by now', async () => {
    const rig = new Rig();
    const view = rig.put('a', '1');
    await rig.sync();
    rig.put('b', '2');
    await tick();
    read(view, 'b');
    assert.equal(rig.watch(view).done, false);
  });

  it('gathers while a batch is under way and commits that in one', async () => {
    const rig = new Rig();
    const batches: number[] = [];
    rig.kv.onCommit = (writes) => batches.push(writes.size);
    rig.put('a', '1');
    await tick();
    rig.put('b', '2');
    rig.put('c', '3');
    rig.put('c', '4');
    await rig.sync();
    await rig.sync();
    assert.deepEqual(batches, [1, 2]);
    assert.deepEqual(rig.path.counts, { commits: 4, batches: 2 });
  });

  it('asks for patience above its limit and tells when there is room', async () => {
    const rig = new Rig();
    rig.put('first', '1');
    await tick();
    for (const key of ['a', 'b', 'c']) rig.put(key, '1');
    assert.equal(rig.path.congested, true);
    let relieved = false;
    rig.path.onRelief(() => {
      relieved = true;
    });
    await rig.sync();
    assert.deepEqual([relieved, rig.path.congested], [true, false]);
  });

  it('fails everything once a commit fails, and says so once', async () => {
    const rig = new Rig();
    const errors: (FsError | undefined)[] = [];
    for (const key of ['a', 'b']) {
      rig.path.whenDurable(rig.put(key, '1'), (error) => errors.push(error));
      await tick();
    }
    rig.kv.fail(new Error('no space left'));
    await tick();
    assert.equal(rig.fatal.length, 1);
    assert.deepEqual(
      errors.map((error) => error?.code),
      ['EIO', 'EIO'],
    );
    assert.throws(() => rig.put('c', '1'), FsError);
    await assert.rejects(rig.path.durable(rig.path.view()), { code: 'EIO' });
    assert.equal(rig.kv.unsyncedCount, 0, 'nothing is written after a failure');
    await rig.path.drain();
  });

  it('drains: everything submitted is durable afterwards', async () => {
    const rig = new Rig();
    rig.put('a', '1');
    await tick();
    rig.put('b', '2');
    let drained = false;
    const draining = rig.path.drain().then(() => {
      drained = true;
    });
    await rig.sync();
    assert.equal(drained, false);
    await rig.sync();
    await draining;
  });
});

describe('a scan', () => {
  async function scanned(rig: Rig, limit: number): Promise<string[]> {
    const entries = await rig.path.scan(rig.path.view(), { gte: 'k', lt: 'l', limit });
    return entries.map(([key, value]) => `${key}=${Buffer.from(value).toString()}`);
  }

  async function store(rig: Rig, ...keys: string[]): Promise<void> {
    for (const key of keys) rig.put(key, 'stored');
    await rig.sync();
  }

  it('merges uncommitted writes over stored entries, in order', async () => {
    const rig = new Rig();
    await store(rig, 'k1', 'k3', 'k5');
    rig.put('k3', 'new');
    rig.put('k2', 'new');
    await tick();
    rig.put('k5', undefined);
    assert.deepEqual(await scanned(rig, 10), ['k1=stored', 'k2=new', 'k3=new']);
  });

  it('fills a page although uncommitted deletes hide stored entries', async () => {
    const rig = new Rig();
    await store(rig, 'k1', 'k2', 'k3', 'k4', 'k5');
    rig.put('k1', undefined);
    rig.put('k2', undefined);
    assert.deepEqual(await scanned(rig, 2), ['k3=stored', 'k4=stored']);
  });

  it('leaves no gap between a full page and an uncommitted entry beyond it', async () => {
    const rig = new Rig();
    await store(rig, 'k1', 'k2', 'k3', 'k4');
    rig.put('k9', 'new');
    assert.deepEqual(await scanned(rig, 2), ['k1=stored', 'k2=stored']);
    assert.deepEqual((await scanned(rig, 5)).at(-1), 'k9=new');
  });

  it('shows the moment of the call, not later writes', async () => {
    const rig = new Rig();
    await store(rig, 'k1');
    const asked = scanned(rig, 10);
    rig.put('k2', 'late');
    assert.deepEqual(await asked, ['k1=stored']);
  });

  it('makes its reader wait for what it merged', async () => {
    const rig = new Rig();
    rig.put('k1', 'new');
    const view = rig.path.view();
    await rig.path.scan(view, { gte: 'k', lt: 'l', limit: 5 });
    assert.equal(rig.watch(view).done, false);
  });
});
