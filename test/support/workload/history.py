"""
Random calls on one mount, each recorded with the time it was made and the time it returned:

    history.py setup|work|final CONFIG

CONFIG is JSON: mountpoint, mount, mounts, worker, role, rounds, round_ns, origin_ns, seed, log, stop.

A judged call is one system call, and what a read gives is what the kernel gave: no buffer lies in
between. The record lies outside the mount, is written before and after each call, and survives the
process. All processes share CLOCK_MONOTONIC of one host. Every round of time has files of its own,
so that histories stay short. Processes go on after errors, and start anew when a signal ends them
(a mapping of a dead mount).

While a change of names or attributes has not returned, other programs of its machine may still see
the state before it (docs/SEMANTICS.md). One process of each mount, the role `names`, therefore does
all such changes and all looks at what they change; nothing has to be forgiven to it. The roles `locks`
and `unlinked` are one process of each mount as well, with files of their own.
"""
import ctypes
import json
import mmap
import os
import random
import struct
import sys
import time

from history_locks import LOCKED, Locks
from history_record import BLOCK, BLOCKS, Recorder, record_bytes
from history_unlinked import Unlinked

REGISTERS = ["w0", "w1"]
CUTS = ["c0", "c1"]
APPENDS = {"a0": 61, "a1": 701}
NAMES = ["d0/x", "d0/y", "d0/z", "d1/x", "d1/y", "d1/z"]
MARKS = 170
PAUSE_S = 0.012
AFTER_ERROR_S = 0.1
RENAME_NOREPLACE = 1
# Answers that tell what was there, and are no failures.
TELLING = {"EEXIST", "ENOENT"}

libc = ctypes.CDLL(None, use_errno=True)


def rename_no_replace(root, source, target):
    names = (root, source.encode(), root, target.encode(), RENAME_NOREPLACE)
    if libc.renameat2(*names) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


