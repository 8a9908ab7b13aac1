import type { GroupView } from '../../src/common/cluster-map.ts';
import {
  asEpoch,
  asGroupId,
  asIno,
  asNodeId,
  asSessionId,
  type Ino,
} from '../../src/common/ids.ts';
import type { ChunkStore, DataContext } from '../../src/peer/chunk-store.ts';
import type { Random } from './random.ts';

export const NODE = asNodeId('0123456789abcdef0123456789abcdef');

/** The one group of these tests in the given epoch. */
export function groupView(epoch: number): GroupView {
  return { rg: asGroupId(1), epoch: asEpoch(epoch), primary: NODE, members: [NODE] };
}

export function context(epoch = 1, rg = 1): DataContext {
  return {
    sid: asSessionId(1),
    sepoch: asEpoch(1),
    lseq: 0,
    rg: asGroupId(rg),
    rgEpoch: asEpoch(epoch),
  };
}

export const ino = (value: number): Ino => asIno(value);

export async function read(store: ChunkStore, file: Ino, range: [number, number]): Promise<Buffer> {
  const [offset, length] = range;
  const target = Buffer.alloc(length, 0xee);
  await store.read(file, offset, target);
  return target;
}

/** Bytes without zeros, so that a hole cannot pass for data. */
export function solidBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const start = random.below(255);
  for (let at = 0; at < length; at += 1) bytes[at] = 1 + ((start + at * 7) % 255);
  return bytes;
}
