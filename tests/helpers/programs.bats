# SPDX-License-Identifier: MIT
# What tcpkeep run does to the sockets of a static program, and what it leaves as it was, whichever METHOD does it. What
# one of them has alone is in its own folder.
# shellcheck disable=SC2016,SC2154 # a shell further in expands it; run

load "../$METHOD/common"

@test "IPv4, IPv6; what is accepted has it too; without tcpkeep there is nothing" {
	inside "$SECCOMP_PROGRAM" connect4
	all_are "$NONE"
	under -- connect4
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 2 ]
	if [ -e /proc/net/if_inet6 ]; then
		under -- connect6
		all_are "$OURS"
	fi
}

@test "a non-blocking connect" {
	under -- nonblocking
	all_are "$OURS"
}

@test "TCP Fast Open by sendto, sendmsg and sendmmsg" {
	[ "$(($(cat /proc/sys/net/ipv4/tcp_fastopen) & 1))" = 1 ] || skip "no TCP Fast Open"
	under -- fastopen
	all_are "$OURS"
}

@test "UDP and Unix sockets are untouched, the kernel's errors come through unchanged" {
	inside "$SECCOMP_PROGRAM" errors
	[ "$status" -eq 0 ]
	for scenario in others errors; do
		under -- $scenario
		[ "$status" -eq 0 ]
		under --enforce -- $scenario
		[ "$status" -eq 0 ]
	done
}

@test "what the program sets stands: one value, all, off before connect and after" {
	under -- own
	[ "$output" = $'time 1 33 11 7\nall 1 33 22 3' ]
	under -- off-before
	[ "$output" = $'off 0 7200 75 9\non-after-all 1 61 11 7' ]
	under -- off-after
	[ "$output" = "off 0 61 11 7" ]
}

@test "what the program sets stands: off on a listener and on MPTCP, a value that is refused, a user timeout while it connects" {
	cat >"$BATS_TEST_TMPDIR/choices.py" <<'END'
import select, socket
KEEPALIVE, IDLE, USER_TIMEOUT = (1, 9), (6, 4), (6, 18)

def listener(*options, protocol=0, backlog=8):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    for option, value in options:
        s.setsockopt(*option, value)
    s.bind(("127.0.0.1", 0))
    s.listen(backlog)
    return s

def tell(what, s):
    print(what, s.getsockopt(*KEEPALIVE), s.getsockopt(*IDLE), flush=True)

before = listener((KEEPALIVE, 0))
client = socket.create_connection(before.getsockname())
accepted = before.accept()[0]
tell("off-before-listen", accepted)
accepted.setsockopt(*KEEPALIVE, 1)
tell("accepted-then-on", accepted)

after = listener()
after.setsockopt(*KEEPALIVE, 0)
client = socket.create_connection(after.getsockname())
print("off-after-listen", after.accept()[0].getsockopt(*KEEPALIVE), flush=True)

s = socket.socket()
s.setsockopt(*KEEPALIVE, 0)
s.connect(after.getsockname())
try:
    s.setsockopt(*IDLE, 0)
except OSError:
    pass
s.setsockopt(*KEEPALIVE, 1)
tell("refused-then-on", s)

full = listener(backlog=0)
waiting = [socket.socket() for _ in range(2)]
for s in waiting:
    s.setblocking(False)
    s.connect_ex(full.getsockname())
while waiting[1].getsockopt(6, socket.TCP_INFO, 1) != b"\x02":  # SYN-SENT
    waiting.append(socket.socket())
    waiting[-1].setblocking(False)
    waiting[-1].connect_ex(full.getsockname())
    waiting[1] = waiting[-1]
waiting[1].setsockopt(*USER_TIMEOUT, 99999)
while not select.select([], [waiting[1]], [], 0.05)[1]:
    if select.select([full], [], [], 0)[0]:
        full.accept()
print("user-timeout", waiting[1].getsockopt(*USER_TIMEOUT), flush=True)

try:
    multi = listener(protocol=262)
except OSError:
    print("mptcp 0 7200\nmptcp-listener 0")
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    s.setsockopt(*KEEPALIVE, 0)
    s.connect(multi.getsockname())
    tell("mptcp", s)
    off = listener((KEEPALIVE, 0), protocol=262)
    client = socket.create_connection(off.getsockname())
    print("mptcp-listener", off.accept()[0].getsockopt(*KEEPALIVE), flush=True)
END
	inside "$TCPKEEP" run --method "$METHOD" time=61 user-timeout=60s -- python3 "$BATS_TEST_TMPDIR/choices.py"
	[ "$output" = "off-before-listen 0 7200
accepted-then-on 1 61
off-after-listen 0
refused-then-on 1 61
user-timeout 99999
mptcp 0 7200
mptcp-listener 0" ]
}

@test "--enforce: ours hold on clients, listeners and what is accepted; wrong values are told as such" {
	under --enforce -- enforce
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 4 ]
	inside "$SECCOMP_PROGRAM" enforce
	all_are "0 33 22 3"
}

