/**
 * The disk where a file is kept is full, and a program on another machine writes to it: write(2)
 * says so, as on a disk of its own.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ClusterNode, problemCodes, statusOf, TestCluster } from '../support/cluster.ts';
import { onSmallDisk } from '../support/small-disk.ts';

const DISK = '160m';
const DISK_BYTES = 160 * 1024 ** 2;
const STEP = 65_536;
const skip = process.getuid?.() === 0 ? false : 'needs root for a small disk';

/**
 * Writes numbered blocks to a file until ENOSPC; close and fsync must succeed then.
 * Prints how many bytes were accepted.
 */
const FILL = `
import errno, os, sys
name, mark, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(name, os.O_CREAT | os.O_WRONLY)
at = os.lseek(fd, 0, os.SEEK_END)
def block(at, length):
    return b''.join(((at + n) * 8 + mark).to_bytes(8, 'little') for n in range(0, length, 8))
try:
    while at < 1 << 30:
        done = os.write(fd, block(at, step))
        assert done > 0 and done % 8 == 0, done
        at += done
    raise SystemExit('the disk was never full')
except OSError as error:
    assert error.errno == errno.ENOSPC, error
os.fsync(fd)
os.close(fd)
print(at)`;

/** The file is exactly what FILL wrote. */
const CHECK = `
import os, sys
name, mark, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
assert os.stat(name).st_size == size, (os.stat(name).st_size, size)
with open(name, 'rb') as file:
    at = 0
    while part := file.read(1 << 20):
        wanted = b''.join(((at + n) * 8 + mark).to_bytes(8, 'little') for n in range(0, len(part), 8))
        assert part == wanted, at
        at += len(part)
assert at == size, at`;

async function fill(node: ClusterNode, name: string, mark: number, step = STEP): Promise<number> {
  const script = `python3 - ${name} ${mark} ${step} <<'PY'${FILL}\nPY`;
  return Number(await node.dfs.ok(script, 100_000));
}

async function check(node: ClusterNode, name: string, mark: number, size: number): Promise<void> {
  await node.dfs.ok(`python3 - ${name} ${mark} ${size} <<'PY'${CHECK}\nPY`, 100_000);
}

describe('a full disk at the home of a file', { skip }, () => {
  test('is told by write(2) on another machine', async (t) => {
    const cluster = await TestCluster.start(t, {
      nodes: 2,
      network: 'host',
      prepare: async (index, dfs) => {
        if (index === 1) await onSmallDisk(dfs, DISK);
      },
    });
    const [home, other] = [cluster.node(1), cluster.node(0)];
    await home.dfs.ok('touch file second own third');
    let size = 0;

    await t.test('close and fsync succeed, and what was accepted is there', async () => {
      size = await fill(other, 'file', 1);
      assert.ok(size > 0.6 * DISK_BYTES && size < DISK_BYTES, `${size} bytes were accepted`);
      await check(other, 'file', 1, size);
      await check(home, 'file', 1, size);
      assert.ok(problemCodes(await statusOf(home)).includes('disk-full'));
    });

    await t.test('what is there can be overwritten, and not be added to', async () => {
      await other.dfs.ok(`
        printf changed | dd of=file bs=1 seek=4096 conv=notrunc,fsync status=none
        ! head -c ${STEP} /dev/urandom | dd of=second bs=${STEP} iflag=fullblock 2> "$HOME/refused"
        grep -q 'No space left' "$HOME/refused"; test "$(stat -c %s second)" = 0`);
      const seen = await home.dfs.ok('dd if=file bs=1 skip=4096 count=7 status=none');
      assert.equal(seen, 'changed');
    });

    await t.test('deleting frees space, and two machines may fill it at once', async () => {
      await other.dfs.ok('rm file');
      await other.dfs.ok(`
        for n in $(seq 1 100); do
          if head -c 20M /dev/zero > third 2>/dev/null; then rm third; exit 0; fi; sleep 0.1
        done; exit 1`);
      const [theirs, own] = await Promise.all([fill(other, 'second', 2), fill(home, 'own', 3)]);
      const sum = theirs + own;
      assert.ok(sum > 0.6 * DISK_BYTES && sum < DISK_BYTES, `${theirs} and ${own} bytes`);
      assert.ok(theirs > 0 && own > 0, `${theirs} and ${own} bytes`);
      for (const node of cluster.nodes) {
        await check(node, 'second', 2, theirs);
        await check(node, 'own', 3, own);
      }
    });
  });
});
