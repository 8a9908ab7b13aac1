/** What a session needs from its owner, and what it tells whoever waits for a request. */
import type { ServerFrame, SessionKind, Welcome } from '../../../gen/meta.ts';
import type { ClusterId, Ino, NodeId } from '../ids.ts';
import type { Logger } from '../log.ts';

/** What a peer says of its chunk service. */
export interface PeerHello {
  /** The host others should dial; empty: the one this connection comes from. */
  readonly advertise: string;
  /** 0: it serves no chunks. */
  readonly peerPort: number;
}

export interface SessionOptions {
  /** `unix:PATH` or HOST:PORT. */
  readonly address: string;
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  readonly nodeName: string;
  readonly kind: SessionKind;
  /** Random number of this process life. */
  readonly instance: number;
  /** How long a request waits for an unreachable server, milliseconds. */
  readonly waitMs: number;
  readonly bootMs: () => number;
  readonly log: Logger;
  /** Asked at each connection, since it may change. */
  readonly hello?: () => PeerHello;
  /** Asked at each connection: instances that may have the session to go on with (rule C16). */
  readonly follows?: () => readonly number[];
  /** After each (re)connection, before waiting requests are sent again. */
  onWelcome(welcome: Welcome): void;
  /** Frames the server sends unasked. */
  onPush(frame: ServerFrame): void;
}

/**
 * What a request waits for: an answer of the metaserver, this machine's disk, the home of a file,
 * what was begun with the same file here before, a lease, or a lock that somebody has.
 */
export type WaitsFor =
  | 'metaserver'
  | 'disk'
  | 'earlier'
  | `peer ${string}`
  | { readonly lease: Ino }
  | { readonly lock: Ino };

/** Who waits for a request: its interrupts, and what it shows it waits for. */
export interface Waiter {
  interrupt: (() => void) | undefined;
  interrupted: boolean;
  waitsFor: WaitsFor | undefined;
}
