/**
 * One simulated metaserver with its clients: a network that delays, reorders, repeats and loses,
 * a disk that forgets what was not synced, and processes that die. The model executes each request
 * at the moment the server does; replies, every batch and every restart are compared with it.
 */
import assert from 'node:assert/strict';
import { Reply, type Request } from '../../gen/meta.ts';
import { ManualClock } from '../../src/common/clock.ts';
import { asClusterId, asNodeId } from '../../src/common/ids.ts';
import { silentLogger } from '../../src/common/log.ts';
import { foundingWrites } from '../../src/metaserver/cluster.ts';
import type { Writes } from '../../src/metaserver/core/txn.ts';
import { MetaEngine } from '../../src/metaserver/engine.ts';
import { checkNamespace } from '../../src/metaserver/fsck.ts';
import type { Kv } from '../../src/metaserver/kv.ts';
import { GONE_MS, type Session, type SessionSink } from '../../src/metaserver/session.ts';
import { Binding } from './binding.ts';
import { applyWrites, HeldKv, tick } from './held-kv.ts';
import { Database } from './invariants.ts';
import { ModelTree } from './model-tree.ts';
import type { ModelOp, Outcome } from './model-types.ts';
import { Generator, toWire } from './operations.ts';
import { Random } from './random.ts';
import { type Client, type Sent, SimClient } from './sim-client.ts';
import type { Tally } from './tally.ts';

const CLUSTER = asClusterId('cc'.repeat(16));
const FOUNDER = asNodeId('01'.repeat(16));
const IN_FLIGHT_MAX = 8;

export interface WorldOptions {
  readonly seed: number;
  readonly steps: number;
  readonly tally: Tally;
  /** Stands between the engine and the disk: a broken one must be caught. */
  readonly wrap?: (kv: HeldKv) => Kv;
}

