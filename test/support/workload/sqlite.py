"""sqlite.py DATABASE WRITER SECONDS: adds rows to a database that others add to as well.

Each transaction adds one row and counts it in a second table. Prints how many were committed.
"""

import sqlite3
import sys
import time

database, writer, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
connection = sqlite3.connect(database, timeout=60, isolation_level=None)
ends = time.monotonic() + seconds
committed = 0
while time.monotonic() < ends:
    connection.execute("begin immediate")
    connection.execute("insert into entry (writer, number) values (?, ?)", (writer, committed))
    connection.execute("update total set entries = entries + 1")
    connection.execute("commit")
    committed += 1
print(committed)
