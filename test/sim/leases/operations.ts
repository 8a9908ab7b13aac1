/** What each operation claims, does, and brings: as docs/PROTOCOL.md says under C1 and C3. */
import type { Ino } from '../../../src/common/ids.ts';
import type { Claim } from '../../../src/metaserver/core/leases.ts';
import { Violation } from './checker.ts';
import { type Attr, type GivenLease, isDirectory, type Named, type Op } from './messages.ts';
import type { Server } from './server.ts';
import type { Session } from './sessions.ts';
import type { Tree } from './tree.ts';

export interface Outcome {
  readonly error: 'ENOENT' | 'EEXIST' | 'ESTALE' | undefined;
  readonly ino: Ino | 0;
  readonly attr: Attr | undefined;
  readonly names: readonly (Named & { readonly dir: Ino })[];
  readonly kept: Ino | 0;
  readonly gone: Ino | 0;
}

function readClaims(ino: Ino | 0): Claim[] {
  return ino === 0 || isDirectory(ino) ? [] : [{ ino, kind: 'shared' }];
}

function changeClaims(...inos: (Ino | 0)[]): Claim[] {
  const all = new Set(inos);
  all.delete(0);
  return [...all].map((ino) => ({ ino: ino as Ino, kind: 'exclusive' }));
}

export function claimsOf(tree: Tree, op: Op): Claim[] {
  switch (op.op) {
    case 'lookup':
      return readClaims(tree.entry(op.dir, op.name).ino);
    case 'getattr':
      return readClaims(op.ino);
    case 'ask':
      return [{ ino: op.ino, kind: op.kind }];
    case 'setattr':
      return changeClaims(op.ino);
    case 'make': {
      const { ino } = tree.entry(op.dir, op.name);
      return ino === 0 ? changeClaims(op.dir) : readClaims(ino);
    }
    case 'remove':
      return changeClaims(op.dir, tree.entry(op.dir, op.name).ino);
    case 'rename':
      return changeClaims(
        op.dir,
        op.newDir,
        tree.entry(op.dir, op.name).ino,
        tree.entry(op.newDir, op.newName).ino,
      );
    case 'link':
      return changeClaims(op.ino, op.newDir);
    case 'readdir':
    case 'flush':
    case 'closed':
    case 'settled':
    case 'glimpsed':
      return [];
  }
}

const LOOKS: ReadonlySet<Op['op']> = new Set(['lookup', 'getattr', 'readdir', 'ask', 'glimpsed']);

export function isChange({ op }: Op): boolean {
  return !LOOKS.has(op);
}

const NOTHING = { error: undefined, ino: 0, attr: undefined, names: [], kept: 0, gone: 0 } as const;

export function runOp(server: Server, session: Session, op: Op): Outcome {
  const { tree } = server;
  switch (op.op) {
    case 'lookup': {
      const entry = tree.entry(op.dir, op.name);
      const attr = entry.ino === 0 ? undefined : tree.attr(entry.ino);
      return { ...NOTHING, ino: entry.ino, attr, names: [{ dir: op.dir, name: op.name, entry }] };
    }
    case 'getattr':
    case 'ask': {
      const attr =
        op.op === 'ask' && !mayHold(tree, op.ino, session) ? undefined : tree.attr(op.ino);
      return { ...NOTHING, error: attr === undefined ? 'ESTALE' : undefined, ino: op.ino, attr };
    }
    case 'readdir':
      return { ...NOTHING, names: tree.names(op.dir) };
    case 'setattr':
      if (tree.inode(op.ino) === undefined) return { ...NOTHING, error: 'ESTALE' };
      tree.setMode(op.ino);
      return { ...NOTHING, ino: op.ino, attr: tree.attr(op.ino) };
    case 'flush':
    case 'closed':
    case 'settled':
      tell(server, session, op);
      return NOTHING;
    case 'glimpsed':
      return NOTHING;
    case 'make':
    case 'remove':
    case 'rename':
    case 'link':
      return changeName(server, session, op);
  }
}

type Word = Extract<Op, { op: 'flush' | 'closed' | 'settled' }>;

/** What a session says of itself: it claims nothing. */
function tell({ table, tree, world }: Server, { sid }: Session, op: Word): void {
  switch (op.op) {
    case 'flush':
      if (!table.mayPublish(sid, op.ino)) {
        throw new Violation(`S6: publication of ${op.ino} by live session s${sid} refused`);
      }
      if (tree.inode(op.ino) !== undefined) tree.grow(op.ino, op.size);
      break;
    case 'closed':
      table.closed(sid, op.ino);
      tree.inode(op.ino)?.openers.delete(sid);
      break;
    case 'settled': {
      const held = table.count;
      table.settled(sid, op.open);
      if (table.count < held) world.tally.count('C16 leases of the process before fall');
      for (const ino of op.open) tree.inode(ino)?.openers.add(sid);
      world.tally.count('settled');
    }
  }
}

type NameOp = Extract<Op, { op: 'make' | 'remove' | 'rename' | 'link' }>;

