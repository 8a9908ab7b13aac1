"""getcwd.py HERE THERE SECONDS: names come and go HERE beside a directory in which a program works THERE.

Prints a JSON object of what was counted: changes, walks to the directory, calls of getcwd(2), and
those that failed.
"""

import collections
import itertools
import json
import os
import sys
import threading
import time

here, there, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
counts = collections.Counter()


def change_until(ends):
    for n in itertools.count():
        if time.monotonic() > ends:
            return
        with open(f"{here}/top/beside-{n % 8}", "w"):
            pass
        os.unlink(f"{here}/top/beside-{n % 8}")
        counts["changes"] += 1


def walk_until(ends):
    while time.monotonic() < ends:
        os.stat(f"{there}/top/below/work")
        counts["walks"] += 1


def ask_until(ends):
    os.chdir(f"{there}/top/below/work")
    while time.monotonic() < ends:
        try:
            os.getcwd()
            counts["asked"] += 1
        except OSError as error:
            counts[f"getcwd: {error.strerror}"] += 1
    os.chdir("/")


os.makedirs(f"{here}/top/below/work")
ends = time.monotonic() + seconds
threads = [
    threading.Thread(target=each, args=[ends]) for each in (change_until, walk_until, ask_until)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
