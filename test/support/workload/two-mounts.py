"""two-mounts.py SEED STEPS HERE THERE SECONDS: one file, opened on two mounts, and what it must be.

Reads, writes, appends, cuts, maps and syncs it at random through either mount, and compares what is
seen with a copy in memory. Ends after STEPS, or SECONDS. Prints how often it did what, as JSON; where
something is not as it must be, what it was and the last steps.
"""

import ctypes
import errno
import json
import mmap
import os
import random
import sys
import time
import traceback
from collections import Counter

SIZE_MAX = 400_000
LENGTH_MAX = 70_000
PAGE = 4096
FIRST_APPEND = 300
PERIOD = 4_000
SHOWN = 40
WIDTH = 120
PUNCH_HOLE = 3

seed, steps, here, there, seconds = sys.argv[1:]
drawn = random.Random(int(seed))
libc = ctypes.CDLL(None, use_errno=True)


class Steps:
    """The last ones, also when the process is killed for touching a page that is not there."""

    def __init__(self):
        self.shared = mmap.mmap(-1, SHOWN * WIDTH)
        self.count = 0

    def say(self, step):
        at = self.count % SHOWN * WIDTH
        text = f"{self.count} {step}"[: WIDTH - 1]
        self.shared[at : at + WIDTH] = text.encode().ljust(WIDTH)
        self.count += 1

    def last(self):
        lines = [self.shared[at : at + WIDTH].decode().strip("\0 ") for at in range(0, SHOWN * WIDTH, WIDTH)]
        return sorted((line for line in lines if line), key=lambda line: int(line.split()[0]))


class Side:
    """The file as one mount shows it: descriptors that are held open, and a mapping."""

    def __init__(self, name, mount):
        self.name = name
        self.path = f"{mount}/file"
        self.plain = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.append = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self.mapped = None
        # The file was looked at, and was as long here.
        self.known = 0

    def any(self):
        return drawn.choice((self.plain, self.append))

    def unmap(self):
        if self.mapped is not None:
            self.mapped.close()
        self.mapped = None


