"""getcwd.py HERE THERE SECONDS: names beside a working directory HERE are made and removed THERE.

Another program HERE walks to the working directory meanwhile. Prints a JSON object of what was
counted: looks, changes, walks, errors, and for how many milliseconds at most getcwd(2) said ENOENT.
"""

import collections
import json
import os
import sys
import time
from multiprocessing import Process, Queue

here, there, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
work = f"{here}/d/work"
ends = time.monotonic() + seconds


def change():
    beside = f"{there}/d/beside"
    open(beside, "w").close()
    os.unlink(beside)
    time.sleep(0.003)
    return "changes"


def walk():
    os.stat(f"{work}/file")
    time.sleep(0.0005)
    return "walks"


def look():
    return "looks" if os.getcwd() == work else "another directory"


def again(action, said):
    os.chdir(work if action is look else "/")
    counts = collections.Counter()
    absent = None
    longest = 0
    # A working directory that is away at the end is waited for.
    while time.monotonic() < ends or absent is not None and time.monotonic() < ends + 10:
        now = time.monotonic()
        try:
            counts[action()] += 1
            if absent is not None:
                longest = max(longest, now - absent)
            absent = None
        except FileNotFoundError:
            counts[f"{action.__name__}: absent"] += 1
            absent = absent or now
    said.put((counts, longest * 1000 if absent is None else None))


os.makedirs(work)
open(f"{work}/file", "w").close()
results = Queue()
actions = (change, walk, look)
processes = [Process(target=again, args=(action, results)) for action in actions]
for process in processes:
    process.start()
said = [results.get() for _ in processes]
for process in processes:
    process.join()
total = sum((counts for counts, _ in said), collections.Counter())
away = [longest for _, longest in said]
print(json.dumps({**total, "longest ms": None if None in away else max(away)}))
