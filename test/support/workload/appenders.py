"""Programs on two machines append to one file while others there read it.

Usage: appenders.py MOUNTPOINT MOUNTPOINT SECONDS. Prints how often each did what, as JSON: nothing
that a program was told of the file's end, by fstat, lseek or read, may be taken back.
"""

import json
import os
import sys
import time
from collections import Counter
from multiprocessing import Process, Queue

RECORD = 61


def append(path, _):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"x" * RECORD)
    os.close(fd)
    time.sleep(0.003)
    return "append"


def look(path, held):
    fd = os.open(path, os.O_RDONLY)
    try:
        told = os.fstat(fd).st_size
        content = os.pread(fd, told + (1 << 20), 0)
        read = len(content)
        sought = os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
    again = len(os.pread(held, sought + (1 << 20), 0))
    time.sleep(0.002)
    if content.strip(b"x"):
        return "damaged record"
    if read < told:
        return "short read"
    if sought < read:
        return "end before what was read"
    if again < sought:
        return "short read of a held descriptor"
    if again % RECORD:
        return "part of a record"
    return "look"


def repeat(what, path, end, said):
    counts = Counter()
    held = os.open(path, os.O_RDONLY)
    while time.monotonic() < end:
        counts[what(path, held)] += 1
    said.put(counts)


def main():
    *mountpoints, seconds = sys.argv[1:]
    paths = [os.path.join(mountpoint, "log") for mountpoint in mountpoints]
    with open(paths[0], "xb"):
        pass
    said = Queue()
    end = time.monotonic() + float(seconds)
    processes = [
        Process(target=repeat, args=(what, path, end, said))
        for path in paths
        for what in (append, look, look)
    ]
    for process in processes:
        process.start()
    total = sum((said.get() for _ in processes), Counter())
    for process in processes:
        process.join()
    total["lost"] = total["append"] - os.stat(paths[1]).st_size // RECORD
    print(json.dumps(total))


main()