@test "off --enforce" {
	inside "$TCPKEEP" run --method "$METHOD" off --enforce -- "$SECCOMP_PROGRAM" enforce
	[ "$status" -eq 0 ]
	[ "$(cut -d' ' -f2 <<<"$output" | sort -u)" = 0 ]
}

@test "children by fork, exec, vfork, posix_spawn; a program that closes all descriptors" {
	under -- children
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 8 ]
	under -- closefrom
	all_are "$OURS"
}

@test "network, user and PID namespaces of the program's own; privileges dropped; undumpable" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	for scenario in netns userns pidns nobody; do
		under -- $scenario
		all_are "$OURS"
	done
	under --enforce -- undumpable
	all_are "$OURS"
}

@test "inherited descriptors: connections and listeners, set before the program starts" {
	cat >"$BATS_TEST_TMPDIR/inherit.py" <<'END'
import os, socket, subprocess
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
for s in (c, l):
    subprocess.run([os.environ["TCPKEEP"], "run", "--method", os.environ["METHOD"], "time=61", "intvl=11", "probes=7", "--",
        os.environ["SECCOMP_PROGRAM"], "inherited"], stdin=s, check=True)
END
	inside python3 "$BATS_TEST_TMPDIR/inherit.py"
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 2 ]
}

@test "what waits in the queue of an inherited listener is told before the start" {
	cat >"$BATS_TEST_TMPDIR/queue.py" <<'END'
import os, socket, subprocess, sys
l = socket.create_server(("127.0.0.1", 0))
run = [os.environ["TCPKEEP"], "run", "--method", os.environ["METHOD"], "--", sys.executable, "-c",
       "import socket; l = socket.socket(fileno=0); print(l.accept()[0].getsockopt(1, 9), flush=True)"]
c = socket.create_connection(l.getsockname())
subprocess.run(run, stdin=l, check=True)
run[3] = "preload"
d = socket.create_connection(l.getsockname())
subprocess.run(run, stdin=l, check=True)
END
	inside python3 "$BATS_TEST_TMPDIR/queue.py"
	[ "$output" = $'0\n1' ]
	[ "$stderr" = "tcpkeep: warning: run: connections that wait to be accepted from an inherited listener: 1, older than the settings and left without keepalive; --method preload sets them" ]
}

@test "the program finds no child, no signal and no descriptor of ours" {
	under -- clean
	[ "$status" -eq 0 ]
	under --report -- clean
	[ "$status" -eq 0 ]
	inside sh -c 'trap "" CHLD; exec "$TCPKEEP" run --method "$METHOD" -- "$SECCOMP_PROGRAM" clean'
	[ "$status" -eq 0 ]
	inside python3 -c '
import os, signal
os.closerange(3, 100)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
os.execv(os.environ["TCPKEEP"], ["tcpkeep", "run", "--method", os.environ["METHOD"], "--", os.environ["SECCOMP_PROGRAM"], "clean"])'
	[ "$status" -eq 0 ]
}

@test "nor does it find one as the first process of a container, or as a subreaper" {
	wait_for_all='
import os, sys
os.spawnlp(os.P_NOWAIT, "true", "true")
try:
    while True:
        os.wait()
except ChildProcessError:
    print("first" if os.getpid() == 1 else "all", flush=True)'
	for report in "" --report; do
		run --separate-stderr in_place timeout -k 1 30 unshare --pid --fork --mount-proc --kill-child \
			"$TCPKEEP" run --method "$METHOD" $report -- python3 -c "$wait_for_all"
		[ "$status" -eq 0 ]
		[ "$output" = "$([ "$report" ] && echo all || echo first)" ]
	done
	run --separate-stderr in_place timeout -k 1 30 python3 -c '
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
os.execv(sys.argv[1], sys.argv[1:])' "$TCPKEEP" run --method "$METHOD" -- python3 -c "$wait_for_all"
	[ "$status" -eq 0 ]
	[ "$output" = all ]
}

@test "signals, limits, environment, working directory, cgroups: as without tcpkeep" {
	state="$CGROUPS"'; grep -E "^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs)" /proc/self/status; ulimit -a; umask; pwd; env | grep -v ^_= | sort; ls /proc/self/fd | wc -l'
	bare=$(trap '' HUP USR2; in_place sh -c "$state")
	ran=$(trap '' HUP USR2; in_place "$TCPKEEP" run --method "$METHOD" -- sh -c "$state")
	reported=$(trap '' HUP USR2; in_place "$TCPKEEP" run --method "$METHOD" --report -- sh -c "$state" 2>/dev/null)
	diff <(echo "$bare") <(echo "$ran")
	diff <(echo "$bare") <(echo "$reported")
}

