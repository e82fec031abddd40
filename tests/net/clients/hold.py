# SPDX-License-Identifier: MIT
"""A peer that says nothing, and sets nothing on its sockets.

hold.py listen PORT...: accepts every connection and keeps it.
hold.py connect PORT...: connects to each port and stays.
"""
import selectors
import signal
import socket
import sys


def listen(ports):
    waiting = selectors.DefaultSelector()
    kept = []
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    for port in ports:
        listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
        waiting.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in waiting.select():
            kept.append(key.fileobj.accept()[0])


def connect(ports):
    kept = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    print("ready", len(kept), flush=True)
    signal.pause()


{"listen": listen, "connect": connect}[sys.argv[1]]([int(port) for port in sys.argv[2:]])
