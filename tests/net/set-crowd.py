#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds idle loopback connections, both ends of them: set-crowd.py CONNECTIONS PORT... Says "ready", and then for each
line of its input how many ends are still alive."""
import resource
import socket
import sys

TCP_ESTABLISHED = 1


def connect(port, connections):
    """Both ends of so many connections, and the listener."""
    held = []
    with socket.create_server(("127.0.0.1", port)) as listener:
        for _ in range(connections):
            held.append(socket.create_connection(("127.0.0.1", port)))
            held.append(listener.accept()[0])
    return held


def is_alive(end):
    return end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    ends = [end for port in sys.argv[2:] for end in connect(int(port), int(sys.argv[1]))]
    print("ready", flush=True)
    for _ in sys.stdin:
        print(sum(map(is_alive, ends)), flush=True)


main()
