/**
 * The end of a run: nothing is wrong any more. Whoever waits does so for a reason; what the
 * metaserver knows, with what it gave into the hands of mounts, is what programs have. Then they let
 * go, and everybody gets what he waits for, until nothing is left.
 */
import { type LockKind, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { asIno } from '../../../src/common/ids.ts';
import { Violation } from '../leases/checker.ts';
import { FILES } from './actions.ts';
import type { SimMount } from './mount.ts';
import type { Program } from './program.ts';
import { type Cells, cellsOf, isHeld, nothing, shown } from './truth.ts';
import type { World } from './world.ts';

const PAUSE_MS = 30_000;
/** Whoever asks for something has an answer within this, or waits for a lock. */
const ANSWER_MS = 120_000;
/** What is late arrives within this. */
const QUIET_MS = 5_000;
/** Everybody has let go within this. */
const END_MS = 60_000;

type Listed = Awaited<ReturnType<SimMount['list']>>['locks'];

export async function finish(world: World): Promise<void> {
  // What nobody can do anything about ends by itself.
  if (world.mood === 'pauses') await world.runUntil(world.queue.nowMs + PAUSE_MS);
  world.faults.healAll();
  world.log(() => 'nothing is wrong any more');
  const untilMs = world.queue.nowMs + ANSWER_MS;
  while (!isQuiet(world)) {
    if (world.queue.nowMs >= untilMs) throw new Violation(`T6: no answer, ${busy(world)}`);
    await world.runUntil(world.queue.nowMs + 1_000);
  }
  // Mounts that decide about files are called for that; what they say is in the next list.
  await list(world);
  await world.runUntil(world.queue.nowMs + QUIET_MS);
  const listed = await list(world);
  if (isQuiet(world)) {
    world.tally.count('compared');
    for (const program of programs(world)) compare(world, program, listed);
    requireKnown(world, listed);
  }
  await touchAll(world);
  await letGo(world);
  await world.runUntil(world.queue.nowMs + QUIET_MS);
  const [left] = await list(world);
  if (left !== undefined) throw new Violation(`T7: pid ${left.pid} has left a lock ${left.ino}`);
  for (const { id, mount } of world.machines) {
    const ino = FILES.find((each) => mount.leasing.locks.has(each));
    if (ino !== undefined) throw new Violation(`T7: mount ${id} has kept a lock on ${ino}`);
  }
}

function programs({ machines }: World): Program[] {
  return machines.flatMap((machine) => machine.programs);
}

function isQuiet(world: World): boolean {
  if (!world.server.isSettled || world.machines.some(({ mount }) => !mount.isUp)) return false;
  return programs(world).every((program) => !program.isBusy || program.waits);
}

function busy(world: World): string {
  return programs(world)
    .filter(({ isBusy }) => isBusy)
    .map(({ doing }) => doing)
    .join(', ');
}

async function list(world: World): Promise<Listed> {
  let listed: Listed | undefined;
  const [machine] = world.machines;
  machine?.mount.process.run(() => {
    machine.mount.list().then(
      ({ locks }) => {
        listed = locks;
      },
      (error: unknown) => world.bug(error),
    );
  });
  await world.runUntil(world.queue.nowMs + 10_000, () => listed !== undefined);
  if (listed === undefined) throw new Violation('T6: locks are not listed');
  return listed;
}

/** What the metaserver has of a program is what it has. */
function compare(world: World, program: Program, listed: Listed): void {
  for (const ino of FILES) {
    // Programs learn that there is nothing to rely on.
    if (program.machine.mount.isLost(ino)) continue;
    for (const kind of ['posix', 'flock'] as const) {
      const own = listed.filter((lock) => {
        return lock.pid === program.pid && lock.ino === ino && lock.kind === kind && !lock.waits;
      });
      const cells = listedCells(own);
      const truth = world.truth.cells(program.pid, ino, kind);
      if (program.isUnsure(ino) || isSame(program, truth, cells)) continue;
      const of = `${kind} ${ino} of pid ${program.pid}`;
      throw new Violation(`T7: ${of} is ${shown(truth)}, the metaserver has ${shown(cells)}`);
    }
  }
  const waits = listed.some((lock) => lock.pid === program.pid && lock.waits);
  if (waits !== program.waits) throw new Violation(`T6: ${program.doing} waits: ${waits}`);
}

/** Who asks for less waits to have it. */
function isSame(program: Program, truth: Cells, listed: Cells): boolean {
  return truth.every((cell, at) => {
    return listed[at] === cell || (program.waits && cell === 'read' && listed[at] === 'write');
  });
}

function listedCells(listed: Listed): Cells {
  const cells = nothing();
  for (const { end, start, type } of listed) {
    const range = { start: BigInt(start), end: end === null ? WHOLE_FILE.end : BigInt(end) };
    for (const at of cellsOf(range)) cells[at] = type;
  }
  return cells;
}

/** Nothing is left of programs that are gone. */
function requireKnown(world: World, listed: Listed): void {
  const pids = new Set(programs(world).map(({ pid }) => pid));
  const left = listed.find(({ pid }) => !pids.has(pid));
  if (left === undefined) return;
  throw new Violation(`T7: pid ${left.pid} is gone, and has ${left.kind} ${asIno(left.ino)}`);
}

/** Whoever thinks that he has locked a file reads it. */
async function touchAll(world: World): Promise<void> {
  for (const ino of FILES) {
    for (const program of programs(world)) {
      const has = ['posix', 'flock'].some((kind) => isHeld(program.thinks(ino, kind as LockKind)));
      if (has && !program.isBusy) program.touch(ino);
    }
    await world.runUntil(world.queue.nowMs + 100);
  }
}

/** Whoever waits for nothing closes everything. */
async function letGo(world: World): Promise<void> {
  const untilMs = world.queue.nowMs + END_MS;
  for (;;) {
    const open = programs(world).filter(({ files, isBusy }) => isBusy || files.size > 0);
    if (open.length === 0) return;
    if (world.queue.nowMs >= untilMs) throw new Violation(`T6: never ends, ${busy(world)}`);
    for (const program of open) {
      const [ino] = program.files.keys();
      if (!program.isBusy && ino !== undefined) program.close(ino);
    }
    await world.runUntil(world.queue.nowMs + 50);
  }
}
