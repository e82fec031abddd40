# SPDX-License-Identifier: MIT
"""node_own.py FILE...: each of node's own tests in a process of its own, as its runner does: "passed NAME"."""
import os
import re
import subprocess
import sys

TIMEOUT_S = 30


def flags_of(path):
    with open(path, encoding="utf-8", errors="replace") as text:
        found = re.search(r"^// Flags: (.*)$", text.read(4096), re.MULTILINE)
    return found.group(1).split() if found else []


for name in sys.argv[1:]:
    command = ["node", *flags_of(name), name]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        outcome, words = "late", ""
    else:
        outcome = "passed" if done.returncode == 0 else "failed"
        words = done.stderr
        if "# Skipped" in done.stdout:
            outcome = "skipped"
    print(outcome, os.path.basename(name), flush=True)
    if outcome == "failed":
        print(name, words[-500:], file=sys.stderr)
