# SPDX-License-Identifier: MIT
"""hostile.py TABLE CSV PID...: three sockets of each process, a line each, whatever its name is:
nothing but UTF-8 that can be printed, and as many cells as there are columns."""
import csv
import sys

table, pids = open(sys.argv[1], "rb").read().decode(), sys.argv[3:]
lines = table.split("\n")[:-1]
for line in lines:
    assert line.isprintable(), ascii(line)
assert len(lines) == 3 * len(pids) + 2, lines
for pid in pids:
    assert sum(f":{pid} " in line for line in lines) == 3, (pid, lines)

with open(sys.argv[2], encoding="utf-8", newline="") as file:
    rows = list(csv.reader(file, strict=True))[1:]
assert sorted(row[1] for row in rows) == sorted(3 * pids), rows
assert all(len(row) == 3 and row[0].isprintable() for row in rows), rows
