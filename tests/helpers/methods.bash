# SPDX-License-Identifier: MIT
# A static program under a method of `tcpkeep run`: METHOD, in the room that inside() makes.
# shellcheck disable=SC2034,SC2154 # the test files use them; run

SETTINGS=(time=61 intvl=11 probes=7)
OURS="1 61 11 7"
NONE="0 7200 75 9"

# under OPTIONS... -- SCENARIO
under() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" "${options[@]}" -- "$SECCOMP_PROGRAM" "$@"
}

# All sockets that it shows have these values.
all_are() {
	[ "$status" -eq 0 ]
	[ -n "$output" ]
	[ "$(cut -d' ' -f2- <<<"$output" | sort -u)" = "$1" ]
}

# A program that changes sockets after they were set: three of them, one more than once.
CHANGES_LATER='
import socket
TIME, INTVL, PROBES = 4, 5, 6
def chosen(s, time):
    for name in TIME, INTVL, PROBES:
        s.setsockopt(6, name, time)
    s.setsockopt(1, 9, 1)
server = socket.create_server(("127.0.0.1", 0))
there = server.getsockname()
changed, same, off = (socket.create_connection(there) for _ in range(3))
chosen(changed, 15)
chosen(changed, 16)
same.setsockopt(6, TIME, 61)
try:
    same.setsockopt(6, TIME, 0)
except OSError:
    pass
off.setsockopt(1, 9, 0)
accepted = server.accept()[0]
accepted.setsockopt(6, INTVL, 3)
own = socket.socket()
chosen(own, 20)
own.connect(there)
own.setsockopt(6, TIME, 61)
own.setsockopt(6, TIME, 15)
'
