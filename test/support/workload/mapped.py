"""Programs on two machines add to one number through shared mappings, in turn by a lock.

Usage: mapped.py MOUNTPOINT MOUNTPOINT SECONDS. Every second addition is followed by msync, the others
are not; others look at the number through mappings of their own. Prints how often each did what, as
JSON: no addition may be lost, and nobody may see the number go back.
"""

import fcntl
import json
import mmap
import os
import time

import crowd

PAGE = 4096
AT = PAGE + 100


def number_in(mapped):
    return int.from_bytes(mapped[AT : AT + 8], "little")


def add(path):
    fd = os.open(path, os.O_RDWR)
    mapped = mmap.mmap(fd, 2 * PAGE)
    added = seen = 0

    def once():
        nonlocal added, seen
        fcntl.lockf(fd, fcntl.LOCK_EX)
        number = number_in(mapped)
        goes_back = number < seen
        seen = number + 1
        mapped[AT : AT + 8] = seen.to_bytes(8, "little")
        added += 1
        if added % 2 == 0:
            mapped.flush()
        fcntl.lockf(fd, fcntl.LOCK_UN)
        return "number that went back" if goes_back else "add"

    return once


def look(path):
    fd = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap(fd, 2 * PAGE, prot=mmap.PROT_READ)
    seen = 0

    def once():
        nonlocal seen
        number = number_in(mapped)
        goes_back = number < seen
        seen = number
        time.sleep(0.002)
        return "number seen going back" if goes_back else "look"

    return once


total, paths = crowd.run("mapped", bytes(2 * PAGE), (add, look))
for path in paths:
    with open(path, "rb") as file:
        total["lost"] += total["add"] - number_in(file.read())
print(json.dumps(total))
