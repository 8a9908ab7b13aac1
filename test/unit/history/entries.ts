/** Short records for tests, as `test/support/workload/history.py` writes them. */
import type { Entry } from '../../history/record.ts';
import type { Interval } from './calls.ts';

export interface Told {
  readonly client?: string;
  readonly handle?: number;
  readonly heldSinceNs?: number;
  readonly error?: string;
  readonly value?: unknown;
  readonly about?: Partial<Entry['about']>;
}

let made = 0;

/** Of the one process of a mount, through its first descriptor, unless it says otherwise. */
export function entry(
  [mount, op, file]: readonly [number, string, string],
  [invokeNs, returnNs]: Interval,
  told: Told = {},
): Entry {
  const { client = `p${mount}`, handle = 1, heldSinceNs = invokeNs, error, value, about } = told;
  made += 1;
  const call = { client, mount, op, file, handle, invokeNs, returnNs, heldSinceNs };
  return { ...call, error, value, about: { c: 0, i: made, op, f: file, t: invokeNs, ...about } };
}