class Worker:
    def __init__(self, config, incarnation):
        self.config = config
        self.record = Recorder(config, incarnation)
        self.random = random.Random(config["seed"] * 1000 + incarnation)
        self.round = -1
        self.held = {}
        self.handles = 0
        self.marks = 0
        self.root = None
        self.roles = [Locks(self), Unlinked(self)]

    def mounted(self):
        """
        All paths begin at a descriptor of the root of the mount: while a killed node is mounted
        anew, the bare directory below shows, which says nothing.
        """
        if self.root is not None:
            return True
        point = self.config["mountpoint"]
        try:
            root = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
            if os.fstat(root).st_dev != os.stat(os.path.dirname(point)).st_dev:
                self.root = root
            else:
                os.close(root)
        except OSError:
            return False
        return self.root is not None

    def leave(self):
        if self.root is not None:
            os.close(self.root)
        self.root = None

    def here(self, name):
        return f"r{self.round}/{name}"

    # Descriptors: held over a round, or opened for one call.

    def open(self, name, flags):
        self.handles += 1
        handle = {"f": name, "h": self.handles, "t": self.record.now()}
        given = []
        work = lambda: given.append(os.open(name, flags, dir_fd=self.root))
        error, _ = self.record.call("open", work, f=name, h=self.handles)
        if error is not None:
            return None
        handle["fd"] = given[0]
        return handle

    def close(self, handle):
        self.through(handle, "close", lambda: os.close(handle["fd"]))

    def through(self, handle, op, work, **about):
        """One call through a descriptor. Returns the name of the error, or None, and what it gave."""
        about = {**about, "f": handle["f"], "h": handle["h"], "held": handle["t"]}
        return self.record.call(op, work, **about)

    def with_file(self, name, flags, op, work, **about):
        """One call through a descriptor. Returns whether nothing failed."""
        key = (name, flags)
        keeps = self.random.random() < 0.6
        handle = self.held.pop(key, None) if keeps else None
        if handle is None:
            handle = self.open(name, flags)
        if handle is None:
            return False
        error, _ = self.through(handle, op, lambda: work(handle["fd"]), **about)
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if error is None and keeps and writes and self.random.random() < 0.3:
            error, _ = self.through(handle, "fsync", lambda: os.fsync(handle["fd"]))
        if error is None and keeps and key not in self.held:
            self.held[key] = handle
        else:
            self.close(handle)
        return error is None

    def release(self):
        for handle in self.held.values():
            self.close(handle)
        self.held = {}
        for role in self.roles:
            role.release()

    # Blocks

    def read_block(self, names):
        block = self.random.randrange(BLOCKS)
        work = lambda fd: os.pread(fd, BLOCK, block * BLOCK)
        name = self.here(self.random.choice(names))
        flags = self.random.choice([os.O_RDONLY, os.O_RDWR])
        return self.with_file(name, flags, "pread", work, b=block)

    def map_block(self, names):
        """Its last word: a page is not copied into at once, and the last word comes last."""
        block = self.random.randrange(BLOCKS)
        end = (block + 1) * BLOCK

        def work(fd):
            with mmap.mmap(fd, BLOCKS * BLOCK, prot=mmap.PROT_READ) as mapped:
                return mapped[end - 8 : end]

        name = self.here(self.random.choice(names))
        return self.with_file(name, os.O_RDONLY, "mmap", work, b=block)

    def write_block(self, names):
        block, value = self.random.randrange(BLOCKS), self.record.unique()
        data = struct.pack("<Q", value) * (BLOCK // 8)
        work = lambda fd: os.pwrite(fd, data, block * BLOCK)
        name = self.here(self.random.choice(names))
        return self.with_file(name, os.O_RDWR, "pwrite", work, b=block, w=value)

    def cut(self, names):
        blocks = self.random.randrange(BLOCKS + 1)
        work = lambda fd: os.ftruncate(fd, blocks * BLOCK)
        name = self.here(self.random.choice(names))
        return self.with_file(name, os.O_RDWR, "cut", work, b=blocks)

    # Appended files

    def append(self):
        name, length = self.random.choice(list(APPENDS.items()))
        record = self.record.unique()
        data = record_bytes(record, length)
        flags = os.O_WRONLY | os.O_APPEND
        work = lambda fd: os.write(fd, data)
        return self.with_file(self.here(name), flags, "append", work, w=record, n=length)

    def read_appended(self):
        name, length = self.random.choice(list(APPENDS.items()))
        work = lambda fd: os.pread(fd, 1 << 20, 0)
        return self.with_file(self.here(name), os.O_RDONLY, "read", work, n=length)

    def size(self):
        file, length = self.random.choice(list(APPENDS.items()))
        name = self.here(file)
        if self.random.random() < 0.5:
            return self.with_file(name, os.O_RDONLY, "size", os.fstat, n=length)
        work = lambda: os.stat(name, dir_fd=self.root)
        error, _ = self.record.call("size", work, f=name, n=length)
        return error is None

    # Names

    def name_call(self, op, work, **about):
        error, _ = self.record.call(op, work, f=self.here(""), **about)
        return error is None or error in TELLING

    def name(self):
        return self.random.choice(NAMES)

    def create(self):
        if self.marks == MARKS:
            return True
        self.marks += 1
        name, mark = self.name(), self.config["mount"] * MARKS + self.marks
        # The mode tells the file, from the very call that makes it.
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        given = []
        work = lambda: given.append(os.open(self.here(name), flags, mark, dir_fd=self.root))
        fine = self.name_call("create", work, a=name, m=mark)
        for fd in given:
            self.record.call("close", lambda: os.close(fd), f=self.here(name), h=0)
        return fine

    def unlink(self):
        name = self.name()
        return self.name_call("unlink", lambda: os.unlink(self.here(name), dir_fd=self.root), a=name)

    def move(self):
        name, to = self.random.sample(NAMES, 2)
        replaces = self.random.random() < 0.7
        source, target, root = self.here(name), self.here(to), self.root

        def work():
            if not replaces:
                return rename_no_replace(root, source, target)
            return os.rename(source, target, src_dir_fd=root, dst_dir_fd=root)

        return self.name_call("rename", work, a=name, to=to, over=replaces)

    def link(self):
        name, to = self.random.sample(NAMES, 2)
        source, target, root = self.here(name), self.here(to), self.root
        work = lambda: os.link(source, target, src_dir_fd=root, dst_dir_fd=root)
        return self.name_call("link", work, a=name, to=to)

    def stat(self):
        return self.stat_of(self.name())

    def stat_of(self, name):
        work = lambda: os.stat(self.here(name), dir_fd=self.root)
        return self.name_call("stat", work, a=name)

    def list(self):
        return self.list_of(self.random.choice(["d0", "d1"]), self.here(""))

    def list_of(self, directory, group):
        def work():
            flags = os.O_RDONLY | os.O_DIRECTORY
            fd = os.open(self.here(directory), flags, dir_fd=self.root)
            try:
                return os.listdir(fd)
            finally:
                os.close(fd)

        error, _ = self.record.call("list", work, f=group, a=directory)
        return error is None or error in TELLING

    def choices(self):
        locks, unlinked = self.roles
        if self.config["role"] == "locks":
            return locks.choices()
        if self.config["role"] == "unlinked":
            return unlinked.choices()
        if self.config["role"] == "names":
            cuts = CUTS
            return [
                (14, self.create), (8, self.unlink), (10, self.move), (6, self.link),
                (22, self.stat), (8, self.list), (8, lambda: self.write_block(cuts)),
                (12, lambda: self.read_block(cuts)), (4, lambda: self.cut(cuts)),
            ]
        files = REGISTERS
        return [
            (22, lambda: self.write_block(files)), (26, lambda: self.read_block(files)),
            (10, lambda: self.map_block(files)), (14, self.append),
            (12, self.read_appended), (8, self.size),
        ]

    def work(self):
        weights, calls = zip(*self.choices())
        rounds = self.config["rounds"]
        while not os.path.exists(self.config["stop"]):
            now = min(self.record.now() // self.config["round_ns"], rounds - 1)
            if now != self.round:
                self.release()
                self.round, self.marks = now, 0
            fine = self.mounted() and self.random.choices(calls, weights)[0]()
            if not fine:
                self.leave()
            time.sleep(self.random.random() * PAUSE_S if fine else AFTER_ERROR_S)
        self.release()
        self.leave()

    def setup(self):
        """Each mount makes a part of the files, so that each machine is home of some."""
        mount, mounts = self.config["mount"], self.config["mounts"]
        assert self.mounted()
        for number in range(self.config["rounds"]):
            self.round = number
            if mount == 0:
                for name in ["", "d0", "d1", "d2"]:
                    os.mkdir(self.here(name), dir_fd=self.root)
            for index, name in enumerate([*REGISTERS, *CUTS, *APPENDS, *LOCKED]):
                if (number + index) % mounts != mount:
                    continue
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
                fd = os.open(self.here(name), flags, 0o644, dir_fd=self.root)
                if name in REGISTERS:
                    os.ftruncate(fd, BLOCK * BLOCKS)
                os.close(fd)

    def final(self):
        """Looks at everything once."""
        assert self.mounted()
        for number in range(min(self.config["rounds"], self.config["done"])):
            self.round = number
            for name in [*REGISTERS, *CUTS]:
                for block in range(BLOCKS):
                    work = lambda fd: os.pread(fd, BLOCK, block * BLOCK)
                    self.with_file(self.here(name), os.O_RDONLY, "pread", work, b=block)
            for name, length in APPENDS.items():
                work = lambda fd: os.pread(fd, 1 << 24, 0)
                self.with_file(self.here(name), os.O_RDONLY, "read", work, last=True, n=length)
            for name in LOCKED:
                work = lambda fd: os.pread(fd, BLOCK, 0)
                self.with_file(self.here(name), os.O_RDONLY, "pread", work, b=0)
            for name in NAMES:
                self.stat_of(name)
            for name in ["d0", "d1"]:
                self.list_of(name, self.here(""))
            self.list_of("d2", self.here("d2"))
            self.release()


def main():
    command, config = sys.argv[1], json.loads(sys.argv[2])
    os.umask(0)
    if command != "work":
        getattr(Worker(config, 900), command)()
        return
    for incarnation in range(900):
        child = os.fork()
        if child == 0:
            Worker(config, incarnation).work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


main()
