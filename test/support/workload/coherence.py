"""
What users of other network filesystems report, on two mounts of one filesystem: python3 coherence.py
HERE THERE ROUNDS. Changes are made on one side and looked at once on the other, by name, through
held descriptors and through mappings. Prints {"looks": N, "stale": {what: [where, ...]}}.
"""
import json
import mmap
import os
import sys

here, there, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
looks = 0
stale = {}


def look(what, seen, expected, where):
    global looks
    looks += 1
    if seen != expected:
        stale.setdefault(what, []).append(f"{where}: {seen!r} instead of {expected!r}")


def write(path, data, mode="wb"):
    with open(path, mode) as file:
        file.write(data)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def held(descriptor, count):
    try:
        return os.pread(descriptor, count, 0)
    except OSError as error:
        return error.strerror


def turn(writer, reader, where):
    name = f"file-{where}"
    made, seen = f"{writer}/{name}", f"{reader}/{name}"
    look("absent", size(seen), None, where)
    write(made, b"x" * 10)
    look("created after a look", size(seen), 10, where)
    look("content", read(seen), b"x" * 10, where)
    descriptor = os.open(seen, os.O_RDONLY)
    mapped = mmap.mmap(descriptor, 10, prot=mmap.PROT_READ)
    look("mapped", mapped[:], b"x" * 10, where)
    write(made, b"y" * 10, "r+b")
    look("held descriptor", held(descriptor, 20), b"y" * 10, where)
    look("mapped after a write", mapped[:], b"y" * 10, where)
    read(made)
    write(made, b"z" * 7, "ab")
    look("append, read on the same side", read(made), b"y" * 10 + b"z" * 7, where)
    look("append, close, stat", size(seen), 17, where)
    look("append, close, fstat", os.fstat(descriptor).st_size, 17, where)
    look("append, close, read", held(descriptor, 30), b"y" * 10 + b"z" * 7, where)
    os.truncate(made, 3)
    look("truncated, fstat", os.fstat(descriptor).st_size, 3, where)
    look("truncated, read", read(seen), b"yyy", where)
    growing = os.open(made, os.O_WRONLY)
    for step in range(3):
        os.pwrite(growing, b"q" * 100, 100 * step)
        end = 100 * (step + 1)
        look("size while it is written", size(seen), end, where)
        look("content while it is written", held(descriptor, 1000), b"q" * end, where)
    os.close(growing)
    write(f"{made}.new", b"new")
    os.rename(f"{made}.new", made)
    look("renamed over, by name", read(seen), b"new", where)
    look("renamed over, held", held(descriptor, 1000), b"q" * 300, where)
    mapped.close()
    os.close(descriptor)
    os.unlink(made)
    look("deleted", size(seen), None, where)
    look("deleted, listed", name in os.listdir(reader), False, where)
    write(made, b"again")
    look("made again", read(seen), b"again", where)
    look("made again, listed", name in os.listdir(reader), True, where)
    os.chmod(made, 0o600)
    look("mode", os.stat(seen).st_mode & 0o777, 0o600, where)
    os.unlink(seen)
    look("deleted from there", size(made), None, where)


for number in range(rounds):
    turn(here, there, f"{number}-one")
    turn(there, here, f"{number}-two")
print(json.dumps({"looks": looks, "stale": stale}))
