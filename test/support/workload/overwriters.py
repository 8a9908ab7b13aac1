"""Programs on two machines overwrite one page of a file, and read it meanwhile.

Usage: overwriters.py MOUNTPOINT MOUNTPOINT SECONDS. Prints how often each did what, as JSON. Every
value is written once: what somebody saw before his own write he must not see after it.
"""

import json
import os
import time

import crowd

PAGE = 4096


def value_in(page):
    number = int.from_bytes(page[:8], "little")
    return number if page == page[:8] * (PAGE // 8) else "half"


def overwrite(path):
    fd = os.open(path, os.O_RDWR)
    seen = set()
    own = os.getpid() << 32

    def once():
        nonlocal own
        seen.add(value_in(os.pread(fd, PAGE, 0)))
        own += 1
        os.pwrite(fd, own.to_bytes(8, "little") * (PAGE // 8), 0)
        after = value_in(os.pread(fd, PAGE, 0))
        stale = after in seen and after != "half"
        seen.update((own, after))
        time.sleep(0.001)
        return "overwritten value read again" if stale else "overwrite"

    return once


def look(path):
    fd = os.open(path, os.O_RDWR)

    def once():
        os.pread(fd, PAGE, 0)
        time.sleep(0.0005)
        return "look"

    return once


total, _ = crowd.run("page", bytes(PAGE), (overwrite, look, look))
print(json.dumps(total))
