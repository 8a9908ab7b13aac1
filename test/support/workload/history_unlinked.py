"""
The role `unlinked` of history.py: files that lose their name while they are open. They are made, opened
and removed under a few names in a directory of the round, by one process of each mount, and go on to be
read and written through the descriptors that are left. The mode tells the file, as in the role
`names`; what is recorded about its content names it by that.
"""
import os
import struct

from history_record import BLOCK, BLOCKS, record_bytes

DIRECTORY = "d2"
# Files of blocks, and those that are appended to.
NAMES = ["w0", "w1", "a0", "a1"]
LENGTHS = {"a": 61}
MARKS = 170
HELD = 8
TELLING = {"EEXIST", "ENOENT"}


class Unlinked:
    def __init__(self, worker):
        self.worker, self.random = worker, worker.random
        self.round, self.marks = -1, 0
        # Each with its descriptor (fd), what it is called in the record (f, h, t), name and mark.
        self.held = []

    def path(self, name):
        return self.worker.here(f"{DIRECTORY}/{name}")

    def name(self):
        return self.random.choice(NAMES)

    def by_name(self, op, work, **about):
        error, value = self.worker.record.call(op, work, f=self.worker.here(DIRECTORY), **about)
        return error is None or error in TELLING, error, value

    def keep(self, handle, name, mark, fd):
        handle.update(f=f"{self.path(name)}.{mark}", name=name, mark=mark, fd=fd)
        self.held.append(handle)

    def handle(self):
        self.worker.handles += 1
        return {"h": self.worker.handles, "t": self.worker.record.now()}

    def flags(self, name):
        return os.O_RDWR | (os.O_APPEND if name[0] in LENGTHS else 0)

    def create(self):
        if self.round != self.worker.round:
            self.round, self.marks = self.worker.round, 0
        if self.marks == MARKS or len(self.held) == HELD:
            return self.leave()
        self.marks += 1
        name, mark = self.name(), self.worker.config["mount"] * MARKS + self.marks
        flags = self.flags(name) | os.O_CREAT | os.O_EXCL
        given, handle = [], self.handle()
        work = lambda: given.append(os.open(self.path(name), flags, mark, dir_fd=self.worker.root))
        fine, error, _ = self.by_name("create", work, a=name, m=mark, h=handle["h"])
        if error is not None:
            return fine
        self.keep(handle, name, mark, given[0])
        for block in range(BLOCKS):
            fine = fine and (self.append(handle) if name[0] in LENGTHS else self.write(handle, block))
        return fine

    def open(self):
        """The name is looked up by open(2); which file it was its mode tells, which stays."""
        if len(self.held) == HELD:
            return self.leave()
        name, given, handle = self.name(), [], self.handle()

        def work():
            given.append(os.open(self.path(name), self.flags(name), dir_fd=self.worker.root))
            return os.fstat(given[0]).st_mode & 0o777

        fine, error, mark = self.by_name("hold", work, a=name, h=handle["h"])
        if error is None:
            self.keep(handle, name, mark, given[0])
        else:
            for fd in given:
                os.close(fd)
        return fine

    def unlink(self):
        name = self.name()
        work = lambda: os.unlink(self.path(name), dir_fd=self.worker.root)
        return self.by_name("unlink", work, a=name)[0]

    def stat(self):
        name = self.name()
        return self.by_name("stat", lambda: os.stat(self.path(name), dir_fd=self.worker.root), a=name)[0]

    def list(self):
        return self.worker.list_of(DIRECTORY, self.worker.here(DIRECTORY))

    # Through descriptors

    def through(self, handle, op, work, **about):
        error, _ = self.worker.through(handle, op, lambda: work(handle["fd"]), **about)
        if error is not None:
            self.close(handle)
        return error is None

    def write(self, handle, block):
        value = self.worker.record.unique()
        data = struct.pack("<Q", value) * (BLOCK // 8)
        work = lambda fd: os.pwrite(fd, data, block * BLOCK)
        return self.through(handle, "pwrite", work, b=block, w=value)

    def append(self, handle):
        record, length = self.worker.record.unique(), LENGTHS[handle["name"][0]]
        data = record_bytes(record, length)
        return self.through(handle, "append", lambda fd: os.write(fd, data), w=record, n=length)

    def read(self, handle):
        if handle["name"][0] in LENGTHS:
            length = LENGTHS[handle["name"][0]]
            return self.through(handle, "read", lambda fd: os.pread(fd, 1 << 20, 0), n=length)
        block = self.random.randrange(BLOCKS)
        return self.through(handle, "pread", lambda fd: os.pread(fd, BLOCK, block * BLOCK), b=block)

    def change(self, handle):
        if self.random.random() < 0.15:
            return self.through(handle, "fsync", os.fsync)
        if handle["name"][0] in LENGTHS:
            return self.append(handle)
        if self.random.random() < 0.15:
            blocks = self.random.randrange(BLOCKS + 1)
            work = lambda fd: os.ftruncate(fd, blocks * BLOCK)
            return self.through(handle, "cut", work, b=blocks)
        return self.write(handle, self.random.randrange(BLOCKS))

    def look(self, handle):
        if handle["name"][0] in LENGTHS and self.random.random() < 0.5:
            return self.through(handle, "size", os.fstat, n=LENGTHS[handle["name"][0]])
        # How many names it has is told of the file, among the names.
        about = {"h": handle["h"], "held": handle["t"], "f": self.worker.here(DIRECTORY)}
        work = lambda: os.fstat(handle["fd"])
        error, _ = self.worker.record.call("fstat", work, **about)
        if error is not None:
            self.close(handle)
        return error is None

    def with_held(self, work):
        return work(self.random.choice(self.held)) if self.held else self.open()

    def close(self, handle):
        self.held.remove(handle)
        self.worker.close(handle)

    def leave(self):
        """Reads it to the end: what nobody sees any more is not judged."""
        if not self.held:
            return True
        handle = self.random.choice(self.held)
        fine = self.read(handle)
        if fine:
            self.close(handle)
        return fine

    def release(self):
        while self.held:
            self.leave()

    def choices(self):
        return [
            (9, self.create), (9, self.open), (6, self.unlink), (4, self.stat), (2, self.list),
            (26, lambda: self.with_held(self.change)), (24, lambda: self.with_held(self.read)),
            (10, lambda: self.with_held(self.look)), (5, self.leave),
        ]
