/** Everything that goes wrong, and its end. */
import { OpenFaults } from '../open-faults.ts';
import type { Random } from '../random.ts';
import { SERVER } from './server.ts';
import type { Machine, World } from './world.ts';

export class Faults extends OpenFaults<World> {
  breakStream(machine: Machine): void {
    const stream = machine.mount.link.stream;
    if (stream === undefined) return;
    this.count('stream broken');
    this.world.breakStream(stream);
  }

  pause(machine: Machine, forMs: number): void {
    const { mount } = machine;
    if (mount.node.isPaused || mount.node.isDead) return;
    this.count(forMs > 10_000 ? 'paused for long' : 'paused');
    mount.node.isPaused = true;
    this.until(forMs, () => {
      // Whether it looks at the clock or at its sockets first is left to chance.
      const looksFirst = this.world.random.chance(0.5);
      mount.node.resume(() => {
        if (looksFirst) mount.link.expire();
      });
      mount.link.expire();
    });
  }

  /** One direction, or both, between two machines. */
  partition(random: Random, forMs: number): void {
    const { network, machines, homes } = this.world;
    const mount = random.some(machines)?.id ?? 1;
    const home = random.some(homes)?.id ?? 8;
    const pairs: [number, number][] = [
      [mount, SERVER],
      [mount, home],
      [home, SERVER],
    ];
    const pair = random.some(pairs) ?? [mount, SERVER];
    const [one, other] = random.chance(0.5) ? pair : [pair[1], pair[0]];
    const isBoth = random.chance(0.4);
    if (network.isBlocked(one, other) || network.isBlocked(other, one)) return;
    this.count(isBoth ? 'partition' : 'partition in one direction');
    network.block(one, other);
    if (isBoth) network.block(other, one);
    this.until(forMs, () => {
      network.heal(one, other);
      network.heal(other, one);
    });
  }

  crashMount(machine: Machine, forMs: number): void {
    if (machine.mount.node.isDead) return;
    this.count('mount crashed');
    this.world.crash(machine);
    const awayMs = this.world.random.chance(0.5) ? 30 : 2_000;
    this.until(Math.min(forMs, awayMs), () => this.world.boot(machine));
  }

  restartServer(forMs: number): void {
    const { server } = this.world;
    if (!server.isUp) return;
    this.count('metaserver crashed');
    server.crash();
    this.until(forMs, () => server.restart());
  }

  restartHome(random: Random, forMs: number): void {
    const home = random.some(this.world.homes);
    if (home === undefined || !home.isUp) return;
    this.count('home crashed');
    home.crash();
    this.until(forMs, () => home.restart());
  }
}
