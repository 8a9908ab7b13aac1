import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Lock,
  LockTable,
  type LockType,
  WHOLE_FILE,
} from '../../../../src/common/core/locks.ts';
import { asIno } from '../../../../src/common/ids.ts';
import { Random } from '../../../support/random.ts';

const [FILE, OTHER] = [asIno(1024), asIno(1025)];
const WRITE = 'write';
const READ = 'read';

/** A lock of a process on bytes of the file. */
function bytes(owner: string, type: LockType, start: number, end: number, ino = FILE): Lock {
  return { ino, kind: 'posix', owner, type, pid: 1, start: BigInt(start), end: BigInt(end) };
}

function whole(owner: string, type: LockType, ino = FILE): Lock {
  return { ino, kind: 'flock', owner, type, pid: 1, ...WHOLE_FILE };
}

/** `a write 0-9`, by owner and start. */
function shown(table: LockTable<string>, waiting = false): string[] {
  const all = [...table.all()].filter(({ waits }) => waits === waiting);
  const texts = all.map(({ lock }) => `${lock.owner} ${lock.type} ${lock.start}-${lock.end}`);
  return waiting ? texts : texts.sort();
}

describe('locks on ranges', () => {
  it('exclude each other where they overlap and one of them writes', () => {
    const table = new LockTable<string>();
    assert.equal(table.acquire(bytes('a', READ, 0, 9)), 'granted');
    assert.equal(table.acquire(bytes('b', READ, 5, 15)), 'granted');
    assert.equal(table.acquire(bytes('c', WRITE, 9, 9)), 'conflict');
    assert.equal(table.acquire(bytes('c', WRITE, 16, 20)), 'granted');
    assert.equal(table.acquire(bytes('c', WRITE, 0, 9, OTHER)), 'granted');
    assert.equal(table.test(bytes('d', WRITE, 3, 4))?.owner, 'a');
    assert.equal(table.test(bytes('d', READ, 3, 4)), undefined);
  });

  it('that are in the way are told from the first one on', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', WRITE, 20, 29));
    table.acquire(bytes('a', READ, 0, 9));
    assert.equal(table.test(bytes('b', WRITE, 0, 99))?.type, READ);
    assert.equal(table.test(bytes('b', READ, 0, 99))?.type, WRITE);
  });

  it('of one owner replace each other, are cut in two and joined again', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', WRITE, 0, 99));
    table.acquire(bytes('a', READ, 40, 59));
    assert.deepEqual(shown(table), ['a read 40-59', 'a write 0-39', 'a write 60-99']);
    table.release(bytes('a', WRITE, 50, 69));
    assert.deepEqual(shown(table), ['a read 40-49', 'a write 0-39', 'a write 70-99']);
    table.acquire(bytes('a', WRITE, 40, 69));
    assert.deepEqual(shown(table), ['a write 0-99']);
    table.release({ ...bytes('a', WRITE, 0, 0), ...WHOLE_FILE });
    assert.equal(table.count, 0);
  });

  it('reach to the largest offset there is', () => {
    const table = new LockTable<string>();
    const lock = { ...bytes('a', WRITE, 0, 0), start: 2n ** 62n, end: WHOLE_FILE.end };
    assert.equal(table.acquire(lock), 'granted');
    assert.equal(table.acquire({ ...lock, owner: 'b', start: WHOLE_FILE.end }), 'conflict');
    assert.equal(table.acquire({ ...lock, owner: 'b', start: 0n, end: 2n ** 62n - 1n }), 'granted');
  });

  it('do not see flock(2)', () => {
    const table = new LockTable<string>();
    assert.equal(table.acquire(bytes('a', WRITE, 0, 9)), 'granted');
    assert.equal(table.acquire(whole('b', WRITE)), 'granted');
  });

  it('that would wait for each other for ever are refused', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', WRITE, 0, 0));
    table.acquire(bytes('b', WRITE, 0, 0, OTHER));
    table.acquire(bytes('c', WRITE, 5, 5));
    assert.equal(table.acquire(bytes('b', WRITE, 0, 0), 'b1'), 'waits');
    assert.equal(table.acquire(bytes('c', WRITE, 0, 0, OTHER), 'c1'), 'waits');
    assert.equal(table.acquire(bytes('a', WRITE, 5, 5), 'a1'), 'deadlock');
    table.release(bytes('a', WRITE, 0, 0));
    assert.deepEqual(table.takeGranted(), ['b1']);
  });

  it('are upgraded by one of two readers, the other is refused', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', READ, 0, 9));
    table.acquire(bytes('b', READ, 0, 9));
    assert.equal(table.acquire(bytes('a', WRITE, 0, 9), 'a1'), 'waits');
    assert.equal(table.acquire(bytes('b', WRITE, 0, 9), 'b1'), 'deadlock');
    table.release(bytes('b', READ, 0, 9));
    assert.deepEqual(table.takeGranted(), ['a1']);
    assert.deepEqual(shown(table), ['a write 0-9']);
  });
});

