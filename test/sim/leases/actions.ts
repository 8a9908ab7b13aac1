/** What happens in one step of a run: a call of an application, or a fault. */
import type { Ino } from '../../../src/common/ids.ts';
import { Random } from '../random.ts';
import { DIRS, NAMES, PAGES } from './messages.ts';
import type { Descriptor, Syscalls } from './syscalls.ts';
import type { Machine, World } from './world.ts';

const CALLS_MAX = 4;
const FILES_MAX = 4;
const MODES = ['full', 'partial', 'direct'] as const;

export function act(world: World, step: number): void {
  const random = new Random(world.seed * 100_003 + step);
  random.next();
  const machine = random.some(world.machines);
  if (machine === undefined) return;
  if (random.chance(world.faultRate)) fault(world, machine, random);
  else call(world, machine, random);
}

/** Milliseconds until the next step. */
export function pauseMs(random: Random, tempo: number): number {
  const roll = random.next();
  if (roll < 0.5) return 0.3 * tempo * random.next();
  if (roll < 0.965) return 6 * tempo * random.next();
  return roll < 0.975 ? 300 * random.next() : 5_000 * random.next();
}

function place(random: Random): [Ino, number] {
  return [random.some(DIRS) ?? (1 as Ino), random.below(NAMES)];
}

function call(world: World, machine: Machine, random: Random): void {
  if (machine.calls.size >= CALLS_MAX || machine.mount.node.isDead) return;
  const file = random.some(machine.syscalls.descriptors);
  if (file !== undefined && random.chance(0.6)) onFile(world, machine, file, random);
  else onName(world, machine, random);
}

function onFile(world: World, machine: Machine, file: Descriptor, random: Random): void {
  const { syscalls } = machine;
  const page = random.below(PAGES);
  const use = (what: string): ((outcome: string) => void) => {
    const end = world.begin(machine, `${what} ${file.ino}.${page}`);
    file.busy += 1;
    return (outcome) => {
      file.busy -= 1;
      end(outcome);
    };
  };
  const roll = random.below(60);
  if (roll < 10) syscalls.readDirect(file, page, use('read direct'));
  else if (roll < 22) syscalls.read(file, page, use('read'));
  else if (roll >= 50) {
    if (file.busy === 0) syscalls.close(file, world.begin(machine, `close ${file.ino}`));
  } else if (file.write) change(syscalls, file, page, roll, use, random);
}

function change(
  syscalls: Syscalls,
  file: Descriptor,
  page: number,
  roll: number,
  use: (what: string) => (outcome: string) => void,
  random: Random,
): void {
  const mode = random.pick(MODES);
  if (roll < 42) syscalls.write(file, page, mode, use(`write ${mode}`));
  else syscalls.store(file, page, use('store'));
}

function onName(world: World, machine: Machine, random: Random): void {
  const { syscalls } = machine;
  const from = place(random);
  const to = place(random);
  const [dir, name] = from;
  const begin = (what: string): ((outcome: string) => void) => {
    return world.begin(machine, `${what} ${dir}/${name}`);
  };
  const roll = random.below(40);
  if (roll < 10) syscalls.stat(dir, name, begin('stat'));
  else if (roll < 13) syscalls.statDirectory(dir, begin('stat directory'));
  else if (roll < 16) syscalls.list(dir, begin('list'));
  else if (roll < 30) {
    const write = random.chance(0.5);
    if (syscalls.descriptors.length < FILES_MAX) syscalls.open(dir, name, write, begin('open'));
  } else if (roll < 33) syscalls.create(dir, name, begin('create'));
  else if (roll < 34) syscalls.chmod(dir, name, begin('chmod'));
  else if (roll < 36) syscalls.unlink(dir, name, begin('unlink'));
  else if (roll < 38) syscalls.rename(from, to, begin(`rename to ${to[0]}/${to[1]}:`));
  else syscalls.link(from, to, begin(`link to ${to[0]}/${to[1]}:`));
}

function fault(world: World, machine: Machine, random: Random): void {
  const longMs = random.chance(0.4) ? 30_000 * random.next() : 50 * random.next();
  const roll = random.below(100);
  if (roll < 30) world.faults.breakStream(machine);
  else if (roll < 45) world.faults.pause(machine, longMs);
  else if (roll < 70) world.faults.partition(random, longMs);
  else if (roll < 80) world.faults.crashMount(machine, longMs);
  else if (roll < 90) world.faults.restartServer(random.chance(0.8) ? 300 * random.next() : longMs);
  else world.faults.restartHome(random, longMs);
}
