/** What happens in one step of a run: a call of a program, or a fault. */
import { type LockRange, WHOLE_FILE } from '../../../src/common/core/locks.ts';
import { asIno, type Ino } from '../../../src/common/ids.ts';
import { Random } from '../random.ts';
import type { Machine } from './machine.ts';
import type { Program } from './program.ts';
import { BYTES } from './truth.ts';
import type { World } from './world.ts';

export const FILES: readonly Ino[] = [asIno(1024), asIno(1025), asIno(1026)];

export function pauseMs(random: Random, tempo: number): number {
  const roll = random.next();
  if (roll < 0.5) return 0.3 * tempo * random.next();
  if (roll < 0.96) return 6 * tempo * random.next();
  return roll < 0.98 ? 300 * random.next() : 6_000 * random.next();
}

export function act(world: World, step: number): void {
  const random = new Random(world.seed * 100_003 + step);
  random.next();
  const machine = random.some(world.machines);
  if (machine === undefined) return;
  if (random.chance(world.faultRate)) fault(world, machine, random);
  else if (machine.mount.isServed && !machine.mount.process.isDead) {
    const program = random.some(machine.programs);
    if (program !== undefined) call(world, program, random);
  }
}

function call(world: World, program: Program, random: Random): void {
  const roll = random.below(100);
  if (program.isBusy) {
    disturb(world, program, roll);
    return;
  }
  const ino = random.some(FILES.slice(0, world.files)) ?? FILES[0];
  if (ino === undefined) return;
  if (roll < 2) kill(world, program);
  else if (!program.files.has(ino)) program.open(ino);
  else if (roll < 8) program.close(ino);
  else if (roll < 20) program.touch(ino);
  else if (roll < 24) program.test(wantedOf(program, ino, random));
  else if (roll < 50) {
    const kind = random.chance(0.7) ? 'posix' : 'flock';
    program.unlock(ino, kind, kind === 'flock' ? WHOLE_FILE : rangeOf(random));
  } else program.lock(wantedOf(program, ino, random));
}

/** While it waits for an answer. */
function disturb(world: World, program: Program, roll: number): void {
  if (roll < 12) {
    world.tally.fault('interrupted');
    program.interrupt();
  } else if (roll < 15) kill(world, program);
}

function kill(world: World, program: Program): void {
  world.tally.fault('killed');
  program.kill();
}

/** Circles are looked for among fcntl(2) locks only: nobody waits in one with flock(2) in it. */
function wantedOf(program: Program, ino: Ino, random: Random): Parameters<Program['lock']>[0] {
  const kind = random.chance(0.75) ? 'posix' : 'flock';
  const range = kind === 'flock' ? WHOLE_FILE : rangeOf(random);
  const type = random.chance(0.35) ? 'read' : 'write';
  const mayWait = kind === 'flock' ? !program.hasAny() : !program.hasAny('flock');
  return { ino, kind, type, waits: mayWait && random.chance(0.7), ...range };
}

function rangeOf(random: Random): LockRange {
  if (random.chance(0.4)) return WHOLE_FILE;
  const start = random.below(BYTES);
  const end = start + random.below(BYTES - start);
  // The last one stands for all that come after it.
  return { start: BigInt(start), end: end === BYTES - 1 ? WHOLE_FILE.end : BigInt(end) };
}

/** Which faults there are most of. */
export const MOODS = ['all', 'streams', 'pauses', 'restarts'] as const;
export type Mood = (typeof MOODS)[number];

/** In a hundred: broken streams, pauses, partitions, and crashes of mounts; the rest are restarts. */
const SHARES: Readonly<Record<Mood, readonly [number, number, number, number]>> = {
  all: [30, 20, 20, 15],
  streams: [70, 5, 15, 5],
  pauses: [10, 60, 20, 5],
  restarts: [20, 5, 10, 15],
};

function fault({ faults, mood }: World, machine: Machine, random: Random): void {
  const isLong = random.chance(mood === 'pauses' ? 0.7 : 0.3);
  const longMs = isLong ? 4_000 + 26_000 * random.next() : 50 * random.next();
  const roll = random.below(100);
  const [streams, pauses, partitions, crashes] = SHARES[mood];
  if (roll < streams) faults.breakStream(machine);
  else if (roll < streams + pauses) faults.pause(machine, longMs);
  else if (roll < streams + pauses + partitions) faults.partition(machine, random, longMs);
  else if (roll < streams + pauses + partitions + crashes) {
    faults.crashMount(machine, random, longMs);
  } else faults.restartServer(random.chance(0.8) ? 300 * random.next() : longMs);
}
