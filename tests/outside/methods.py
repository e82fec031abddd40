# SPDX-License-Identifier: MIT
"""The methods of `tcpkeep run`, asked from the binary itself."""
import json
import os
import re
import subprocess
import sys

TCPKEEP = os.environ["TCPKEEP"]
SOURCE = os.environ["SOURCE"]
ROOM = os.path.join(SOURCE, "tests", "helpers", "room")
SETTINGS = ["time=61", "intvl=11", "probes=7"]
BARE = "bare"
# Of a method that this version has, and this machine or this user has not.
LACKING = 4


def offered():
    """The choices of --method, from the completion, which is made of the same table as the parser."""
    script = subprocess.run([TCPKEEP, "--completion", "bash"], capture_output=True, text=True, check=True).stdout
    for words in re.findall(r'compgen -W "([^"]*)"', script):
        if "preload" in words.split():
            return words.split()
    return ["preload"]


def why_not(method):
    """None when the method works here, otherwise what tcpkeep says."""
    done = subprocess.run(
        [TCPKEEP, "run", "--method", method, "--", sys.executable, "-c", ""], capture_output=True, text=True
    )
    if done.returncode == 0:
        return None
    return done.stderr.strip() or f"exit status {done.returncode}"


def available(auto=True):
    """(the methods that work here, {method: why not}); auto is one that chooses among the others."""
    lacking = {method: why_not(method) for method in offered() if auto or method != "auto"}
    return [m for m in lacking if lacking[m] is None], {m: why for m, why in lacking.items() if why}


def prefix(method, *options):
    """What stands in front of a command."""
    if method == BARE:
        return []
    return [TCPKEEP, "run", "--method", method, *options, *SETTINGS, "--"]


def in_room(command):
    """The command in namespaces of its own, and not as process 1, which signals treat differently."""
    return [ROOM, "sh", "-c", '"$@"; exit $?', "sh", *command]


class Tap:
    """Cases as they come; the plan at the end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def case(self, good, name, notes=(), skip=None):
        self.count += 1
        self.failed += not good
        reason = f" # SKIP {skip}" if skip else ""
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}{reason}")
        for note in notes:
            print("#", note.replace("\n", "\n# "))
        sys.stdout.flush()

    def skip(self, name, reason):
        self.case(True, name, skip=reason)

    def end(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def report_of(text):
    """The report that --report --json has put among what a program said on standard error, or None."""
    for line in text.splitlines():
        if line.startswith('{"schema":"tcpkeep.run-report/'):
            return json.loads(line)
    return None
