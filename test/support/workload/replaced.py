"""replaced.py HERE THERE SECONDS: a name is renamed over again and again HERE, and looked at THERE.

It is always there. Prints a JSON object of what was counted: looks, replacements, and errors.
"""

import collections
import json
import os
import sys
import threading
import time

here, there, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
counts = collections.Counter()
ends = time.monotonic() + seconds


def replace():
    with open(f"{here}/fresh", "w") as file:
        file.write("content")
    os.rename(f"{here}/fresh", f"{here}/target")
    counts["replacements"] += 1
    time.sleep(0.005)


def look_stat():
    os.stat(f"{there}/target")
    counts["looks"] += 1


def look_open():
    os.close(os.open(f"{there}/target", os.O_RDONLY))
    counts["looks"] += 1


def again(action):
    while time.monotonic() < ends:
        try:
            action()
        except OSError as error:
            counts[f"{action.__name__}: {error.strerror}"] += 1


replace()
threads = [threading.Thread(target=again, args=[action]) for action in (replace, look_stat, look_open)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
