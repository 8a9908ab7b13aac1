"""counters.py HOW LOG SECONDS SEED FILE...: programs add to one number, and are killed at random.

The FILEs are one file on several mounts, each with a program; HOW it is locked is flock, posix, ofd,
or nothing. What a program is about to do and has done is a line of LOG, which is not on a mount and
so has it in the order of time: `reads PID VALUE MACHINE` and `wrote PID VALUE MACHINE` under the
lock, before and after VALUE + 1 is written. A program whose mount went away opens the file again:
`failed PID ERRNO MACHINE`.
Prints how many were killed, as JSON.
"""

import errno
import fcntl
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback

WIDTH = 20
F_OFD_SETLK, F_OFD_SETLKW = 37, 38
AWAY = (errno.EIO, errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.ESTALE, errno.ENODEV)
RETRY_S = 0.02
KILL_S = (0.01, 0.12)
END_S = 60

how, log_path, seconds, seed, *paths = sys.argv[1:]
log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
ends = mmap.mmap(-1, 1)


def say(what, value="", machine=""):
    os.write(log, f"{what} {os.getpid()} {value} {machine}\n".encode())


def fcntl_lock(fd, command, type):
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", type, os.SEEK_SET, 0, 0, 0))


LOCK = {
    "flock": lambda fd: fcntl.flock(fd, fcntl.LOCK_EX),
    "posix": lambda fd: fcntl_lock(fd, fcntl.F_SETLKW, fcntl.F_WRLCK),
    "ofd": lambda fd: fcntl_lock(fd, F_OFD_SETLKW, fcntl.F_WRLCK),
    "nothing": lambda fd: None,
}[how]
UNLOCK = {
    "flock": lambda fd: fcntl.flock(fd, fcntl.LOCK_UN),
    "posix": lambda fd: fcntl_lock(fd, fcntl.F_SETLK, fcntl.F_UNLCK),
    "ofd": lambda fd: fcntl_lock(fd, F_OFD_SETLK, fcntl.F_UNLCK),
    "nothing": lambda fd: None,
}[how]


def add(fd, machine, drawn):
    LOCK(fd)
    value = int(os.pread(fd, WIDTH, 0))
    say("reads", value, machine)
    time.sleep(drawn.random() * 0.002)
    os.pwrite(fd, b"%0*d" % (WIDTH, value + 1), 0)
    say("wrote", value, machine)
    UNLOCK(fd)


def add_until_the_end(machine, drawn):
    while not ends[0]:
        fd = -1
        try:
            fd = os.open(paths[machine], os.O_RDWR)
            while not ends[0]:
                add(fd, machine, drawn)
        except OSError as error:
            if error.errno not in AWAY:
                raise
            say("failed", error.errno, machine)
            time.sleep(RETRY_S)
        finally:
            if fd != -1:
                try:
                    os.close(fd)
                except OSError:
                    pass


def start(machine, drawn):
    own = random.Random(drawn.random())
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        add_until_the_end(machine, own)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main():
    drawn = random.Random(int(seed))
    running = [start(machine, drawn) for machine in range(len(paths))]
    killed = 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        time.sleep(drawn.uniform(*KILL_S))
        machine = drawn.randrange(len(paths))
        os.kill(running[machine], signal.SIGKILL)
        _, status = os.waitpid(running[machine], 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a program ended by itself with {status}")
        killed += 1
        running[machine] = start(machine, drawn)
    ends[0] = 1
    signal.alarm(END_S)
    failed = [status for _, status in (os.waitpid(pid, 0) for pid in running) if status != 0]
    if failed:
        sys.exit(f"programs ended with {failed}")
    print(json.dumps({"killed": killed}))


main()
