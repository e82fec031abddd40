# SPDX-License-Identifier: MIT
# Where programs may not be looked into (containers without pidfd_getfd, Yama: tests/kernels/yama.bats), the
# supervisor makes their sockets.

load common
load ../helpers/processes

setup() {
	command -v python3 >/dev/null || skip "no python3"
}

# inside COMMAND...: in a network of its own, below the sandbox.
inside() {
	in_netns bash -c "$(declare -f refusing)"'; ip link set lo up; refusing "${REFUSAL:-1}" pidfd_getfd 0 "$@" </dev/null 3>&- 4>&-' bash "$@"
}

@test "reached: IPv4, IPv6, MPTCP, TCP Fast Open, children, and below a shell" {
	for REFUSAL in 1 38 13 22; do # EPERM, ENOSYS, EACCES, EINVAL: as the sandbox likes
		export REFUSAL
		for scenario in connect4 connect6 nonblocking fastopen closefrom; do
			under --report -- "$scenario"
			all_are "$OURS"
			[[ $stderr != *missed* ]]
		done
	done
	under -- mptcp
	[[ $output == "client 1 61 "* ]]
	under --report -- children
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 8 ]
	[[ $stderr == *"8 sockets set (on time=61 intvl=11 probes=7): tried 4, listening 4, inherited 0"* && $stderr != *missed* ]]
}

@test "chosen for a static program, and what it misses is said" {
	inside setpriv --bounding-set -net_admin "$TCPKEEP" run -v "${SETTINGS[@]}" -- "$SECCOMP_PROGRAM" connect4
	all_are "$OURS"
	[[ $stderr == *"method seccomp"*"may not be looked into"* ]]
}

@test "what is the program's stays: its own values, off, errors, signals" {
	for scenario in errors others clean restart interrupt; do
		under -- "$scenario"
		[ "$status" -eq 0 ]
	done
	under -- own
	[ "$output" = "time 1 33 11 7"$'\n'"all 1 33 22 3" ]
	under -- off-before
	[ "$output" = "off 0 61 11 7"$'\n'"on-after-all $OURS" ]
	under -- off-after
	[ "$output" = "off 0 61 11 7" ]
}

@test "what is put in is what socket() would have made: flags, numbers, limits, owner, refusals" {
	cat >"$BATS_TEST_TMPDIR/made.py" <<'END2'
import ctypes, errno, fcntl, os, resource
libc = ctypes.CDLL(None, use_errno=True)
CLOEXEC, NONBLOCK = 0o2000000, 0o4000
def made(family, kind, protocol=0):
    fd = libc.socket(family, kind, protocol)
    return (fd, fcntl.fcntl(fd, fcntl.F_GETFD), fcntl.fcntl(fd, fcntl.F_GETFL)) if fd >= 0 else errno.errorcode[ctypes.get_errno()]
print(*(made(family, 1 | flags, protocol) for family in (2, 10) for flags in (0, CLOEXEC, NONBLOCK, CLOEXEC | NONBLOCK) for protocol in (0, 6)))
print(made(2, 1, 17), made(2, 1 | 1 << 30), made(2, 1, -1), made(2, 2), made(1, 1))
last = os.dup(0)
print(os.fstat(last - 1).st_uid, os.fstat(last - 1).st_gid, os.readlink(f"/proc/self/fd/{last - 3}").split(":")[0])
os.close(last)
os.close(5)
print(made(2, 1)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (last, last))
print(made(2, 1))
END2
	inside python3 "$BATS_TEST_TMPDIR/made.py"
	[ "$status" -eq 0 ]
	local bare=$output
	inside "$TCPKEEP" run --method seccomp "${SETTINGS[@]}" -- python3 "$BATS_TEST_TMPDIR/made.py"
	[ "$status" -eq 0 ]
	[ "$output" = "$bare" ]
	[[ $bare == *EMFILE ]]
}

