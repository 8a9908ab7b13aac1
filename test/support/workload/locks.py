"""locks.py FILE HOW COUNT: adds COUNT to the number in FILE, one by one, each under a lock.

HOW is flock, posix or ofd. A record of what was added goes to standard output as it is: the number
that was read under the lock, so that nothing of it is lost when this program is killed.
"""

import fcntl
import os
import struct
import sys

path, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
WHOLE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
NOTHING = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)
F_OFD_SETLKW = 38


def lock(fd):
    if how == "flock":
        fcntl.flock(fd, fcntl.LOCK_EX)
    elif how == "posix":
        fcntl.fcntl(fd, fcntl.F_SETLKW, WHOLE)
    else:
        fcntl.fcntl(fd, F_OFD_SETLKW, WHOLE)


def unlock(fd):
    if how == "flock":
        fcntl.flock(fd, fcntl.LOCK_UN)
    elif how == "posix":
        fcntl.fcntl(fd, fcntl.F_SETLK, NOTHING)
    else:
        fcntl.fcntl(fd, F_OFD_SETLKW, NOTHING)


fd = os.open(path, os.O_RDWR)
for _ in range(count):
    lock(fd)
    number = int(os.pread(fd, 32, 0) or b"0")
    os.pwrite(fd, b"%020d" % (number + 1), 0)
    print(number, flush=True)
    unlock(fd)
