/** Two mounts, and the peer that founded their cluster and is the home of every file. */
import { LeaseMount } from './lease-rig.ts';
import { Life, Member } from './member.ts';

export const FOUNDER = { name: 'founder', chunkAddress: ':7481' } as const;

export interface TwoMounts {
  readonly life: Life;
  /** The home of every file. */
  readonly founder: Member;
  readonly ada: LeaseMount;
  readonly bob: LeaseMount;
  /** Written by ada. */
  readonly ino: bigint;
}

export async function twoMounts(): Promise<TwoMounts> {
  const life = await Life.first();
  const founder = await Member.peer(life, FOUNDER);
  const ada = await LeaseMount.open(life, 'ada');
  const bob = await LeaseMount.open(life, 'bob');
  return { life, founder, ada, bob, ino: await ada.create('file') };
}
