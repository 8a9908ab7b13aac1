/**
 * What a history is: calls of several clients on one clock, each with the time it was made and the
 * time it returned. A call whose outcome nobody knows (an error, a killed program) stays open to
 * the end: it may have had its effect at any time after it was made, once, or never.
 */
export interface Timed {
  /** Who made it: a process. Calls of one client follow each other. */
  readonly client: string;
  /** On which machine. */
  readonly mount: number;
  readonly invokeNs: number;
  /** Infinity while nobody knows how it ended. */
  readonly returnNs: number;
  /** It may have had no effect at all. */
  readonly optional?: boolean;
}

/**
 * While a machine was killed, silent or cut off, what its programs had written and not synced may
 * have been lost.
 */
export interface Fault {
  readonly mount: number;
  readonly beginNs: number;
  readonly endNs: number;
}

export interface Violation {
  /** The block, file or group of names that it is about. */
  readonly object: string;
  /** One sentence. */
  readonly reason: string;
  /** The least set of calls that shows it, in the order in which they were made. */
  readonly calls: readonly string[];
}

export type Verdict =
  | { readonly kind: 'right' }
  | { readonly kind: 'undecided'; readonly object: string }
  | { readonly kind: 'wrong'; readonly violation: Violation };

export const RIGHT: Verdict = { kind: 'right' };

function seconds(ns: number): string {
  return Number.isFinite(ns) ? (ns / 1e9).toFixed(6) : 'never';
}

/** A line of an explanation. */
export function describe(call: Timed, what: string): string {
  const { client, mount, invokeNs, returnNs, optional = false } = call;
  const doubt = optional ? ', outcome unknown' : '';
  return `${seconds(invokeNs)} .. ${seconds(returnNs)} mount ${mount} ${client}: ${what}${doubt}`;
}

export function byTime(one: Timed, other: Timed): number {
  return one.invokeNs - other.invokeNs || one.returnNs - other.returnNs;
}

/** Of two calls, the first returned before the second was made. */
export function precedes(one: Timed, other: Timed): boolean {
  return one.returnNs < other.invokeNs;
}

export function wrong(object: string, reason: string, calls: readonly string[]): Verdict {
  return { kind: 'wrong', violation: { object, reason, calls } };
}

/** The lines of a violation as a person reads them. */
export function explain({ object, reason, calls }: Violation): string {
  return [`${object}: ${reason}`, ...calls.map((call) => `    ${call}`)].join('\n');
}