function changeName(server: Server, session: Session, op: NameOp): Outcome {
  const { tree } = server;
  switch (op.op) {
    case 'make': {
      if (tree.entry(op.dir, op.name).ino !== 0) {
        const { ino } = tree.entry(op.dir, op.name);
        return { ...NOTHING, error: 'EEXIST', ino };
      }
      const ino = tree.make(op.dir, op.name);
      return { ...NOTHING, ino, attr: tree.attr(ino), names: changed(tree, op.dir, op.name) };
    }
    case 'remove': {
      const { ino } = tree.entry(op.dir, op.name);
      if (ino === 0) return { ...NOTHING, error: 'ENOENT' };
      tree.point(op.dir, op.name, 0);
      const fate = keep(server, session, ino, op.known);
      return { ...NOTHING, ...fate, ino, names: changed(tree, op.dir, op.name) };
    }
    case 'rename':
      return rename(server, session, op);
    case 'link': {
      const inode = tree.inode(op.ino);
      if (inode === undefined || inode.links === 0) return { ...NOTHING, error: 'ESTALE' };
      if (tree.entry(op.newDir, op.newName).ino !== 0) return { ...NOTHING, error: 'EEXIST' };
      tree.point(op.newDir, op.newName, op.ino);
      return { ...NOTHING, ino: op.ino, names: changed(tree, op.newDir, op.newName) };
    }
  }
}

function rename(server: Server, session: Session, op: Extract<Op, { op: 'rename' }>): Outcome {
  const { tree } = server;
  const { ino } = tree.entry(op.dir, op.name);
  const target = tree.entry(op.newDir, op.newName).ino;
  if (ino === 0) return { ...NOTHING, error: 'ENOENT' };
  if (ino === target) return { ...NOTHING, ino };
  tree.point(op.newDir, op.newName, ino);
  tree.point(op.dir, op.name, 0);
  const fate = target === 0 ? {} : keep(server, session, target, op.known);
  const names = [...changed(tree, op.newDir, op.newName), ...changed(tree, op.dir, op.name)];
  return { ...NOTHING, ...fate, ino, names };
}

function changed(tree: Tree, dir: Ino, name: number): (Named & { dir: Ino })[] {
  return [{ dir, name, entry: tree.entry(dir, name) }];
}

/** U1: a removed inode stays for those who have it open. */
function keep(
  { tree, table, world }: Server,
  session: Session,
  ino: Ino,
  known: { readonly ino: Ino | 0; readonly open: boolean },
): { kept?: Ino; gone?: Ino } {
  const inode = tree.inode(ino);
  if (inode === undefined || inode.links > 0) return {};
  for (const sid of table.openers(ino)) {
    world.tally.count('C5 kept for an opener');
    inode.openers.add(sid);
  }
  if (!known.open && known.ino === ino) return { gone: ino };
  inode.openers.add(session.sid);
  return { kept: ino };
}

/** Whoever has a lease may open it without a word: not what has no name, but for its openers. */
function mayHold(tree: Tree, ino: Ino, { sid }: Session): boolean {
  const inode = tree.inode(ino);
  return inode !== undefined && (inode.links > 0 || inode.openers.has(sid));
}

/** The leases its reply brings. */
export function grantsOf(server: Server, session: Session, op: Op, outcome: Outcome): GivenLease[] {
  const grants: GivenLease[] = [];
  const give = (ino: Ino | 0, kind: 'shared' | 'exclusive', turn: boolean): void => {
    if (ino === 0 || !mayHold(server.tree, ino, session)) return;
    const grant = server.table.grant(session.sid, ino, kind, turn);
    if (grant === undefined) server.world.tally.count('C3 no grant');
    else {
      if (!turn) server.checkTurn(session.sid, ino);
      grants.push({ ino, grant, attr: server.tree.attr(ino) });
    }
  };
  switch (op.op) {
    case 'lookup':
      give(op.dir, 'shared', false);
      give(outcome.ino, 'shared', false);
      break;
    case 'getattr':
    case 'setattr':
    case 'link':
      give(op.ino, 'shared', false);
      break;
    case 'readdir':
      give(op.dir, 'shared', false);
      for (const { entry } of outcome.names) give(entry.ino, 'shared', false);
      break;
    case 'ask':
      give(op.ino, op.kind, true);
      break;
    case 'make':
      give(outcome.ino, 'exclusive', false);
      give(op.dir, 'shared', false);
      break;
    case 'remove':
      give(op.dir, 'shared', false);
      break;
    case 'rename':
      give(op.dir, 'shared', false);
      give(op.newDir, 'shared', false);
      break;
    case 'flush':
    case 'closed':
    case 'settled':
    case 'glimpsed':
      break;
  }
  return grants;
}

export function touched(op: Op, outcome: Outcome): Ino[] {
  const inos: (Ino | 0)[] = [outcome.ino, ...outcome.names.map(({ dir }) => dir)];
  if (op.op === 'closed' || op.op === 'flush') inos.push(op.ino);
  if (op.op === 'rename' && outcome.kept !== 0) inos.push(outcome.kept);
  if (op.op === 'rename' || op.op === 'remove') inos.push(op.known.ino);
  return [...new Set(inos)].filter((ino): ino is Ino => ino !== 0);
}

/** A reply leaves when what it has read is on disk. */
export function leavesMs(tree: Tree, op: Op, outcome: Outcome): number {
  const read = [...touched(op, outcome), ...outcome.names.map(({ entry }) => entry.ino)];
  let leaveMs = 0;
  for (const ino of read) {
    if (ino !== 0) leaveMs = Math.max(leaveMs, tree.inode(ino)?.durableMs ?? 0);
  }
  return leaveMs;
}
