# SPDX-License-Identifier: MIT
"""sockets.py N [COMM-IN-HEX]: a listener and N connections to itself, keepalive on at one end of
each; under any name that the kernel takes. In a network of its own it takes the loopback up."""
import ctypes
import fcntl
import signal
import socket
import struct
import sys

SIOCSIFFLAGS, IFF_UP_LOOPBACK, PR_SET_NAME = 0x8914, 0x9, 15

if len(sys.argv) > 2:
    ctypes.CDLL(None).prctl(PR_SET_NAME, bytes.fromhex(sys.argv[2]), 0, 0, 0)
with socket.socket() as s:
    try:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP_LOOPBACK, b""))
    except PermissionError:
        pass  # up already, for who may not
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
kept = []
for _ in range(int(sys.argv[1])):
    ours = socket.create_connection(listener.getsockname())
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    kept.append((ours, listener.accept()[0]))
print("ready", flush=True)
signal.pause()
