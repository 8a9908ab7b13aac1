/**
 * Changes of a file that no lease holds back: whoever has the lease was given up by the
 * metaserver, and does not know yet.
 */
import { type Ino, ROOT_INO } from '../../src/common/ids.ts';
import { nameToBytes } from '../../src/common/name.ts';
import type { Operation } from '../../src/common/rpc/session-client.ts';
import type { TwoWorlds } from './two-worlds.ts';

let changes = 0;

export async function cutUnheld(worlds: TwoWorlds, ino: Ino, size: number): Promise<void> {
  const { cuts } = await worlds.stored(ino);
  const value = {
    ino: BigInt(ino),
    size: BigInt(size),
    atime: undefined,
    mtime: undefined,
    atimeNow: false,
    mtimeNow: false,
    killSuidgid: false,
    caller: { uid: 0, gid: 0 },
    cut: true,
    cuts: BigInt(cuts),
  };
  await change(worlds, { $case: 'setattr', value });
}

export async function unlinkUnheld(worlds: TwoWorlds, name: string, ino: Ino): Promise<void> {
  const value = {
    parent: BigInt(ROOT_INO),
    name: nameToBytes(name),
    directory: false,
    knownIno: BigInt(ino),
    knownOpen: false,
  };
  await change(worlds, { $case: 'remove', value });
}

/** Sessions of peers have no leases, and wait for none. */
async function change(worlds: TwoWorlds, op: Operation): Promise<void> {
  changes += 1;
  const id = { connection: 1_000_000n, unique: BigInt(2 * changes), acked: 0n };
  await worlds.execute(worlds.two.peerSession, op, id);
}