@test "the report tells one socket from another: numbers that others get, copies, children, calls again" {
	cat >"$BATS_TEST_TMPDIR/counts.py" <<'END2'
import errno, os, socket
server = socket.create_server(("127.0.0.1", 0))
there = server.getsockname()
# A number that a socket of UDP gets.
first = socket.socket()
number = first.fileno()
first.close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    assert s.fileno() == number
    for _ in range(5):
        s.connect(there)
# Once, however often it is called.
with socket.socket() as s:
    s.setblocking(False)
    for _ in range(5):
        s.connect_ex(there)
    s.setblocking(True)
# A copy, and a child.
with socket.socket() as s, s.dup() as copy:
    copy.connect(there)
with socket.socket() as s:
    if os.fork() == 0:
        s.connect(there)
        os._exit(0)
    assert os.wait()[1] == 0
    assert s.getsockopt(1, 9) == 1
END2
	inside "$TCPKEEP" run --method seccomp --report --json "${SETTINGS[@]}" -- python3 "$BATS_TEST_TMPDIR/counts.py"
	[ "$status" -eq 0 ]
	jq -e '.set == 4 and .tried == 3 and .listening == 1 and .seen == 8 and .missed.forbidden == 0' <<<"$stderr"
	# A number that belonged to a socket of ours, and then to another user's.
	[ "$(id -u)" = 0 ] || return 0
	inside "$TCPKEEP" run --method seccomp --report --json "${SETTINGS[@]}" -- python3 -c '
import os, socket
server = socket.create_server(("127.0.0.1", 0))
first = socket.socket()
number = first.fileno()
first.close()
os.setresuid(65534, 65534, 65534)
s = socket.socket()
assert s.fileno() == number
s.connect(server.getsockname())
assert s.getsockopt(1, 9) == 0'
	[ "$status" -eq 0 ]
	jq -e '.set == 1 and .listening == 1 and .missed.forbidden == 1' <<<"$stderr"
}

@test "without a /proc of its PID namespace nothing can be compared: refused" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	# A build with LeakSanitizer looks for itself there, too.
	run --separate-stderr env ASAN_OPTIONS=detect_leaks=0 unshare --net --pid --fork bash -c "$(declare -f refusing)"'; refusing 1 pidfd_getfd 0 "$@" </dev/null 3>&- 4>&-' bash \
		"$TCPKEEP" run --method seccomp -- echo started
	[ "$status" -eq 4 ]
	[[ -z $output && $stderr == *"a /proc of this PID namespace"* ]]
}

@test "another user, network namespace or cgroup: sockets of its own, and told as missed" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	for scenario in netns nobody; do
		under --report -- "$scenario"
		all_are "$NONE"
		[[ $stderr == *"missed: 2 calls of processes that may not be looked into"* ]]
	done
	CGROUP2=$(awk '{ for (i = 7; $i != "-"; i++) {} if ($(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
	CG=$CGROUP2/tcpkeep-bats-$$-$RANDOM
	mkdir "$CG"
	inside "$TCPKEEP" run --method seccomp --report "${SETTINGS[@]}" -- \
		sh -c '(echo 0 >"$1/cgroup.procs" && exec "$0" connect4); exec "$0" connect4' "$SECCOMP_PROGRAM" "$CG"
	until_true rmdir "$CG"
	[ "$(cut -d' ' -f2- <<<"$output")" = "$(printf '%s\n' "$NONE" "$NONE" "$OURS" "$OURS")" ]
	[[ $stderr == *"2 sockets set "*"missed: 2 calls of processes that may not be looked into"* ]]
}

@test "--enforce is refused" {
	under --enforce -- connect4
	[ "$status" -eq 4 ]
	[[ -z $output && $stderr == *"nothing can be enforced"*"without --enforce"* ]]
}

@test "eight threads that connect, while supervisor and guardian are killed: no call fails or hangs" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		. "$SOURCE/tests/seccomp/load.bash"
		'"$(declare -f refusing)"'
		TCPKEEP_REAL=$TCPKEEP
		printf "#!/bin/bash\n%s\nrefusing 1 pidfd_getfd 0 %s \"\$@\"\n" "$(declare -f refusing)" "$TCPKEEP" >"$BATS_TEST_TMPDIR/sandboxed"
		chmod +x "$BATS_TEST_TMPDIR/sandboxed"
		TCPKEEP=$BATS_TEST_TMPDIR/sandboxed
		start_load
		for name in tcpkeep-answer tcpkeep-guard; do
			until_true one_is_there $name || exit 1
			victim=$(helpers $name)
			kill -9 $victim
			until_true replaced $name $victim || exit 1
		done
		end_load
	'
	[ "$status" -eq 0 ]
	[[ $output == *"status 0"* ]]
	read -r turns failed unset <<<"$(tail -1 <<<"$output")"
	[ "$turns" -gt 100 ]
	[ "$failed" -eq 0 ]
	[ "$unset" -le "$(grep '^{' <<<"$stderr" | tail -n 1 | jq .missed.unserved)" ]
}
