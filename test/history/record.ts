/**
 * The lines that `test/support/workload/history.py` writes, put together again: one entry for each
 * call, of all processes on all mounts.
 */
import { readFileSync } from 'node:fs';

/** What a call gave, as the program that made it understood it. */
export type Value = unknown;

export interface Entry {
  readonly client: string;
  readonly mount: number;
  readonly op: string;
  /** Relative to the mountpoint; for calls by name, the folder of their round. */
  readonly file: string;
  /** Identifies the descriptor, with the client. */
  readonly handle: number;
  readonly invokeNs: number;
  /** Infinity when the process ended first. */
  readonly returnNs: number;
  /** The name of an error, `KILLED` when the process ended first. */
  readonly error: string | undefined;
  readonly value: Value;
  /** When the descriptor that it went through was opened. */
  readonly heldSinceNs: number;
  readonly about: Begin;
}

interface Begin {
  readonly c: number;
  readonly i: number;
  readonly op: string;
  readonly f: string;
  readonly t: number;
  readonly h?: number;
  readonly held?: number;
  /** Of a block its number, of a truncation the blocks that are left. */
  readonly b?: number;
  /** What was written: the value of a block, or a record. */
  readonly w?: number;
  readonly a?: string;
  readonly to?: string;
  readonly over?: boolean;
  readonly m?: number;
  readonly last?: boolean;
  /** Of a lock: its kind, whether it is exclusive, where, how long, and whether it would not wait. */
  readonly k?: string;
  readonly x?: boolean;
  readonly at?: number;
  readonly len?: number;
  readonly nb?: boolean;
  /** The value of the counter to which this one was added. */
  readonly after?: number;
}

interface End {
  readonly c: number;
  readonly i: number;
  readonly r: number;
  readonly e: string | null;
  readonly v: Value;
}

function entryOf(begin: Begin, end: End | undefined, mount: number): Entry {
  // A write that took less than it was given has had an effect that nobody asked for.
  const short = typeof end?.v === 'number' && (begin.op === 'pwrite' || begin.op === 'append');
  return {
    client: String(begin.c),
    mount,
    op: begin.op,
    file: begin.f,
    handle: begin.h ?? 0,
    invokeNs: begin.t,
    returnNs: end?.r ?? Number.POSITIVE_INFINITY,
    error: end === undefined ? 'KILLED' : (end.e ?? (short ? 'SHORT' : undefined)),
    value: end?.v,
    heldSinceNs: begin.held ?? begin.t,
    about: begin,
  };
}

/** One process after the other wrote it, each numbering its calls from 1. */
export function readRecord(path: string, mount: number): Entry[] {
  const begun = new Map<string, Begin>();
  const ended = new Map<string, End>();
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (!line.endsWith('}')) continue;
    const said = JSON.parse(line) as Begin | End;
    const key = `${said.c} ${said.i}`;
    if ('op' in said) begun.set(key, said);
    else ended.set(key, said);
  }
  return [...begun].map(([key, begin]) => entryOf(begin, ended.get(key), mount));
}
