"""listings.py HERE THERE SECONDS: names of a large directory are renamed over HERE, and listed THERE.

All names are there throughout. Prints a JSON object of what was counted: replacements, listings,
and names that a listing had twice, or not at all.
"""

import collections
import itertools
import json
import os
import sys
import threading
import time

here, there, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
NAMES = [f"name-{n:04}" for n in range(600)]
counts = collections.Counter()


def replace_until(ends):
    for name in itertools.cycle(NAMES):
        if time.monotonic() > ends:
            return
        with open(f"{here}/many/fresh", "w") as file:
            file.write(name)
        os.rename(f"{here}/many/fresh", f"{here}/many/{name}")
        counts["replacements"] += 1


def list_until(ends):
    while time.monotonic() < ends:
        seen = collections.Counter(os.listdir(f"{there}/many"))
        counts["listings"] += 1
        for name in NAMES:
            if seen[name] > 1:
                counts["names twice"] += 1
            elif seen[name] == 0:
                counts["names missed"] += 1


os.mkdir(f"{here}/many")
for name in NAMES:
    open(f"{here}/many/{name}", "w").close()
ends = time.monotonic() + seconds
threads = [threading.Thread(target=each, args=[ends]) for each in (replace_until, list_until)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
