"""Programs on two machines overwrite one page of a file, and read it meanwhile.

Usage: overwriters.py MOUNTPOINT MOUNTPOINT SECONDS. Prints how often each did what, as JSON. Every
value is written once: what somebody saw before his own write he must not see after it.
"""

import json
import os
import sys
import time
from collections import Counter
from multiprocessing import Process, Queue

PAGE = 4096


def value_in(page):
    number = int.from_bytes(page[:8], "little")
    return number if page == page[:8] * (PAGE // 8) else "half"


def overwrite(fd, state):
    before = value_in(os.pread(fd, PAGE, 0))
    state["seen"].add(before)
    state["number"] += 1
    own = (os.getpid() << 32) + state["number"]
    os.pwrite(fd, own.to_bytes(8, "little") * (PAGE // 8), 0)
    after = value_in(os.pread(fd, PAGE, 0))
    stale = after in state["seen"] and after != "half"
    state["seen"].add(own)
    state["seen"].add(after)
    time.sleep(0.001)
    return "overwritten value read again" if stale else "overwrite"


def look(fd, _):
    os.pread(fd, PAGE, 0)
    time.sleep(0.0005)
    return "look"


def repeat(what, path, end, said):
    counts = Counter()
    state = {"seen": set(), "number": 0}
    fd = os.open(path, os.O_RDWR)
    while time.monotonic() < end:
        counts[what(fd, state)] += 1
    said.put(counts)


def main():
    *mountpoints, seconds = sys.argv[1:]
    paths = [os.path.join(mountpoint, "page") for mountpoint in mountpoints]
    with open(paths[0], "xb") as file:
        file.write(bytes(PAGE))
    said = Queue()
    end = time.monotonic() + float(seconds)
    processes = [
        Process(target=repeat, args=(what, path, end, said))
        for path in paths
        for what in (overwrite, look, look)
    ]
    for process in processes:
        process.start()
    total = sum((said.get() for _ in processes), Counter())
    for process in processes:
        process.join()
    print(json.dumps(total))


main()
