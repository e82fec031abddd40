# SPDX-License-Identifier: MIT
"""compare.py SOURCE: holds `tcpkeep list --json --source SOURCE` against everything else that tells
of the sockets here: ss, /proc/net/tcp and tcp6, /proc/PID/fd, and getsockopt() on copies of the
descriptors (sockopts). Row by row, both ways: none is missing, none is too many.

The others are asked before and after; when they disagree with themselves, all is done again.
"""
import collections
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
import time

TRIES = 60
SLACK_S = 0.05  # clocks of the kernel's that are read one after the other
STATES = {
    "ESTAB": 1, "SYN-SENT": 2, "SYN-RECV": 3, "FIN-WAIT-1": 4, "FIN-WAIT-2": 5, "TIME-WAIT": 6,
    "UNCONN": 7, "CLOSE-WAIT": 8, "LAST-ACK": 9, "LISTEN": 10, "CLOSING": 11,
}
LIST_STATES = dict(STATES, ESTABLISHED=1)
TIMERS = {
    None: ("none",), "on": ("retransmit", "hidden"), "persist": ("window-probe",),
    "keepalive": ("keepalive", "fin-timeout"), "timewait": ("time-wait",),
}
PROC_TIMERS = {
    "none": 0, "retransmit": 1, "keepalive": 2, "fin-timeout": 2, "time-wait": 3, "window-probe": 4,
}
USER_HZ = os.sysconf("SC_CLK_TCK")


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def endpoint(address, port):
    return (ipaddress.ip_address(address), int(port or 0))


# ------------------------------------------------------------------------------------- ss

def ss_endpoint(text):
    """127.0.0.1:80, [::1]:80, 0.0.0.0:*, *:80: any address of both families."""
    host, port = text.rsplit(":", 1)
    host = "::" if host == "*" else host.strip("[]")
    return endpoint(host, 0 if port == "*" else port)


def ss_seconds(text):
    """The least and the most that 119min, 1min1sec, 14sec or 200ms can stand for; and 9.396ms,
    which is ss's way to write 9 s and 396 ms."""
    total = 0.0
    for number, unit in re.findall(r"(\d+)(min|sec|ms|\.)", text):
        size = {"min": 60, "sec": 1, ".": 1, "ms": 0.001}[unit]
        total += int(number) * size
    return total, total + size


def read_ss():
    rows = {}
    for line in run("ss", "-Htanoe").splitlines():
        fields = line.split()
        rest = " ".join(fields[5:])
        timer = re.search(r"timer:\((\w+),([^,]*),(\d+)\)", rest)
        number = {key: re.search(rf"\b{key}:([0-9a-f]+)", rest) for key in ("uid", "ino", "sk")}
        row = {
            "state": STATES[fields[0]],
            "uid": int(number["uid"].group(1)) if number["uid"] else 0,
            "inode": int(number["ino"].group(1)) if number["ino"] else 0,
            "cookie": int(number["sk"].group(1), 16) if number["sk"] else 0,
            "timer": timer and timer.group(1),
            "timer_s": ss_seconds(timer.group(2)) if timer else None,
            "count": int(timer.group(3)) if timer else 0,
        }
        rows[ss_endpoint(fields[3]), ss_endpoint(fields[4])] = row
    return rows


# ----------------------------------------------------------------------------------- procfs

def proc_endpoint(text):
    host, port = text.split(":")
    raw = bytes.fromhex(host)
    if sys.byteorder == "little":
        raw = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    return endpoint(raw, int(port, 16))


def read_proc_net():
    rows = {}
    for name in ("tcp", "tcp6"):
        if not os.path.exists(f"/proc/net/{name}"):
            continue
        with open(f"/proc/net/{name}", encoding="ascii") as file:
            for line in list(file)[1:]:
                fields = line.split()
                kind, when = fields[5].split(":")
                queues = fields[4].split(":")
                rows[proc_endpoint(fields[1]), proc_endpoint(fields[2])] = {
                    "state": int(fields[3], 16),
                    "tx": int(queues[0], 16),
                    "rx": int(queues[1], 16),
                    "timer": int(kind, 16),
                    "timer_s": int(when, 16) / USER_HZ,
                    "retransmits": int(fields[6], 16),
                    "uid": int(fields[7]),
                    "probes_out": int(fields[8]),
                    "inode": int(fields[9]),
                }
    return rows


