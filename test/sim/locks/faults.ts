/** Everything that goes wrong, and its end. */
import { OpenFaults } from '../open-faults.ts';
import type { Random } from '../random.ts';
import { SERVER } from './connection.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

export class Faults extends OpenFaults<World> {
  breakStream({ mount }: Machine): void {
    if (this.world.server.breakStreams(mount)) this.count('stream broken');
  }

  pause({ mount }: Machine, forMs: number): void {
    const { process } = mount;
    if (process.isPaused || process.isDead) return;
    this.count(forMs > 10_000 ? 'paused for long' : 'paused');
    process.isPaused = true;
    this.until(forMs, () => process.resume(this.world.random.chance(0.5)));
  }

  /** One direction, or both. */
  partition({ id }: Machine, random: Random, forMs: number): void {
    const { network } = this.world;
    const [one, other] = random.chance(0.5) ? [id, SERVER] : [SERVER, id];
    if (network.isBlocked(one, other) || network.isBlocked(other, one)) return;
    const isBoth = random.chance(0.4);
    this.count(isBoth ? 'partition' : 'partition in one direction');
    network.block(one, other);
    if (isBoth) network.block(other, one);
    this.until(forMs, () => {
      network.heal(one, other);
      network.heal(other, one);
    });
  }

  crashMount(machine: Machine, random: Random, forMs: number): void {
    if (machine.mount.process.isDead) return;
    const hasLeft = random.chance(0.6);
    this.count(hasLeft ? 'mount crashed, followed' : 'mount crashed');
    machine.crash(hasLeft);
    this.until(Math.min(forMs, random.chance(0.7) ? 30 : 8_000), () => machine.boot());
  }

  restartServer(forMs: number): void {
    const { server } = this.world;
    if (!server.isUp) return;
    this.count('metaserver crashed');
    server.crash();
    this.until(forMs, () => server.start());
  }
}