describe('who waits for a lock', () => {
  it('is served in the order of arrival, readers together', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', WRITE));
    for (const owner of ['b', 'c']) assert.equal(table.acquire(whole(owner, READ), owner), 'waits');
    assert.equal(table.acquire(whole('d', WRITE), 'd'), 'waits');
    assert.equal(table.acquire(whole('e', READ), 'e'), 'waits');
    table.release(whole('a', WRITE));
    assert.deepEqual(table.takeGranted(), ['b', 'c']);
    table.release(whole('b', READ));
    table.release(whole('c', READ));
    assert.deepEqual(table.takeGranted(), ['d']);
    table.release(whole('d', WRITE));
    assert.deepEqual(table.takeGranted(), ['e']);
  });

  it('to write is not passed by readers that come later', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', READ));
    table.acquire(whole('b', WRITE), 'b');
    assert.equal(table.acquire(whole('c', READ), 'c'), 'waits');
    assert.equal(table.acquire(whole('d', READ)), 'granted', 'who does not wait may try');
  });

  it('is passed by who has a lock: others may wait for that one', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', WRITE, 0, 0, OTHER));
    table.acquire(bytes('c', READ, 0, 9));
    table.acquire(bytes('b', WRITE, 0, 9), 'b');
    assert.equal(table.acquire(bytes('c', WRITE, 0, 0, OTHER), 'c'), 'waits');
    assert.equal(table.acquire(bytes('a', READ, 0, 9), 'a'), 'granted');
  });

  it('passes others from when it is known to have a lock elsewhere', () => {
    const table = new LockTable<string>();
    table.acquire(bytes('a', WRITE, 5, 5));
    assert.equal(table.acquire(bytes('b', WRITE, 0, 9), 'b'), 'waits');
    assert.equal(table.acquire(bytes('c', WRITE, 0, 0), 'c'), 'waits');
    // Its mount had decided about that one. Now it may be waited for.
    table.replace(OTHER, (owner) => owner === 'c', [bytes('c', WRITE, 0, 0, OTHER)]);
    assert.deepEqual(table.takeGranted(), ['c']);
    assert.equal(table.acquire(bytes('a', WRITE, 0, 0, OTHER), 'a'), 'waits');
    table.release(bytes('c', WRITE, 0, 0, OTHER));
    assert.deepEqual(table.takeGranted(), ['a']);
  });

  it('goes on when what stood before it is given up, also by interruption', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', READ));
    table.acquire(whole('b', WRITE), 'b');
    table.acquire(whole('c', READ), 'c');
    assert.equal(table.cancel('b'), true);
    assert.deepEqual(table.takeGranted(), ['c']);
    assert.equal(table.cancel('b'), false);
  });

  it('goes on when its owner, or who has the lock, is gone', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', WRITE));
    table.acquire(whole('b', WRITE), 'b');
    table.acquire(whole('c', WRITE), 'c');
    table.drop((owner) => owner === 'b');
    assert.deepEqual(shown(table, true), [`c write 0-${WHOLE_FILE.end}`]);
    table.drop((owner) => owner === 'a');
    assert.deepEqual(table.takeGranted(), ['c']);
  });
});

describe('flock(2)', () => {
  it('is converted by giving it up first', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', READ));
    table.acquire(whole('b', READ));
    assert.equal(table.acquire(whole('a', WRITE), 'a'), 'waits');
    assert.equal(table.acquire(whole('b', WRITE), 'b'), 'waits');
    assert.deepEqual(table.takeGranted(), ['a'], 'b gave up what a waited for');
  });

  it('may fail to convert, and has nothing then', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', READ));
    table.acquire(whole('b', READ));
    assert.equal(table.acquire(whole('a', WRITE)), 'conflict');
    assert.deepEqual(shown(table), [`b read 0-${WHOLE_FILE.end}`]);
  });

  it('asked for once more keeps its place', () => {
    const table = new LockTable<string>();
    table.acquire(whole('a', WRITE));
    assert.equal(table.acquire(whole('b', WRITE), 'b'), 'waits');
    assert.equal(table.acquire(whole('a', WRITE)), 'granted');
    assert.deepEqual(table.takeGranted(), []);
  });
});

/** What each byte is locked for, by owner. */
function modelOf(table: LockTable<string>): Map<string, LockType> {
  const model = new Map<string, LockType>();
  for (const { lock } of table.all()) {
    for (let at = lock.start; at <= lock.end; at++) model.set(`${lock.owner} ${at}`, lock.type);
  }
  return model;
}

/** The same, byte by byte. */
class ByteLocks {
  readonly owners = ['a', 'b', 'c'];
  readonly held = new Map<string, LockType>();

  isFree(owner: string, type: LockType, range: readonly number[]): boolean {
    return range.every((at) =>
      this.owners.every((other) => {
        const held = this.held.get(`${other} ${at}`);
        return other === owner || held === undefined || (held === READ && type === READ);
      }),
    );
  }
}

it('the same as a table of single bytes, for many random calls', () => {
  const table = new LockTable<string>();
  const model = new ByteLocks();
  const random = new Random(7);
  const acquire = (lock: Lock, range: readonly number[]): void => {
    const { owner, type } = lock;
    const isFree = model.isFree(owner, type, range);
    assert.equal(table.acquire(lock), isFree ? 'granted' : 'conflict');
    if (isFree) for (const at of range) model.held.set(`${owner} ${at}`, type);
  };
  const release = (lock: Lock, range: readonly number[]): void => {
    table.release(lock);
    for (const at of range) model.held.delete(`${lock.owner} ${at}`);
  };
  for (let step = 0; step < 20_000; step++) {
    const start = random.below(12);
    const end = start + random.below(6);
    const range = Array.from({ length: end - start + 1 }, (_, at) => start + at);
    const lock = bytes(random.pick(model.owners), random.pick([READ, WRITE]), start, end);
    if (random.below(3) === 0) release(lock, range);
    else acquire(lock, range);
    assert.deepEqual(modelOf(table), model.held);
  }
});
