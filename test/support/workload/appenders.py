"""Programs on two machines append to one file while others there read it.

Usage: appenders.py MOUNTPOINT MOUNTPOINT SECONDS. Prints how often each did what, as JSON: nothing
that a program was told of the file's end, by fstat, lseek or read, may be taken back.
"""

import json
import os
import time

import crowd

RECORD = 61


def append(path):
    def once():
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"x" * RECORD)
        os.close(fd)
        time.sleep(0.003)
        return "append"

    return once


def look(path):
    held = os.open(path, os.O_RDONLY)

    def once():
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

    return once


total, paths = crowd.run("log", b"", (append, look, look))
total["lost"] = total["append"] - os.stat(paths[1]).st_size // RECORD
print(json.dumps(total))
