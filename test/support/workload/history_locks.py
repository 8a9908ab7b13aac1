"""
The role `locks` of history.py: flock(2), POSIX locks and locks of open file descriptions on the files
of a round. One process of each mount does all of it. Locks of the last two kinds see each other.

A POSIX lock belongs to this process, and falls when it closes any descriptor of that file. Each file
has a counter in its first block, which is guarded by locks of one kind: who adds to it writes a value
of its own and says which one it read, so that two who added to the same one are found.
"""
import errno
import fcntl
import os
import signal
import struct

from history_record import BLOCK

# The file, and the kinds of locks that guard its counter.
LOCKED = {"l0": ["flock"], "l1": ["posix", "ofd"]}
KINDS = ["flock", "posix", "ofd"]
# From, length; 0 is to the end. The first ones have the counter in them.
GUARDS = [(0, 0), (0, 1), (0, 64)]
RANGES = [*GUARDS, (1, 1), (1, 9), (32, 0)]
SETLK = {"posix": (fcntl.F_SETLK, fcntl.F_SETLKW), "ofd": (37, 38)}
# Answers that are no failures: somebody has it, it took too long, it would take for ever.
REFUSED = {"EAGAIN", "EACCES", "EINTR", "EDEADLK"}
HANDLES = 3
OTHERS = 0.15


class Limit:
    """A signal ends a call that takes longer; what it was about to return is not known then."""

    def __init__(self, seconds):
        self.seconds, self.armed = seconds, False

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.alarm)
        self.armed = True
        # More than once, since one may come before the call has begun to wait.
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 0.05)

    def __exit__(self, *_):
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def alarm(self, *_):
        if self.armed:
            self.armed = False
            raise InterruptedError(errno.EINTR, "it takes too long")


def ask(fd, kind, how, place, waits):
    """how: x, s or u."""
    if kind == "flock":
        flag = {"x": fcntl.LOCK_EX, "s": fcntl.LOCK_SH, "u": fcntl.LOCK_UN}[how]
        return fcntl.flock(fd, flag if waits or how == "u" else flag | fcntl.LOCK_NB)
    type_ = {"x": fcntl.F_WRLCK, "s": fcntl.F_RDLCK, "u": fcntl.F_UNLCK}[how]
    request = struct.pack("hhqqi4x", type_, os.SEEK_SET, *place, 0)
    fcntl.fcntl(fd, SETLK[kind][waits], request)


class Locks:
    def __init__(self, worker):
        self.worker, self.random = worker, worker.random
        self.handles = []
        # What may be locked: (handle, kind, place).
        self.held = []

    def call(self, op, handle, work, **about):
        return self.worker.through(handle, op, work, **about)[0]

    def handle(self, name):
        """Of one file, another open file description each time, now and then."""
        mine = [handle for handle in self.handles if handle["f"] == name]
        if mine and (len(mine) == HANDLES or self.random.random() < 0.8):
            return self.random.choice(mine)
        handle = self.worker.open(name, os.O_RDWR)
        if handle is not None:
            self.handles.append(handle)
        return handle

    def close(self, handle):
        self.handles.remove(handle)
        self.worker.close(handle)
        file = handle["f"]
        self.held = [
            held for held in self.held
            if held[0] is not handle and not (held[1] == "posix" and held[0]["f"] == file)
        ]

    def release(self):
        for handle in list(self.handles):
            self.close(handle)

    def lock(self, handle, kind, how, place):
        """Returns whether it is locked now, and whether nothing failed."""
        waits = self.random.random() < (0.15 if self.held else 0.5)
        seconds = self.random.choice([0.05, 0.2, 0.5, 1.6]) if waits else 0
        at, length = (0, 0) if kind == "flock" else place

        def work():
            if not waits:
                return ask(handle["fd"], kind, how, place, False)
            with Limit(seconds):
                return ask(handle["fd"], kind, how, place, True)

        about = {"k": kind, "x": how == "x", "at": at, "len": length, "nb": not waits}
        error = self.call(kind if waits else f"{kind} at once", handle, work, **about)
        if error is None:
            self.held.append((handle, kind, place))
        elif error == "EINTR":
            # Nobody knows whether it came first.
            return False, self.unlock(handle, kind, place)
        return error is None, error is None or error in REFUSED

    def unlock(self, handle, kind, place):
        at, length = (0, 0) if kind == "flock" else place
        work = lambda: ask(handle["fd"], kind, "u", place, False)
        gone = lambda held: held[1] == kind and held[2] == place and (
            held[0] is handle or (kind == "posix" and held[0]["f"] == handle["f"])
        )
        self.held = [held for held in self.held if not gone(held)]
        return self.call("unlock", handle, work, k=kind, at=at, len=length) is None

    def done(self, fine):
        """After a failure all is opened anew: a lock that was lost is told until the last close."""
        if not fine:
            self.release()
        return fine

    def add(self):
        """Adds one to a counter under an exclusive lock, and makes sure that it stays."""
        name = self.random.choice(list(LOCKED))
        kind, place = self.random.choice(LOCKED[name]), self.random.choice(GUARDS)
        handle = self.handle(self.worker.here(name))
        if handle is None:
            return self.done(False)
        locked, fine = self.lock(handle, kind, "x", place)
        if not locked:
            return self.done(fine)
        return self.done(self.add_locked(handle) and self.give_up(handle, kind, place))

    def add_locked(self, handle):
        fd, file = handle["fd"], handle
        error, before = self.worker.through(file, "pread", lambda: os.pread(fd, BLOCK, 0), b=0)
        if error is not None or not isinstance(before, int):
            return False
        value = self.worker.record.unique()
        data = struct.pack("<Q", value) * (BLOCK // 8)
        error = self.call("pwrite", file, lambda: os.pwrite(fd, data, 0), b=0, w=value, after=before)
        return error is None and self.call("fsync", file, lambda: os.fsync(fd)) is None

    def give_up(self, handle, kind, place):
        if self.random.random() < 0.75:
            return self.unlock(handle, kind, place)
        self.close(handle)
        return True

    def hold(self):
        """Locks something, and keeps it for a while."""
        name, kind = self.random.choice(list(LOCKED)), self.random.choice(KINDS)
        if kind not in LOCKED[name] and self.random.random() > OTHERS * 2:
            kind = self.random.choice(LOCKED[name])
        place = (0, 0) if kind == "flock" else self.random.choice(RANGES)
        how = "x" if self.random.random() < 0.4 else "s"
        handle = self.handle(self.worker.here(name))
        if handle is None:
            return self.done(False)
        return self.done(self.lock(handle, kind, how, place)[1])

    def drop(self):
        if not self.held:
            return True
        return self.done(self.unlock(*self.random.choice(self.held)))

    def drop_part(self):
        """A part of what is locked, in the way of nothing else."""
        ranges = [held for held in self.held if held[1] != "flock"]
        if not ranges:
            return True
        handle, kind, _ = self.random.choice(ranges)
        return self.done(self.unlock(handle, kind, self.random.choice(RANGES)))

    def leave(self):
        if self.handles:
            self.close(self.random.choice(self.handles))
        return True

    def choices(self):
        return [
            (30, self.add), (16, self.hold), (36, self.drop), (5, self.drop_part), (13, self.leave),
        ]
