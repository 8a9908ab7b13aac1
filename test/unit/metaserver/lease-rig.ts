/** A mount on an engine without sockets: its replies with their leases, and what it is called for. */
import assert from 'node:assert/strict';
import {
  type FileLock,
  type Glimpse,
  type GlimpsedRequest,
  Reply,
  type Request,
  type ServerFrame,
  type Unpublished,
} from '../../../gen/meta.ts';
import { errnoName } from '../../../src/common/errno.ts';
import type { MetaEngine } from '../../../src/metaserver/engine.ts';
import type { Session, SessionSink } from '../../../src/metaserver/session.ts';
import type { SessionIdentity } from '../../../src/metaserver/session-table.ts';
import { type Life, nodeNamed, turn } from './member.ts';
import { makeOp, type Op, requestId } from './rig.ts';

type Body = NonNullable<ServerFrame['body']>;
type Grant = Reply['grants'][number];
type Options = Partial<Pick<Request, 'id' | 'noGrant' | 'requestId'>>;

export interface Asked {
  /** `waits`, `ok`, or the name of an error. */
  outcome: string;
  reply: Reply | undefined;
}

/** What a Grant is of, as these tests name it: `exclusive 1024`. */
function named({ ino, exclusive }: Grant): string {
  return `${exclusive ? 'exclusive' : 'shared'} ${ino}`;
}

export function mountNamed(
  name: string,
  instance: bigint,
  follows: readonly bigint[],
): SessionIdentity {
  return { nodeId: nodeNamed(name), nodeName: name, kind: 'mount', instance, follows };
}

export class LeaseMount implements SessionSink {
  readonly session: Session;
  /** Replies and recalls in the order they came: `ok make`, `recall 1024`. */
  readonly log: string[] = [];
  /** What it tells who looks at what it may write. */
  unpublished: Unpublished | 'silent' | undefined;
  readonly glimpses: bigint[] = [];
  /** What it says it has locked when it is called; undefined: it says nothing. */
  locked: FileLock[] | undefined = [];
  /** Files it was let decide about. */
  readonly #delegated = new Map<bigint, bigint>();
  /** The code its stream was ended with. */
  closed: string | undefined;
  readonly #engine: MetaEngine;
  /** The newest grant by inode. */
  readonly #lseqs = new Map<bigint, bigint>();
  #unique = 0;

  private constructor(engine: MetaEngine, session: Session) {
    this.#engine = engine;
    this.session = session;
  }

  static async open(
    life: Pick<Life, 'engine'>,
    name: string,
    instance = 1n,
    follows: readonly bigint[] = [],
  ): Promise<LeaseMount> {
    const { session } = await life.engine.openSession(mountNamed(name, instance, follows));
    const mount = new LeaseMount(life.engine, session);
    session.sink = mount;
    life.engine.heard(session);
    life.engine.attach(session, () => undefined);
    await turn();
    return mount;
  }

  push(body: Body): void {
    if (body.$case === 'glimpse') this.#glimpsed(body.value);
    if (body.$case === 'lockRecall') this.#giveBack(body.value.ino);
    if (body.$case === 'lockGranted') this.log.push(`locked ${body.value.ticket}`);
    if (body.$case !== 'recall') return;
    const { ino, lseq, keepShared } = body.value;
    const stale = lseq === this.#lseqs.get(ino) ? '' : ' of an unknown lease';
    this.log.push(`recall ${ino}${keepShared ? ' to shared' : ''}${stale}`);
  }

