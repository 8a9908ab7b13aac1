/** run/guardian.json: what the guardian says of itself and of the roles it starts again. */
import { readFile } from 'node:fs/promises';
import { systemCode, toFsError } from '../common/errno.ts';
import { isLocked } from '../common/state-lock.ts';
import type { StatePaths } from '../common/state-paths.ts';

/** `waiting`: it crashed, and is started again after a pause that grows. */
export type RoleState = 'up' | 'starting' | 'waiting' | 'ended';

export interface SupervisedRole {
  readonly state: RoleState;
  readonly restarts: number;
  /** ISO time. */
  readonly lastRestart: string | null;
  readonly backoffMs: number;
}

export interface Supervision {
  readonly state: 'up' | 'none';
  readonly pid: number | null;
  readonly roles: Readonly<Record<string, SupervisedRole>>;
}

const NONE: Supervision = { state: 'none', pid: null, roles: {} };
const ROLE_STATES: ReadonlySet<unknown> = new Set(['up', 'starting', 'waiting', 'ended']);

function isRoleState(value: unknown): value is RoleState {
  return ROLE_STATES.has(value);
}

function roleOf(value: unknown): SupervisedRole | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const state = fields.get('state');
  const last = fields.get('lastRestart');
  if (!isRoleState(state)) return undefined;
  return {
    state,
    restarts: Number(fields.get('restarts') ?? 0),
    lastRestart: typeof last === 'string' ? last : null,
    backoffMs: Number(fields.get('backoffMs') ?? 0),
  };
}

function decode(source: string): Supervision {
  const document: unknown = JSON.parse(source);
  if (typeof document !== 'object' || document === null) return NONE;
  const fields = new Map<string, unknown>(Object.entries(document));
  const pid = fields.get('pid');
  const listed = fields.get('roles');
  const roles: Record<string, SupervisedRole> = {};
  if (typeof listed === 'object' && listed !== null) {
    for (const [name, value] of Object.entries(listed)) {
      const role = roleOf(value);
      if (role !== undefined) roles[name] = role;
    }
  }
  return { state: 'up', pid: typeof pid === 'number' ? pid : null, roles };
}

/** What runs is told by its lock; a report without that is a leftover. */
export async function readSupervision(paths: StatePaths): Promise<Supervision> {
  if (isLocked(paths, 'guardian') === false) return NONE;
  try {
    return decode(await readFile(paths.guardianReport, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return NONE;
    if (systemCode(error) === 'EACCES') return NONE;
    throw toFsError(error, `cannot read ${paths.guardianReport}`);
  }
}
