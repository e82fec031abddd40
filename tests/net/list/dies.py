# SPDX-License-Identifier: MIT
"""dies.py PORT [USER-TIMEOUT-MS]: a connection whose peer falls silent. Prints its descriptor, and
when it dies what it died of, and when by CLOCK_MONOTONIC, in seconds: by the kernel's stamp of the
reset that it sends, which no busy machine makes late."""
import errno
import select
import socket
import struct
import sys
import time

TIME_S, INTVL_S, PROBES = 2, 1, 3
ETH_P_ALL, SO_TIMESTAMPNS, RST = 3, 35, 0x04
DEADLINE_S = 60


def reset_stamped(capture, port):
    """The stamp of the first reset from a port on."""
    capture.settimeout(DEADLINE_S)
    while True:
        packet, stamps, _, address = capture.recvmsg(128, 128)
        tcp = packet[(packet[0] & 0xF) * 4 :] if packet and packet[0] >> 4 == 4 else b""
        if address[2] == socket.PACKET_OUTGOING and len(tcp) >= 20 and tcp[13] & RST:
            if struct.unpack(">H", tcp[:2])[0] == port:
                seconds, nanoseconds = struct.unpack("@ll", stamps[0][2])
                return seconds + nanoseconds / 1e9


capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TIME_S)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTVL_S)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
if len(sys.argv) > 2:
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(sys.argv[2]))
print("fd", s.fileno(), flush=True)
select.select([s], [], [], DEADLINE_S)
port = s.getsockname()[1]
reason = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
died = reset_stamped(capture, port) - time.time() + time.monotonic()
print("died", errno.errorcode.get(reason, reason), f"{died:.3f}", flush=True)