  #giveBack(ino: bigint): void {
    this.log.push(`lock recall ${ino}`);
    if (this.locked === undefined) return;
    const locks = this.locked.filter((lock) => lock.ino === ino);
    const delegation = this.#delegated.get(ino) ?? 0n;
    this.send({ $case: 'returnLocks', value: { ino, delegation, locks } });
  }

  #glimpsed({ id, ino, lseq }: Glimpse): void {
    this.glimpses.push(id);
    if (this.unpublished !== 'silent') this.tell({ id, ino, lseq, unpublished: this.unpublished });
  }

  /** Answers a glimpse. */
  tell(value: GlimpsedRequest): void {
    const request = { id: 1n, requestId: undefined, op: { $case: 'glimpsed', value } } as const;
    this.#engine.execute(this.session, request, () => undefined);
  }

  close(code: string): void {
    this.closed = code;
    this.session.sink = undefined;
  }

  /** Sent now, answered whenever; mutations under an id of their own. */
  send(op: Op, options: Options = {}): Asked {
    this.#unique += 2;
    const asked: Asked = { outcome: 'waits', reply: undefined };
    const request = { id: 1n, requestId: requestId(this.#unique), ...options, op };
    this.#engine.execute(this.session, request, (bytes) => {
      const reply = Reply.decode(bytes);
      asked.reply = reply;
      asked.outcome = reply.errno === 0 ? 'ok' : errnoName(reply.errno);
      for (const { ino, lseq } of reply.grants) this.#lseqs.set(ino, lseq);
      if (op.$case === 'lock' && reply.result?.$case === 'lock' && op.value.lock !== undefined) {
        this.#delegated.set(op.value.lock.ino, reply.result.value.delegation);
      }
      this.log.push(`${asked.outcome} ${op.$case}`);
    });
    return asked;
  }

  /** As send, with time for what need not wait for anybody. */
  async ask(op: Op, options: Options = {}): Promise<Asked> {
    const asked = this.send(op, options);
    await turn();
    return asked;
  }

  /** A file with the right to write it. @returns its ino */
  async create(name: string): Promise<bigint> {
    const { reply } = await this.ask(makeOp(name));
    assert.ok(reply?.result?.$case === 'make');
    const ino = reply.result.value.attr?.ino ?? 0n;
    assert.deepEqual(reply.grants.map(named), [`exclusive ${ino}`]);
    return ino;
  }

  /** Gives up what it was granted last. */
  async release(
    ino: bigint,
    options: {
      readonly keepShared?: boolean;
      readonly open?: boolean;
      readonly lseq?: bigint;
    } = {},
  ): Promise<void> {
    const { keepShared = false, open = false, lseq = this.lseq(ino) } = options;
    const released = { ino, lseq, keepShared, open, progress: false };
    await this.ask({ $case: 'release', value: { leases: [released] } });
  }

  /** It works on a recall. */
  async progress(ino: bigint): Promise<void> {
    const lseq = this.lseq(ino);
    const released = { ino, lseq, keepShared: false, open: false, progress: true };
    await this.ask({ $case: 'release', value: { leases: [released] } });
  }

  keepAlive(): void {
    const { sid, sepoch } = this.session;
    const sessions = [{ sid: BigInt(sid), sepoch: BigInt(sepoch) }];
    this.#engine.keepAlive({ seq: 1n, sessions });
  }

  lseq(ino: bigint): bigint {
    const lseq = this.#lseqs.get(ino);
    assert.ok(lseq !== undefined, `nothing was granted of ${ino}`);
    return lseq;
  }

  get recalls(): string[] {
    return this.log.filter((line) => line.startsWith('recall'));
  }
}

export function grantsOf({ reply }: Asked): string[] {
  return (reply?.grants ?? []).map(named);
}

export function leaseOp(ino: bigint, exclusive = false): Op {
  return { $case: 'lease', value: { ino, exclusive } };
}

export function lookupOp(name: string, grantParent = false): Op {
  return { $case: 'lookup', value: { parent: 1n, name: Buffer.from(name), grantParent } };
}

export function getattrOp(ino: bigint, committed = false): Op {
  return { $case: 'getattr', value: { ino, committed } };
}

/** Of a file in the first group, whose home is in its first life. */
export function publishOp(ino: bigint, size: bigint): Op {
  const mtime = { sec: 2_000_000_000n, nsec: 0 };
  return { $case: 'flushAttr', value: { ino, size, mtime, cuts: 0n, rgEpoch: 2n } };
}

/** Nothing of before is held any more. */
export function settledOp(...open: bigint[]): Op {
  return { $case: 'settled', value: { open } };
}

export function chmodOp(ino: bigint, mode: number): Op {
  return {
    $case: 'setattr',
    value: {
      ino,
      mode,
      atime: undefined,
      mtime: undefined,
      atimeNow: false,
      mtimeNow: false,
      killSuidgid: false,
      caller: { uid: 0, gid: 0 },
      cut: false,
      cuts: 0n,
    },
  };
}

/** The version of a file's data, as a reply tells. */
export function dvOf({ reply }: Asked): bigint {
  assert.ok(reply?.result?.$case === 'attr');
  return reply.result.value.attr?.dv ?? 0n;
}

/** The mode of a file, as a reply tells. */
export function modeOf({ reply }: Asked): number {
  assert.ok(reply?.result?.$case === 'attr');
  return (reply.result.value.attr?.mode ?? 0) & 0o777;
}
