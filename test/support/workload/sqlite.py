"""sqlite.py DATABASE WRITER SECONDS: adds rows to a database that others add to as well.

Each transaction adds one row and counts it in a second table. Prints how many were committed. SQLite
asks for its locks again and again, not in any order: who begins anew at once keeps others from them
for 40 s, on a local disk as well. So everybody pauses after a transaction.
"""

import sqlite3
import sys
import time

BUSY_S = 100
PAUSE_S = 0.02

database, writer, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
connection = sqlite3.connect(database, timeout=BUSY_S, isolation_level=None)
ends = time.monotonic() + seconds
committed = 0
while time.monotonic() < ends:
    connection.execute("begin immediate")
    connection.execute("insert into entry (writer, number) values (?, ?)", (writer, committed))
    connection.execute("update total set entries = entries + 1")
    connection.execute("commit")
    committed += 1
    time.sleep(PAUSE_S)
print(committed)