export class World {
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #clock = new ManualClock();
  readonly #binding = new Binding();
  readonly #generator: Generator;
  readonly #mounts: Client[] = [new SimClient('02'), new SimClient('03')];
  readonly #peer: Client = new SimClient('01', 'peer');
  readonly #acknowledged = new Set<string>();
  /** The model after each commit under way, oldest first, and after the last synced one. */
  readonly #committing: ModelTree[] = [];
  #durable: ModelTree;
  #tree: ModelTree;
  #kv = new HeldKv();
  #engine: MetaEngine | undefined;
  #tasks: (() => void)[] = [];
  #network: Sent[] = [];
  #late: { readonly session: Session; readonly sent: Sent }[] = [];
  #mayGrow = true;
  #nextNode = 2;
  #life = 0;
  /** While a session ends, step by step, what it kept open may or may not be there. */
  #settling = false;
  #error: Error | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#generator = new Generator(this.#random, this.#binding);
    this.#tree = ModelTree.founded(this.#nowMs());
    this.#durable = this.#tree.clone();
  }

  /** @throws AssertionError at the first difference between server and model */
  async run(): Promise<void> {
    await this.#found();
    await this.#restart();
    for (let step = 0; step < this.#options.steps; step += 1) {
      this.#clock.advance(1 + this.#random.below(20));
      await this.#step();
      await tick();
      if (this.#error !== undefined) throw this.#error;
    }
    await this.#finish();
  }

  async #step(): Promise<void> {
    if (!this.#mayGrow && this.#random.chance(0.03)) this.#mayGrow = true;
    const roll = this.#random.below(1000);
    if (roll < 300) this.#send();
    else if (roll < 580) this.#deliver();
    else if (roll < 640) this.#repeat();
    else if (roll < 820) this.#runTasks();
    else if (roll < 970) this.#kv.sync();
    else if (roll < 980) this.#deliverLate();
    else if (roll < 985) this.#fillDisk();
    else if (roll < 994) await this.#crash();
    else await this.#restartClient();
  }

  #send(): void {
    const client = this.#random.chance(0.1) ? this.#peer : this.#random.some(this.#mounts);
    assert.ok(client);
    if (client.outstanding.size >= IN_FLIGHT_MAX) return;
    const op = client === this.#peer ? this.#reclaimed() : this.#generator.next(this.#tree);
    this.#network.push(
      client.send(op, toWire(op, this.#binding, this.#rgEpoch), this.#random.chance(0.5)),
    );
  }

  /** Of the group of all files, which the peer of the simulation leads all its life. */
  get #rgEpoch(): bigint {
    const { session } = this.#peer;
    assert.ok(session && this.#engine);
    return this.#engine.groupsOf(session)[0]?.epoch ?? 0n;
  }

  #reclaimed(): ModelOp {
    const known = [...this.#tree.garbage].filter((id) => this.#binding.knows(id));
    return { kind: 'reclaimed', nodes: known.filter(() => this.#random.chance(0.7)) };
  }

  #deliver(): void {
    const sent = this.#random.chance(0.7) ? this.#network[0] : this.#random.some(this.#network);
    if (sent === undefined) return;
    if (this.#network.find(({ client }) => client === sent.client) !== sent) {
      this.#options.tally.fault('reordered');
    }
    this.#network = this.#network.filter((other) => other !== sent);
    this.#execute(sent);
  }

  /** A client asks again although the first request arrived. */
  #repeat(): void {
    const client = this.#random.some(this.#mounts);
    const arrived = [...(client?.outstanding.values() ?? [])].filter((sent) => {
      return !this.#network.includes(sent);
    });
    const sent = this.#random.some(arrived);
    if (sent === undefined) return;
    this.#options.tally.fault('repeated');
    this.#execute(sent);
  }

  #execute(sent: Sent): void {
    const { op, client, key } = sent;
    const caller = { sid: client.sid, nowMs: this.#nowMs(), mayGrow: this.#mayGrow };
    const expected = this.#tree.execute(op, caller, key, this.#nextNode++);
    this.#options.tally.operation(op.kind, expected.error);
    this.#tallyRule(op, expected);
    this.#ask(client.session, sent.request, (reply) => this.#answered(sent, expected, reply));
  }

  /** Which rule of cutting and growing decided. */
  #tallyRule(op: ModelOp, { error }: Outcome): void {
    if (op.kind === 'flush' && error === 'ESTALE') {
      this.#options.tally.count(op.stale ? 'refused: another epoch' : 'refused: cut since');
    } else if (op.kind === 'setattr' && error === 'ESTALE') {
      this.#options.tally.count('refused: growth after a cut');
    } else if (op.kind === 'setattr' && error === undefined && op.size !== undefined) {
      this.#options.tally.count(op.cut ? 'cut' : 'resized');
    }
  }

  #answered(sent: Sent, expected: Outcome, reply: Reply): void {
    const { client, key } = sent;
    this.#binding.compare(expected, reply, JSON.stringify(sent.op));
    if (!client.outstanding.has(sent.id)) return;
    if (this.#random.chance(0.05)) {
      this.#options.tally.fault('reply lost');
      return;
    }
    client.outstanding.delete(sent.id);
    this.#options.tally.count('acknowledged');
    if (expected.error === undefined && key !== undefined) this.#acknowledged.add(key);
  }

  #ask(session: Session | undefined, request: Request, answered: (reply: Reply) => void): void {
    assert.ok(session && this.#engine);
    const life = this.#life;
    this.#engine.execute(session, request, (bytes) => {
      if (life !== this.#life) return;
      try {
        answered(Reply.decode(bytes));
      } catch (error) {
        this.#note(error);
      }
    });
  }

  /** A request of a process that is gone, still under way in the network. */
  #deliverLate(): void {
    const late = this.#random.some(this.#late);
    if (late === undefined) return;
    this.#options.tally.fault('late');
    this.#options.tally.operation(late.sent.op.kind, 'ESTALE');
    this.#ask(late.session, late.sent.request, (reply) => {
      this.#binding.compare({ error: 'ESTALE' }, reply, 'a late request');
    });
  }

  #fillDisk(): void {
    this.#mayGrow = false;
    this.#options.tally.fault('disk nearly full');
  }

  async #crash(): Promise<void> {
    const keep = this.#random.chance(0.5);
    const batch = keep ? 'crash, batch kept' : 'crash, batch lost';
    this.#options.tally.fault(this.#kv.unsyncedCount > 0 ? batch : 'crash, nothing under way');
    for (const client of [...this.#mounts, this.#peer]) {
      for (const sent of client.outstanding.values()) this.#tallyUnanswered(sent);
    }
    const dead = this.#kv;
    this.#kv = dead.crash(keep);
    // What the dead server still does, between two awaits, reaches nobody.
    dead.onCommit = () => undefined;
    this.#committing.length = 0;
    this.#tree = this.#durable.clone();
    this.#life += 1;
    this.#late = [];
    for (const key of this.#acknowledged) {
      assert.ok(this.#tree.done.has(key), `acknowledged request ${key} was lost`);
    }
    for (const id of this.#binding.ids) {
      assert.ok(this.#tree.born.has(id), `node ${id} was told to a client and lost`);
    }
    await this.#restart();
    this.#resend();
  }

  #tallyUnanswered(sent: Sent): void {
    const unsent = this.#network.includes(sent);
    this.#options.tally.count(unsent ? 'still in the network at a crash' : 'in flight at a crash');
  }

  /** Everything unanswered goes out again under its old id, in the client's order. */
  #resend(): void {
    this.#network = [];
    for (const client of [...this.#mounts, this.#peer]) {
      this.#network.push(...client.outstanding.values());
    }
  }

  /** The next process of a node: what its predecessor kept open falls, its session may go on. */
  async #restartClient(): Promise<void> {
    const client = this.#random.some(this.#mounts);
    assert.ok(client && this.#engine);
    const { session, sid } = client;
    assert.ok(session);
    this.#settling = true;
    this.#network = this.#network.filter((sent) => sent.client !== client);
    this.#late = [...client.outstanding.values()].map((sent) => ({ session, sent }));
    const follows = this.#random.chance(0.5);
    client.reborn(follows);
    const opening = this.#engine.openSession(client.identity);
    if (this.#random.chance(0.3)) {
      await this.#pumpRounds(this.#random.below(6));
      this.#options.tally.fault('crash while a session ends');
      opening.catch(() => undefined);
      await this.#crash();
    } else client.welcome((await this.#pump(opening)).session);
    assert.ok(client.sid !== sid || follows, 'a session goes on that nobody follows');
    if (client.sid === sid) this.#options.tally.fault('session handed over');
    this.#options.tally.fault('client restarted');
    for (const tree of [this.#tree, this.#durable, ...this.#committing]) tree.endSession(sid);
    this.#settling = false;
  }

  async #found(): Promise<void> {
    const names = { clusterId: CLUSTER, clusterName: 'sim', nodeId: FOUNDER };
    const rootOwner = { uid: 0, gid: 0 };
    const writes = foundingWrites({ ...names, rootOwner, clock: this.#clock });
    const founded = this.#kv.commit(writes);
    this.#kv.sync();
    await founded;
  }

  async #restart(): Promise<void> {
    const kv = this.#kv;
    kv.onCommit = (writes) => this.#onCommit(writes);
    kv.onSync = () => this.#onSync();
    this.#tasks = [];
    const opening = MetaEngine.open({
      kv: this.#options.wrap?.(kv) ?? kv,
      clusterId: CLUSTER,
      clock: this.#clock,
      log: silentLogger,
      space: { mayGrow: () => this.#mayGrow, problem: () => undefined },
      schedule: (task) => this.#tasks.push(task),
      onFatal: (error) => this.#note(error),
    });
    const engine = await this.#pump(opening);
    this.#engine = engine;
    for (const client of [...this.#mounts, this.#peer]) {
      const { session, resumed } = await this.#pump(engine.openSession(client.identity));
      const known = client.session !== undefined;
      assert.equal(known && session.sid !== client.sid, false, 'a session was not resumed');
      assert.equal(known && !resumed, false, 'a session was not resumed');
      client.welcome(session);
      if (session.kind === 'mount') this.#settle(session);
    }
    // Files of the mounts, whose nodes store nothing, go to a peer that is here.
    assert.ok(this.#peer.session);
    this.#peer.session.sink = { push: (body) => this.#pushed(body), close: () => undefined };
    engine.attach(this.#peer.session, () => undefined);
    // A session that was ending may have had leases for so long.
    this.#clock.advance(GONE_MS);
    for (const { session } of [...this.#mounts, this.#peer]) if (session) engine.heard(session);
    engine.sweep();
    await this.#pumpRounds(2);
  }

  /** The only home confirms that it refuses an ended session. */
  #pushed(body: Parameters<SessionSink['push']>[0]): void {
    const { session } = this.#peer;
    if (body.$case !== 'fence' || session === undefined) return;
    const op = { $case: 'fenced' as const, value: body.value };
    this.#engine?.execute(session, { id: 0n, requestId: undefined, op }, () => undefined);
  }

  /** A server that starts anew waits for this. */
  #settle(session: Session): void {
    const op = { $case: 'settled' as const, value: { open: [] } };
    this.#engine?.execute(session, { id: 0n, requestId: undefined, op }, () => undefined);
  }

  #onCommit(writes: Writes): void {
    this.#committing.push(this.#tree.clone());
    const records = this.#kv.newest();
    applyWrites(records, writes);
    try {
      const database = new Database(records);
      database.check();
      if (!this.#settling) this.#binding.compareTree(this.#tree, database);
    } catch (error) {
      this.#note(error);
    }
  }

  #onSync(): void {
    const tree = this.#committing.shift();
    if (tree !== undefined) this.#durable = tree;
  }

  #runTasks(): void {
    for (const task of this.#tasks.splice(0)) task();
  }

  async #pumpRounds(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      this.#runTasks();
      this.#kv.sync();
      await tick();
    }
  }

  async #pump<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    while (!done) {
      await this.#pumpRounds(1);
      if (this.#error !== undefined) throw this.#error;
    }
    return settled;
  }

  /** Lets everything arrive, then restarts once more and compares what is on disk. */
  async #finish(): Promise<void> {
    this.#mayGrow = true;
    for (let round = 0; round < 100; round += 1) {
      this.#resend();
      while (this.#network.length > 0) this.#deliver();
      await this.#pumpRounds(3);
      if (this.#error !== undefined) throw this.#error;
      if ([...this.#mounts, this.#peer].every(({ outstanding }) => outstanding.size === 0)) break;
    }
    await this.#crash();
    await this.#pumpRounds(3);
    if (this.#error !== undefined) throw this.#error;
    const database = new Database(this.#kv.synced());
    database.check();
    this.#binding.compareTree(this.#tree, database);
    const signal = new AbortController().signal;
    const { findings } = await checkNamespace({ snapshot: this.#kv.snapshot(), signal });
    assert.deepEqual(findings, [], 'a check of the namespace finds something');
  }

  #note(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
  }

  #nowMs(): number {
    const { sec, nsec } = this.#clock.realtime();
    return sec * 1000 + nsec / 1e6;
  }
}
