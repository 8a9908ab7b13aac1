"""What stat(2) says of a file that is being written, before and after close(2), on two machines.

Usage: times.py MOUNTPOINT MOUNTPOINT ROUNDS. Prints how often each case was as on a local disk, and
how often not, with the first difference, as JSON.
"""

import json
import mmap
import os
import sys
import time

LONG_AGO = 1_000_000_000_000_000_000
FAR_AHEAD = 4_000_000_000_000_000_000


class Different(Exception):
    pass


def expect(condition, what, *seen):
    if not condition:
        raise Different(f"{what}: {[tell(each) for each in seen]}")


def tell(stat):
    return f"{stat.st_size} bytes, mtime {stat.st_mtime_ns}, ctime {stat.st_ctime_ns}"


def same(one, other):
    return tell(one) == tell(other)


def end(fd, last, here, there):
    """Nothing moves when the file is closed, and there it is seen as it was here."""
    time.sleep(0.006)
    os.close(fd)
    closed = os.stat(here)
    expect(same(last, closed), "moved by close", last, closed)
    seen = os.stat(there)
    expect(same(last, seen), "another one there", last, seen)


def write(fd):
    os.write(fd, b"written")
    written = os.fstat(fd)
    expect(written.st_mtime_ns == written.st_ctime_ns, "times of a write", written)
    return written


def plain(fd, here, there):
    start = os.fstat(fd)
    first = write(fd)
    expect(first.st_ctime_ns > start.st_ctime_ns, "not moved by write", start, first)
    second = write(fd)
    expect(second.st_ctime_ns > first.st_ctime_ns, "not moved by write", first, second)
    end(fd, second, here, there)


def synced(fd, here, there):
    written = write(fd)
    os.fsync(fd)
    expect(same(written, os.fstat(fd)), "moved by fsync", written, os.fstat(fd))
    end(fd, written, here, there)


def looked_at(fd, here, there):
    written = write(fd)
    seen = os.stat(there)
    expect(same(written, seen), "another one there", written, seen)
    end(fd, written, here, there)


def changed(fd, here, there, change):
    written = write(fd)
    change()
    after = os.fstat(fd)
    expect(after.st_mtime_ns == written.st_mtime_ns, "mtime moved", written, after)
    expect(after.st_ctime_ns > written.st_ctime_ns, "ctime not moved", written, after)
    end(fd, after, here, there)


def chmod_here(fd, here, there):
    changed(fd, here, there, lambda: os.chmod(here, 0o600))


def chmod_there(fd, here, there):
    changed(fd, here, there, lambda: os.chmod(there, 0o600))


def linked(fd, here, there):
    changed(fd, here, there, lambda: os.link(here, here + ".link"))


def set_times(fd, here, there):
    written = write(fd)
    os.utime(fd, ns=(LONG_AGO, LONG_AGO))
    after = os.fstat(fd)
    expect(after.st_mtime_ns == LONG_AGO, "mtime not as set", after)
    expect(after.st_ctime_ns > written.st_ctime_ns, "ctime not moved", written, after)
    end(fd, after, here, there)


def written_after_times(fd, here, there):
    write(fd)
    os.utime(there, ns=(FAR_AHEAD, FAR_AHEAD))
    after = os.fstat(fd)
    expect(after.st_mtime_ns == FAR_AHEAD, "mtime not as set", after)
    os.pwrite(fd, b"w", 0)
    written = os.fstat(fd)
    expect(written.st_mtime_ns < FAR_AHEAD, "mtime as set before", written)
    end(fd, written, here, there)


def truncated(fd, here, there):
    written = write(fd)
    os.ftruncate(fd, 3)
    after = os.fstat(fd)
    expect(after.st_mtime_ns > written.st_mtime_ns, "not moved by truncate", written, after)
    end(fd, after, here, there)


def stored(fd, here, there):
    written = write(fd)
    mapped = mmap.mmap(fd, 4)
    mapped[0:4] = b"mmap"
    mapped.flush()
    mapped.close()
    after = os.fstat(fd)
    expect(after.st_mtime_ns > written.st_mtime_ns, "not moved by a store", written, after)
    end(fd, after, here, there)


def stored_unsynced(fd, here, there):
    written = write(fd)
    mapped = mmap.mmap(fd, 4)
    mapped[0:4] = b"mmap"
    mapped.close()
    os.close(fd)
    after = os.stat(here)
    expect(after.st_ctime_ns > written.st_ctime_ns, "not moved by a store", written, after)
    seen = os.stat(there)
    expect(same(after, seen), "another one there", after, seen)


def by_turns(fd, here, there):
    other = os.open(there, os.O_RDWR)
    last = write(fd)
    for turn in (other, fd, other, fd):
        os.pwrite(turn, b"turn", 0)
        after = os.fstat(turn)
        expect(after.st_ctime_ns > last.st_ctime_ns, "not moved by write", last, after)
        last = after
    os.close(other)
    end(fd, last, here, there)


CASES = (
    plain,
    synced,
    looked_at,
    chmod_here,
    chmod_there,
    linked,
    set_times,
    written_after_times,
    truncated,
    stored,
    stored_unsynced,
    by_turns,
)


def main():
    mounts, rounds = sys.argv[1:3], int(sys.argv[3])
    seen = {}
    for index in range(rounds):
        for case in CASES:
            for home in (0, 1):
                name = f"{case.__name__}-{home}-{index}"
                with open(f"{mounts[home]}/{name}", "wb"):
                    pass
                here, there = (f"{mount}/{name}" for mount in mounts)
                said = f"{case.__name__}, kept {'here' if home == 0 else 'there'}"
                try:
                    case(os.open(here, os.O_RDWR), here, there)
                except Different as difference:
                    seen.setdefault(f"not {said}", str(difference))
                    continue
                seen[said] = seen.get(said, 0) + 1
    print(json.dumps(seen))


main()