def read_owners():
    """By inode: the descriptors; by pid: the names."""
    owners, programs = collections.defaultdict(set), {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                link = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
                if link:
                    owners[int(link.group(1))].add((int(pid), int(fd)))
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                programs[int(pid)] = file.read()[:-1]
        except OSError:
            pass
    return owners, programs


def read_sockopts():
    """By descriptor: on, time, intvl, probes, user timeout."""
    found = {}
    for line in run(os.environ["SOCKOPTS"]).splitlines():
        fields = dict(word.split("=", 1) for word in line.split())
        found[int(fields["pid"]), int(fields["fd"])] = fields
    return found


# ------------------------------------------------------------------------------- one moment

class World:
    """What everybody but tcpkeep says."""

    def __init__(self):
        self.ss = read_ss()
        self.proc = read_proc_net()
        self.owners, self.programs = read_owners()
        self.sockopts = read_sockopts()

    def still(self):
        """What does not change as long as nothing happens."""
        keep = ("state", "uid", "inode", "cookie", "timer", "count")
        return (
            {key: [row[k] for k in keep] for key, row in self.ss.items()},
            {key: (row["state"], row["timer"], row["tx"]) for key, row in self.proc.items()},
            self.owners,
            self.programs,
            self.sockopts,
        )

    def fired_until(self, after):
        """Has a timer been set anew?"""
        return any(row["timer_s"] < after.proc[key]["timer_s"] for key, row in self.proc.items())


def read_list(source):
    rows = {}
    for line in run(os.environ["TCPKEEP"], "list", "--json", "--source", source).splitlines():
        row = json.loads(line)
        local = endpoint(row["local"]["address"], row["local"]["port"])
        peer = row["peer"] or {"address": "::" if local[0].version == 6 else "0.0.0.0", "port": 0}
        key = local, endpoint(peer["address"], peer["port"])
        assert key not in rows, f"told twice: {line}"
        rows[key] = row
    return rows


def look(source):
    for _ in range(TRIES):
        before = World()
        rows = read_list(source)
        after = World()
        if before.still() == after.still() and not before.fired_until(after):
            return before, rows, after
        time.sleep(0.1)
    sys.exit("the sockets do not come to rest")


# ------------------------------------------------------------------------------ one socket

def same(what, ours, theirs):
    assert ours == theirs, f"{what}: {ours!r}, and {theirs!r}"


def between(what, value, low, high):
    assert low - SLACK_S <= value <= high + SLACK_S, f"{what}: {value} is not in {low}..{high}"


def check_ss(row, before, after):
    timer = row["timer"]
    same("ss: state", LIST_STATES[row["state"]], before["state"])
    same("ss: inode", row["inode"] or 0, before["inode"])
    if before["state"] != 6:
        same("ss: uid", row["uid"], before["uid"])
        same("ss: cookie", row["cookie"], before["cookie"])
    assert timer["kind"] in TIMERS[before["timer"]], f"ss: {before['timer']}, not {timer['kind']}"
    if before["timer"]:
        between("ss: timer", timer["in_s"], after["timer_s"][0], before["timer_s"][1])
    if timer["kind"] == "keepalive":
        same("ss: probes out", timer["probes_out"], before["count"])


def check_proc(row, before, after):
    timer = row["timer"]
    same("proc: state", LIST_STATES[row["state"]], before["state"])
    same("proc: inode", row["inode"] or 0, before["inode"])
    same("proc: timer", PROC_TIMERS[timer["kind"]], before["timer"])
    same("proc: probes out", timer["probes_out"], before["probes_out"])
    same("proc: retransmits", timer["retransmits"], before["retransmits"])
    if before["timer"]:
        between("proc: timer", timer["in_s"], after["timer_s"], before["timer_s"])
    if before["state"] == 10:
        same("proc: not accepted", row["not_accepted"], before["rx"])
    elif before["state"] != 6:
        same("proc: uid", row["uid"], before["uid"])
        same("proc: queue", row["in_flight_bytes"] + row["unsent_bytes"], before["tx"])


def check_owners(row, world):
    listed = [(owner["pid"], owner["fd"]) for owner in row["owners"]]
    same("owners", listed, sorted(world.owners.get(row["inode"], ())))
    for owner in row["owners"]:
        same("program", owner["program"], world.programs[owner["pid"]])


def check_settings(row, world, source):
    for owner in row["owners"]:
        options = world.sockopts[owner["pid"], owner["fd"]]
        truth = [bool(int(options["on"]))] + [
            int(options[key]) for key in ("time", "intvl", "probes", "user-timeout")
        ]
        told = [row[k] for k in ("keepalive", "time_s", "intvl_s", "probes", "user_timeout_ms")]
        if source != "diag":
            same(f"settings of {owner}", told, truth)
        else:
            # Of these it may know one, and what it says has to be so.
            same(f"settings of {owner}", told[1:], [None] * 4)
            assert told[0] in (None, truth[0]), f"keepalive is {truth[0]}, not {told[0]}"


def check_direction(row, ports):
    if row["state"] == "LISTEN":
        same("direction", row["direction"], "listen")
    else:
        same("direction", row["direction"], "in" if row["local"]["port"] in ports else "out")


def check(source):
    before, rows, after = look(source)
    ports = {key[0][1] for key, row in before.ss.items() if row["state"] == 10}
    held = {(o["pid"], o["fd"]) for row in rows.values() for o in row["owners"]}
    own = os.stat("/proc/self/ns/net").st_ino

    same("sockets of ss", set(rows), set(before.ss))
    same("sockets of procfs", set(rows), set(before.proc))
    for key, row in rows.items():
        try:
            same("namespace", row["netns"], {"inode": own, "name": None, "own": True})
            check_ss(row, before.ss[key], after.ss[key])
            check_proc(row, before.proc[key], after.proc[key])
            check_owners(row, before)
            check_settings(row, before, source)
            check_direction(row, ports)
        except AssertionError as error:
            sys.exit(f"{error}\n{json.dumps(row)}\nss: {before.ss[key]}\n{before.proc[key]}")
    for descriptor, options in before.sockopts.items():
        # One that is neither bound nor connected is in no list of the kernel's.
        assert descriptor in held or options["local"].endswith(":0"), f"missing: {options}"
    return rows


# --------------------------------------------------------------------------------- summary

def check_summary(rows, source):
    """Each program once for a socket, however many of its processes hold it."""
    expected = collections.defaultdict(collections.Counter)
    for row in rows.values():
        kind = {"LISTEN": "listening", "ESTABLISHED": None, "CLOSE-WAIT": None}.get(
            row["state"], "other")
        kind = kind or {True: "on", False: "off", None: "unknown"}[row["keepalive"]]
        for program in {owner["program"] for owner in row["owners"]} or {None}:
            expected[program][kind] += 1
            expected[program]["sockets"] += 1
    lines = run(os.environ["TCPKEEP"], "list", "--summary", "program", "--json", "--source", source)
    told = {}
    for line in lines.splitlines():
        group = json.loads(line)
        counts = ("sockets", "on", "off", "unknown", "listening", "other")
        told[group["name"]] = {key: group[key] for key in counts if group[key]}
    same("summary", told, {name: dict(counts) for name, counts in expected.items()})


listed = check(sys.argv[1])
check_summary(listed, sys.argv[1])
print(len(listed), "sockets,", sum(len(row["owners"]) for row in listed.values()), "descriptors")
