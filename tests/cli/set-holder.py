# SPDX-License-Identifier: MIT
"""Holds sockets in the network namespace that it is started in, and tells their options: each line of the first
fifo is a name, each line of the second one what that socket has: on time intvl probes user-timeout alive.
"accept NAME" connects to a listener and names what it accepted; "close NAME"; "put NAME OPTION VALUE"."""

import fcntl
import resource
import socket
import struct
import sys

TCP = socket.IPPROTO_TCP
OPTIONS = {"on": (socket.SOL_SOCKET, socket.SO_KEEPALIVE), "time": (TCP, 4), "intvl": (TCP, 5), "probes": (TCP, 6),
           "user-timeout": (TCP, 18)}
named = {}
peers = []


def up():
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x8, b""))


def listen(name, family, address, protocol=0):
    s = socket.socket(family, socket.SOCK_STREAM, protocol)
    s.bind(address)
    s.listen(512)
    named[name] = s
    return s


def connect(name, listener, family, address, protocol=0):
    s = socket.socket(family, socket.SOCK_STREAM, protocol)
    s.connect(address)
    named[name] = s
    peers.append(named[listener].accept()[0])


def tell(s):
    values = []
    for option in OPTIONS.values():
        try:
            values.append(s.getsockopt(*option))
        except OSError:  # MPTCP knows no user timeout
            values.append("-")
    state = s.getsockopt(TCP, socket.TCP_INFO, 1)[0]
    return " ".join(map(str, values + ["alive" if state in (1, 10) else "dead"]))


def obey(words):
    if words[0] == "accept":
        listener = named[words[1]]
        s = socket.socket(listener.family)
        s.connect(listener.getsockname()[:2])
        peers.append(s)
        named[words[2]] = listener.accept()[0]
        return "ok"
    if words[0] == "close":
        named.pop(words[1]).close()
        return "ok"
    if words[0] == "put":
        named[words[1]].setsockopt(*OPTIONS[words[2]], int(words[3]))
        return "ok"
    return tell(named[words[0]])


def main():
    many = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    up()
    listen("l4", socket.AF_INET, ("127.0.0.1", 5432))
    listen("l6", socket.AF_INET6, ("::", 5433))
    connect("v4", "l4", socket.AF_INET, ("127.0.0.1", 5432))
    connect("v6", "l6", socket.AF_INET6, ("::1", 5433))
    connect("mapped", "l6", socket.AF_INET6, ("::ffff:127.0.0.1", 5433))
    try:
        listen("lm", socket.AF_INET, ("127.0.0.1", 5434), 262)
        connect("mptcp", "lm", socket.AF_INET, ("127.0.0.1", 5434), 262)
    except OSError:
        pass
    listen("lmany", socket.AF_INET, ("127.0.0.1", 5435))
    for i in range(many):
        connect("many%d" % i, "lmany", socket.AF_INET, ("127.0.0.1", 5435))
    with open(sys.argv[1], encoding="ascii") as orders, open(sys.argv[2], "w", encoding="ascii") as answers:
        print(" ".join("%s=%d" % (name, s.fileno()) for name, s in named.items()), file=answers, flush=True)
        for line in orders:
            print(obey(line.split()), file=answers, flush=True)


main()