class Exerciser:
    def __init__(self):
        self.log = Steps()
        self.model = bytearray()
        self.sides = [Side("here", here), Side("there", there)]
        self.looks = 1.0
        self.done = Counter()
        self.operations = [
            (30, self.read),
            (30, self.write),
            (15, self.append),
            (12, self.cut),
            (25, self.load),
            (25, self.store),
            (4, self.map),
            (5, self.reopen),
            (5, self.sync),
            (10, self.stat),
            (3, self.read_by_name),
            (1, self.empty),
        ]
        if self.can_allocate(0):
            self.operations.append((5, self.allocate))
        if self.can_allocate(PUNCH_HOLE):
            self.operations.append((5, self.punch))

    def can_allocate(self, mode):
        return self.fallocate(self.sides[0], mode, 0, PAGE) and os.ftruncate(self.sides[0].plain, 0) is None

    def fallocate(self, side, mode, at, length):
        if libc.fallocate(side.plain, mode, ctypes.c_long(at), ctypes.c_long(length)) == 0:
            return True
        if ctypes.get_errno() in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise OSError(ctypes.get_errno(), "fallocate")

    # Where, how much and what

    def offset(self, limit):
        at = drawn.randrange(limit + 1)
        edge = drawn.random()
        if edge < 0.25:
            at -= at % PAGE
        elif edge < 0.4:
            at = max(0, len(self.model) - drawn.randrange(3))
        return min(at, limit)

    def length(self):
        most = drawn.choice((8, 200, PAGE, LENGTH_MAX))
        return 1 + drawn.randrange(most)

    def data(self, length):
        return drawn.randbytes(length)

    # Operations

    def read(self, side):
        at, length = self.offset(len(self.model) + 100), self.length()
        self.say(side, f"pread {length} at {at}")
        self.compare(os.pread(side.any(), length, at), at, length)

    def write(self, side):
        at, data = self.offset(SIZE_MAX - LENGTH_MAX), self.data(self.length())
        self.say(side, f"pwrite {len(data)} at {at}")
        self.put(at, data)
        self.whole(os.pwrite(side.plain, data, at), data)
        self.look(at, len(data))

    def appends(self):
        """Not always: descriptors that are opened within 10 s of it read past the page cache."""
        count = self.log.count
        return count >= FIRST_APPEND and (count < PERIOD or count // PERIOD % 2 == 0)

    def append(self, side):
        data = self.data(self.length())
        if len(self.model) + len(data) > SIZE_MAX:
            return self.cut(side)
        at = len(self.model)
        self.say(side, f"append {len(data)}, from {at}")
        self.put(at, data)
        self.whole(os.write(side.append, data), data)
        self.look(at, len(data))

    def cut(self, side):
        size = self.offset(drawn.choice((len(self.model), SIZE_MAX)))
        by_name = drawn.random() < 0.3
        self.say(side, f"{'truncate' if by_name else 'ftruncate'} from {len(self.model)} to {size}")
        before = len(self.model)
        self.resize(size)
        if by_name:
            os.truncate(side.path, size)
        else:
            os.ftruncate(side.any(), size)
        self.look(max(0, min(before, size) - 10), 20)

    def empty(self, side):
        self.say(side, "open with O_TRUNC")
        self.resize(0)
        os.close(os.open(side.path, os.O_WRONLY | os.O_TRUNC))
        self.look(0, 1)

    def map(self, side):
        side.unmap()
        if not self.model:
            return
        self.say(side, f"mmap {len(self.model)}")
        try:
            side.mapped = mmap.mmap(side.plain, len(self.model))
        except OSError as error:
            # Before Linux 6.6, where the descriptor reads past the page cache.
            if error.errno != errno.ENODEV:
                raise
            self.done["refused maps"] += 1

    def mapped_range(self, side):
        """Of what is mapped and in the file: elsewhere is nothing to be touched."""
        if side.mapped is None:
            self.map(side)
        size = min(len(self.model), 0 if side.mapped is None else len(side.mapped))
        at = self.offset(size)
        length = min(self.length(), size - at)
        # The kernel does not ask for the size when a new page is touched: docs/SEMANTICS.md.
        if at + length > -(-side.known // PAGE) * PAGE:
            os.fstat(side.plain)
            side.known = len(self.model)
        return at, length

    def load(self, side):
        at, length = self.mapped_range(side)
        if length > 0:
            self.say(side, f"loads {length} at {at}")
            self.compare(side.mapped[at : at + length], at, length)

    def store(self, side):
        at, length = self.mapped_range(side)
        if length <= 0:
            return
        syncs = drawn.random() < 0.4
        self.say(side, f"stores {length} at {at}{', msync' if syncs else ''}")
        data = self.data(length)
        self.put(at, data)
        side.mapped[at : at + length] = data
        if syncs:
            side.mapped.flush()
        self.look(at, length)

    def reopen(self, side):
        which = drawn.choice(("plain", "append"))
        self.say(side, f"opens the {which} descriptor anew")
        os.close(getattr(side, which))
        flags = os.O_RDWR | (os.O_APPEND if which == "append" else 0)
        setattr(side, which, os.open(side.path, flags))
        if drawn.random() < 0.3:
            side.unmap()

    def sync(self, side):
        self.say(side, "fsync")
        os.fsync(side.any())

    def stat(self, side):
        self.say(side, "fstat, lseek")
        fd = side.any()
        self.same("fstat", os.fstat(fd).st_size, len(self.model))
        self.same("lseek", os.lseek(fd, 0, os.SEEK_END), len(self.model))

    def read_by_name(self, side):
        self.say(side, "open, read to the end")
        with open(side.path, "rb") as file:
            self.compare(file.read(), 0, SIZE_MAX)

    def allocate(self, side):
        at, length = self.offset(SIZE_MAX - LENGTH_MAX), self.length()
        self.say(side, f"fallocate {length} at {at}")
        self.resize(max(len(self.model), at + length))
        self.fallocate(side, 0, at, length)
        self.look(at, length)

    def punch(self, side):
        at, length = self.offset(len(self.model)), self.length()
        self.say(side, f"punches a hole of {length} at {at}")
        end = min(at + length, len(self.model))
        self.model[at:end] = bytes(max(0, end - at))
        self.fallocate(side, PUNCH_HOLE, at, length)
        self.look(at, length)

    # What it must be

    def resize(self, size):
        for side in self.sides:
            side.known = min(side.known, size)
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))

    def put(self, at, data):
        if data:
            self.resize(max(len(self.model), at))
            self.model[at : at + len(data)] = data

    def look(self, at, length):
        """At what was changed, and the size, through either mount."""
        if drawn.random() >= self.looks:
            return
        side = drawn.choice(self.sides)
        fd = side.any()
        self.same(f"size {side.name}", os.fstat(fd).st_size, len(self.model))
        start = max(0, at - 100)
        self.compare(os.pread(fd, length + 200, start), start, length + 200, side.name)

    def compare(self, found, at, length, where=""):
        expected = bytes(self.model[at : at + length])
        if found == expected:
            return
        self.same(f"bytes read at {at} {where}", len(found), len(expected))
        wrong = [index for index in range(len(found)) if found[index] != expected[index]]
        first, last = wrong[0], wrong[-1]
        zero = " all zero," if not any(found[first : last + 1]) else ""
        raise AssertionError(
            f"{len(wrong)} bytes from {at + first} to {at + last} {where} are wrong,{zero} first "
            f"{found[first : first + 8].hex()} instead of {expected[first : first + 8].hex()}"
        )

    def same(self, what, found, expected):
        if found != expected:
            raise AssertionError(f"{what}: {found} instead of {expected}")

    def whole(self, written, data):
        self.same("bytes written", written, len(data))

    def say(self, side, step):
        self.log.say(f"{side.name} {step}")

    def run(self):
        weights, actions = zip(*self.operations)
        end = time.monotonic() + float(seconds)
        while self.log.count < int(steps) and time.monotonic() < end:
            if self.log.count % 100 == 0:
                self.looks = drawn.choice((1.0, 0.3, 0.0))
            action = drawn.choices(actions, weights)[0]
            if action == self.append and not self.appends():
                action = self.cut
            action(drawn.choice(self.sides))
            self.done[action.__name__] += 1
        for side in self.sides:
            self.read_by_name(side)
        print(json.dumps({"steps": self.log.count, **self.done}))


exerciser = Exerciser()
child = os.fork()
if child == 0:
    try:
        exerciser.run()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        print("\n".join([f"SEED={seed}", *exerciser.log.last()]), file=sys.stderr)
        traceback.print_exc()
        os._exit(1)
_, status = os.waitpid(child, 0)
if os.WIFSIGNALED(status):
    last = "\n".join(exerciser.log.last())
    sys.exit(f"SEED={seed}\n{last}\nended by signal {os.WTERMSIG(status)}")
sys.exit(os.WEXITSTATUS(status))
