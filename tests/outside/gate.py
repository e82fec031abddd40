# SPDX-License-Identifier: MIT
"""gate.py LOOKS NAME:LISTEN:SERVER:BACKEND...: stands between clients and servers, and looks at their sockets.

The first bytes of a client wait here until its socket has been looked at: it has connected and said something, so
it has done to its socket what it does. They go on without the last few: a server that has read them, and waits for
more, has done its part to the socket that it accepted. Then that is looked at, and the rest follows.
sockopts reads the options, past all code of tcpkeep, and ss has to agree by the timer that it shows. A line of
JSON for each look goes to LOOKS.
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

WAIT_S = 20
# Some take the first byte of an empty line for all of it.
HELD_BYTES = 4
FIELDS = re.compile(r"on=(\d+) time=(\d+) intvl=(\d+) probes=(\d+) user-timeout=(\d+)")
# A busy machine lets a connection wait before the gate has it, and its age is counted from then.
ACCEPTED_LATE_S = 20

TIMER = re.compile(r"timer:\(keepalive,(?:(\d+)min)?(?:(\d+)(?:sec|\.))?")
looks = open(sys.argv[1], "a", buffering=1)
writing = threading.Lock()
# sockopts goes through all processes: many at once are in each other's way.
asking = threading.Semaphore(2)


def options_of(local, peer):
    """[on, time, intvl, probes] of the socket, as the kernel says them; None: nobody holds it."""
    command = [os.environ["SOCKOPTS"], f"local={local}", f"peer={peer}"]

    def ask():
        with asking:
            return FIELDS.search(subprocess.run(command, capture_output=True, text=True).stdout)

    found = until(ask)
    return [int(value) for value in found.groups()[:4]] if found else None


def until(ask):
    """Asks until it is true, or the time is up: nothing tells of other processes' sockets."""
    deadline = time.monotonic() + WAIT_S
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.03)
    return answer


def line_of(local, peer):
    """What ss says of a connection: STATE RECV-Q SEND-Q LOCAL PEER TIMER..."""
    command = ["ss", "-Htno", f"sport = :{local} and dport = :{peer}"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def has_read(local, peer):
    return line_of(local, peer).split()[1:2] == ["0"]


def timer_fits(line, options, born):
    """Is the keepalive timer armed, with no more than the time and no less than can be left of it?"""
    found = TIMER.search(line)
    if not found or not options or not options[0]:
        return bool(line) and options is not None and bool(found) == bool(options[0])
    left = 60 * int(found[1] or 0) + int(found[2] or 0)
    # Many minutes are said without the seconds.
    unit = 1 if found[2] else 60
    return options[1] - (time.monotonic() - born) - ACCEPTED_LATE_S - unit <= left <= options[1]


def look(role, name, local, peer, born):
    options = options_of(local, peer)
    # Data in flight has a timer of its own, which hides keepalive's until it is acknowledged.
    agrees = until(lambda: timer_fits(line_of(local, peer), options, born))
    with writing:
        seen = {"role": role, "name": name, "options": options, "ss_agrees": agrees}
        print(json.dumps({**seen, "ss": line_of(local, peer)}), file=looks)


def carry(source, to):
    """Bytes from one to the other, up to the end or an error, which is passed on."""
    try:
        while data := source.recv(1 << 16):
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        for end in source, to:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def carry_watched(client, behind, name, listen, server, backend):
    born = time.monotonic()
    data = client.recv(1 << 16)
    look("client", name, client.getpeername()[1], listen, born)
    if data:
        own_port = behind.getsockname()[1]
        behind.sendall(data[:-HELD_BYTES])
        until(lambda: has_read(backend, own_port))
        look("server", server, backend, own_port, born)
        behind.sendall(data[-HELD_BYTES:])
    carry(client, behind)


def join(client, name, listen, server, backend):
    try:
        behind = socket.create_connection(("127.0.0.1", backend))
    except OSError:
        client.close()
        return
    back = threading.Thread(target=carry, args=(behind, client), daemon=True)
    back.start()
    try:
        carry_watched(client, behind, name, listen, server, backend)
    except OSError:
        behind.shutdown(socket.SHUT_RDWR)
    back.join()
    client.close()
    behind.close()


def guard(listener, *gate):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=join, args=(client, *gate), daemon=True).start()


def main():
    for gate in sys.argv[2:]:
        name, listen, server, backend = gate.split(":")
        listener = socket.create_server(("127.0.0.1", int(listen)), backlog=64)
        gate = (listener, name, int(listen), server, int(backend))
        threading.Thread(target=guard, args=gate).start()
    print("ready", flush=True)


main()