@test "127 and 126, and the program's own status" {
	printf x >"$BATS_TEST_TMPDIR/plain"
	for report in "" --report; do
		run -127 in_place "$TCPKEEP" run --method "$METHOD" $report -- tcpkeep-no-such-program
		run -126 in_place "$TCPKEEP" run --method "$METHOD" $report -- "$BATS_TEST_TMPDIR/plain"
		run -77 in_place "$TCPKEEP" run --method "$METHOD" $report -- sh -c 'exit 77'
	done
}

@test "a pipe ends with the program, though a child of it lives on" {
	piped() {
		in_place timeout 20 sh -c '"$TCPKEEP" run --method "$METHOD" -- sh -c "echo here; sleep 100 >/dev/null 2>&1 & echo \$!" | cat'
	}
	run piped
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = here ]
	kill "${lines[1]}"
}

@test "the report: what the program changed after it was set" {
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" --report --json -- python3 -c "$CHANGES_LATER"
	[ "$status" -eq 0 ]
	jq -e '.tried == 3 and .left_alone == 1 and .changed == 3 and .refused == 0' <<<"$stderr"
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" --enforce --report --json -- python3 -c "$CHANGES_LATER"
	jq -e '.tried == 4 and .left_alone == 0 and .changed == 0 and .withheld > 10' <<<"$stderr"
}

@test "the report: a listener that the program changed, with a user timeout and without" {
	for user_timeout in "" user-timeout=90s; do
		inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" $user_timeout --report --json -- python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
server.setsockopt(6, 4, 61)
assert server.getsockopt(6, 4) == 61
server.setsockopt(6, 4, 15)
server.setsockopt(6, 4, 16)'
		jq -e '.listening == 1 and .changed == 1' <<<"$stderr"
	done
}

@test "--report: a job that is stopped while it starts is stopped, and goes on" {
	in_place timeout 60 python3 -c '
import os, signal, subprocess, sys, time
for turn in range(24):
    job = subprocess.Popen(sys.argv[1:], process_group=0, stderr=subprocess.DEVNULL)
    time.sleep(0.0004 * (turn % 12))
    os.killpg(job.pid, signal.SIGTSTP)
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    while os.WIFSTOPPED(status):  # more than once where a fork() met both signals
        os.killpg(job.pid, signal.SIGCONT)
        _, status = os.waitpid(job.pid, os.WUNTRACED)
    assert status == 0, status' "$TCPKEEP" run --method "$METHOD" --report -- true
}

@test "--report: what systemd passes to a process by its number is the program's" {
	in_place sh -c 'LISTEN_FDS=1 LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@" 2>/dev/null' sh "$TCPKEEP" run --method "$METHOD" --report -- \
		sh -c 'echo "$$ $LISTEN_PID $WATCHDOG_PID"' >"$BATS_TEST_TMPDIR/out"
	read -r own listen watchdog <"$BATS_TEST_TMPDIR/out"
	[ "$own" = "$listen" ]
	[ "$own" = "$watchdog" ]
	LISTEN_PID=1 in_place "$TCPKEEP" run --method "$METHOD" --report -- sh -c 'echo $LISTEN_PID' 2>/dev/null >"$BATS_TEST_TMPDIR/out"
	[ "$(cat "$BATS_TEST_TMPDIR/out")" = 1 ]
}

@test "the report: sockets that kept values of the program's own are set in part" {
	own='
import socket
l = socket.create_server(("127.0.0.1", 0))
def connected(*options):
    s = socket.socket()
    for level, name, value in options:
        s.setsockopt(level, name, value)
    s.connect(l.getsockname())
    return s
longer = connected((1, 9, 1), (6, 4, 3600))
assert longer.getsockopt(6, 5) == 11
same = connected((1, 9, 1), (6, 4, 61))
on = connected((1, 9, 1))
listener = socket.socket()
listener.setsockopt(6, 6, 3)
listener.bind(("127.0.0.1", 0))
listener.listen()'
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" --report -- python3 -c "$own"
	[[ $stderr == *"run: 2 in part, 0 left alone and 0 changed later, as the program wanted (--enforce prevents it);"* ]]
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" --report --json -- python3 -c "$own"
	tail -n 1 <<<"$stderr" | jq -e '.tried == 3 and .listening == 2 and .in_part == 2 and .left_alone == 0'
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" user-timeout=60s --report --json -- python3 -c "$own
connected((6, 18, 90000))"
	tail -n 1 <<<"$stderr" | jq -e '.in_part == 3'
}
