"""Several processes on several mounts do one thing again and again, and count what came of it."""

import os
import sys
import time
from collections import Counter
from multiprocessing import Process, Queue


def _repeat(action, path, end, said):
    counts = Counter()
    do = action(path)
    while time.monotonic() < end:
        counts[do()] += 1
    said.put(counts)


def run(name, content, actions):
    """Makes the file on the first mount, and runs every action on each.

    The command line has MOUNTPOINT..., SECONDS. An action is given the path and returns what is to
    be done again and again, which returns what to count. Returns the counts and the paths.
    """
    *mountpoints, seconds = sys.argv[1:]
    paths = [os.path.join(mountpoint, name) for mountpoint in mountpoints]
    with open(paths[0], "xb") as file:
        file.write(content)
    said = Queue()
    end = time.monotonic() + float(seconds)
    processes = [
        Process(target=_repeat, args=(action, path, end, said))
        for path in paths
        for action in actions
    ]
    for process in processes:
        process.start()
    total = sum((said.get() for _ in processes), Counter())
    for process in processes:
        process.join()
    return total, paths
