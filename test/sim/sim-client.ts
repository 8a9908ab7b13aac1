import type { Request } from '../../gen/meta.ts';
import { asNodeId, type NodeId } from '../../src/common/ids.ts';
import type { Session } from '../../src/metaserver/session.ts';
import type { SessionIdentity } from '../../src/metaserver/session-table.ts';
import type { ModelOp } from './model-types.ts';

/** One request of one process, sent until it is answered. */
export interface Sent {
  readonly id: number;
  readonly client: Client;
  readonly op: ModelOp;
  readonly request: Request;
  /** Names a change for ever; undefined for reads and for what may be repeated. */
  readonly key: string | undefined;
}

export interface Client {
  readonly identity: SessionIdentity;
  readonly session: Session | undefined;
  readonly sid: number;
  readonly outstanding: Map<number, Sent>;
  send(op: ModelOp, wire: NonNullable<Request['op']>, withId: boolean): Sent;
  welcome(session: Session): void;
  /** A new process: it knows nothing of the requests of the old one, but may go on with its session. */
  reborn(follows: boolean): void;
}

const READS: ReadonlySet<string> = new Set(['lookup', 'getattr', 'readlink', 'readdir', 'statfs']);
const REPEATABLE: ReadonlySet<string> = new Set(['flush', 'close', 'reclaimed']);

export class SimClient implements Client {
  readonly outstanding = new Map<number, Sent>();
  readonly #nodeId: NodeId;
  readonly #kind: 'mount' | 'peer';
  #instance = 1n;
  #follows: readonly bigint[] = [];
  #session: Session | undefined;
  #nextId = 1;

  constructor(digits: string, kind: 'mount' | 'peer' = 'mount') {
    this.#nodeId = asNodeId(digits.repeat(16));
    this.#kind = kind;
  }

  get identity(): SessionIdentity {
    const { name: nodeName } = SimClient;
    const who = { nodeId: this.#nodeId, nodeName, kind: this.#kind, instance: this.#instance };
    return this.#kind === 'peer'
      ? { ...who, chunkAddress: ':7481' }
      : { ...who, follows: this.#follows };
  }

  get session(): Session | undefined {
    return this.#session;
  }

  get sid(): number {
    return this.#session?.sid ?? 0;
  }

  send(op: ModelOp, wire: NonNullable<Request['op']>, withId: boolean): Sent {
    const id = this.#nextId++;
    const named = !READS.has(op.kind) && (withId || !REPEATABLE.has(op.kind));
    const oldest = Math.min(id, ...this.outstanding.keys());
    const requestId = named
      ? { connection: this.#instance, unique: BigInt(id), acked: BigInt(oldest - 1) }
      : undefined;
    const key = named ? `${this.#nodeId}.${this.#instance}.${id}` : undefined;
    const sent = {
      id,
      client: this,
      op,
      request: { id: BigInt(id), requestId, noGrant: true, op: wire },
      key,
    };
    this.outstanding.set(id, sent);
    return sent;
  }

  welcome(session: Session): void {
    this.#session = session;
  }

  reborn(follows: boolean): void {
    this.outstanding.clear();
    this.#session = undefined;
    this.#follows = follows ? [this.#instance] : [];
    this.#instance += 1n;
  }
}
