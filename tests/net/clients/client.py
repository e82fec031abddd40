# SPDX-License-Identifier: MIT
"""client.py KIND PORT: ways to connect and to treat keepalive; stays connected."""
import asyncio
import signal
import socket
import subprocess
import sys

HOST = "127.0.0.1"


def blocking(port):
    return socket.create_connection((HOST, port))


def ipv6(port):
    return socket.create_connection(("::1", port))


def nonblocking(port):
    """asyncio: a non-blocking connect()."""

    async def stay():
        kept = await asyncio.open_connection(HOST, port)
        print("ready", flush=True)
        await asyncio.Event().wait()
        print(kept)

    asyncio.run(stay())


def off_before(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    s.connect((HOST, port))
    return s


def off_after(port):
    s = blocking(port)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    return s


def own_time(port):
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 33)
    s.connect((HOST, port))
    return s


def spawns(port):
    """Another program is started (vfork, exec) between socket(), connect() and setsockopt()."""
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 22)
    subprocess.run(["true"], check=True, close_fds=True)
    s.connect((HOST, port))
    subprocess.run(["true"], check=True, close_fds=True)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return s


KINDS = {
    "blocking": blocking,
    "ipv6": ipv6,
    "asyncio": nonblocking,
    "off-before": off_before,
    "off-after": off_after,
    "own-time": own_time,
    "spawns": spawns,
}
kept = KINDS[sys.argv[1]](int(sys.argv[2]))
print("ready", flush=True)
signal.pause()
