/** A node's session on an engine without sockets: what it is told is kept, its clock is the test's. */
import assert from 'node:assert/strict';
import type { ClusterMap, DialBack, ServerFrame } from '../../../gen/meta.ts';
import { ManualClock } from '../../../src/common/clock.ts';
import { asNodeId, type NodeId } from '../../../src/common/ids.ts';
import type { MetaEngine } from '../../../src/metaserver/engine.ts';
import { MemoryKv } from '../../../src/metaserver/kv.ts';
import type { Session, SessionSink } from '../../../src/metaserver/session.ts';
import type { SessionIdentity } from '../../../src/metaserver/session-table.ts';
import { NODE } from './fixture.ts';
import { ask, foundIn, type Op, openEngine } from './rig.ts';

type Body = NonNullable<ServerFrame['body']>;

/** One engine after the other on the same store. */
export class Life {
  readonly kv: MemoryKv;
  readonly clock: ManualClock;
  readonly engine: MetaEngine;

  private constructor(kv: MemoryKv, clock: ManualClock, engine: MetaEngine) {
    this.kv = kv;
    this.clock = clock;
    this.engine = engine;
  }

  static async first(): Promise<Life> {
    const kv = new MemoryKv();
    await foundIn(kv);
    const clock = new ManualClock();
    return new Life(kv, clock, await openEngine(kv, undefined, clock));
  }

  async next(): Promise<Life> {
    await this.settled();
    return new Life(this.kv, this.clock, await openEngine(this.kv, undefined, this.clock));
  }

  /** Everything under way is durable, and everybody has been told. */
  async settled(): Promise<void> {
    await this.engine.drain();
    await turn();
  }

  /** So much time passes, with a look at who is gone at its end. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    this.engine.sweep();
    await this.settled();
  }
}

/** Longer than what is put off to the next turn of the event loop. */
export async function turn(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

export function nodeNamed(name: string): NodeId {
  if (name === 'founder') return NODE;
  return asNodeId(Buffer.from(name.padEnd(16, '.')).toString('hex'));
}

/** As the wire has it. */
export function nodeBytes(name: string): Buffer {
  return Buffer.from(nodeNamed(name), 'hex');
}

export interface MemberOptions {
  readonly name: string;
  readonly chunkAddress?: string | undefined;
  readonly instance?: bigint;
}

export class Member implements SessionSink {
  readonly session: Session;
  readonly pushed: Body[] = [];
  /** The code its stream was ended with. */
  closed: string | undefined;
  /** What its Welcome said. */
  readonly #life: Life;

  private constructor(life: Life, session: Session) {
    this.#life = life;
    this.session = session;
  }

  static async peer(life: Life, options: MemberOptions): Promise<Member> {
    const { engine } = life;
    const { session } = await engine.openSession(identity(options, 'peer'));
    const member = new Member(life, session);
    engine.heard(session);
    session.sink?.close('replaced', '');
    session.sink = member;
    engine.attach(session, () => undefined);
    await life.settled();
    return member;
  }

  static async mount(life: Life, options: MemberOptions): Promise<Member> {
    const { engine } = life;
    const { session } = await engine.openSession(identity(options, 'mount'));
    const member = new Member(life, session);
    engine.heard(session);
    session.sink?.close('replaced', '');
    session.sink = member;
    engine.attach(session, () => undefined);
    await turn();
    return member;
  }

  push(body: Body): void {
    this.pushed.push(body);
  }

  close(code: string): void {
    this.closed = code;
    this.leave();
  }

  /** Its stream ends. */
  leave(): void {
    if (this.session.sink !== this) return;
    this.session.sink = undefined;
    this.#life.engine.detach(this.session).catch((error: unknown) => assert.fail(String(error)));
  }

  /** @returns the code of the error, if there was one */
  async request(op: Op): Promise<string> {
    const answer = await ask(this.#life.engine, this.session, op);
    await turn();
    return typeof answer === 'string' ? answer : '';
  }

  keepAlive(): void {
    const { sid, sepoch } = this.session;
    const named = { sid: BigInt(sid), sepoch: BigInt(sepoch) };
    this.#life.engine.keepAlive({ seq: 1n, sessions: [named] });
  }

  get map(): ClusterMap {
    const last = this.maps.at(-1);
    assert.ok(last, 'no map was pushed');
    return last;
  }

  get maps(): ClusterMap[] {
    return this.pushed.flatMap((body) => (body.$case === 'map' ? [body.value] : []));
  }

  get dialBacks(): DialBack[] {
    return this.pushed.flatMap((body) => (body.$case === 'dialBack' ? [body.value] : []));
  }

  /** Answers the last DialBack. */
  async dialled(reached: boolean, message = ''): Promise<void> {
    const id = this.dialBacks.at(-1)?.id ?? 0n;
    await this.request({ $case: 'dialBackDone', value: { id, reached, message } });
    await this.#life.settled();
  }
}

function identity(options: MemberOptions, kind: 'peer' | 'mount'): SessionIdentity {
  const { name, chunkAddress, instance = 1n } = options;
  return { nodeId: nodeNamed(name), nodeName: name, kind, instance, chunkAddress };
}
