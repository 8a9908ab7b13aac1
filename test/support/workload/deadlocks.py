"""
Ways in which two mounts could wait for each other for ever: python3 deadlocks.py SCENARIO HERE THERE.
Each runs in threads on both sides and is bounded by its caller. Prints how often each side got
through; nothing of it may fail.
"""
import json
import mmap
import os
import sys
import threading
import time

SECONDS = float(os.environ.get("SECONDS", "4"))
scenario, here, there = sys.argv[1:4]
failures = []
counts = {}


def loop(name, work):
    end = time.monotonic() + SECONDS
    count = 0
    try:
        while time.monotonic() < end:
            work(count)
            count += 1
    except OSError as error:
        failures.append(f"{name}: {error}")
    counts[name] = count


def together(**works):
    threads = [threading.Thread(target=loop, args=item) for item in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def write(path, data, mode="r+b"):
    with open(path, mode) as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def fetch_while_recalled():
    """D2, K6: readers fault pages in while the other side wants to write them."""
    write(f"{here}/f", b"a" * 300_000, "wb")
    together(
        reads=lambda count: read(f"{here}/f"),
        reads_too=lambda count: read(f"{here}/f"),
        writes=lambda count: write(f"{there}/f", b"%d" % count),
    )


def both_write():
    """D3, D4: both sides read and write parts of pages of one file."""
    write(f"{here}/f", b"a" * 20_000, "wb")

    def change(mount):
        def work(count):
            with open(f"{mount}/f", "r+b", buffering=0) as file:
                file.seek(count % 5 * 4096 + 100)
                file.write(b"%d" % count)
                file.seek(count % 3 * 4096)
                file.read(5000)

        return work

    together(here=change(here), there=change(there))


def dirty_mapping():
    """D5, K15: a store through a mapping is seen by the other side's next look, without msync."""
    write(f"{here}/f", b"\0" * 4096, "wb")
    with open(f"{here}/f", "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)

        def work(count):
            value = b"%06d" % count
            mapped[10:16] = value
            seen = read(f"{there}/f")[10:16]
            if seen != value:
                raise OSError(f"{seen!r} instead of {value!r}")

        together(stores=work)
        mapped.close()


def one_directory():
    """D6, K7: both sides make, look up and remove names in one directory."""
    os.mkdir(f"{here}/d")

    def change(mount, side):
        def work(count):
            path = f"{mount}/d/{side}{count % 20}"
            os.close(os.open(path, os.O_CREAT | os.O_RDWR))
            os.listdir(f"{mount}/d")
            os.path.exists(f"{mount}/d/{count % 20}")
            os.unlink(path)

        return work

    together(
        here=change(here, "h"),
        here_too=change(here, "i"),
        there=change(there, "t"),
        there_too=change(there, "u"),
    )


def crossed_files():
    """D8: each side holds one file open for writing and wants the other one."""
    for name in ("one", "two"):
        write(f"{here}/{name}", b"a" * 5000, "wb")

    def change(mount, first, second):
        def work(count):
            with open(f"{mount}/{first}", "r+b", buffering=0) as outer:
                outer.write(b"%d" % count)
                with open(f"{mount}/{second}", "r+b", buffering=0) as inner:
                    inner.write(b"%d" % count)
                    outer.write(b"more")

        return work

    together(here=change(here, "one", "two"), there=change(there, "two", "one"))


def crossed_renames():
    """D9: files move between two directories in both directions, from both sides."""
    for name in ("p", "q"):
        os.mkdir(f"{here}/{name}")

    def move(mount, name, first, second):
        os.close(os.open(f"{mount}/{first}/{name}", os.O_CREAT))

        def work(count):
            os.rename(f"{mount}/{first}/{name}", f"{mount}/{second}/{name}")
            os.rename(f"{mount}/{second}/{name}", f"{mount}/{first}/{name}")

        return work

    together(
        here=move(here, "a", "p", "q"),
        here_back=move(here, "b", "q", "p"),
        there=move(there, "c", "p", "q"),
        there_back=move(there, "d", "q", "p"),
    )


SCENARIOS = [
    fetch_while_recalled,
    both_write,
    dirty_mapping,
    one_directory,
    crossed_files,
    crossed_renames,
]
{each.__name__: each for each in SCENARIOS}[scenario]()
print(json.dumps({"counts": counts, "failures": failures}))
