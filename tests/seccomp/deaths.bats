# SPDX-License-Identifier: MIT
# The supervisor and its guardian die: the program does not notice. All are gone when the program is.

load common

# told FILTER: of the report, beside which others may have said something (tail, of inotify).
told() {
	grep '^{' <<<"$stderr" | tail -n 1 | jq "$1"
}

@test "kill -9 of supervisor and guardian, again and again, under eight threads that connect: no call fails or hangs" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		. "$SOURCE/tests/seccomp/load.bash"
		start_load
		for turn in 1 2; do
			for name in tcpkeep-answer tcpkeep-guard; do
				until_true one_is_there $name || exit 1
				victim=$(helpers $name)
				kill -9 $victim
				until_true replaced $name $victim || exit 1
			done
		done
		end_load
	'
	[ "$status" -eq 0 ]
	[[ $output == *"status 0"* ]]
	read -r turns failed unset <<<"$(tail -1 <<<"$output")"
	[ "$turns" -gt 100 ]
	[ "$failed" -eq 0 ]
	# What was in its hands when it died went on without keepalive, and is told.
	[ "$unset" -le "$(told .missed.unserved)" ]
}

@test "a supervisor that a bug ends (SIGSEGV) and one that dies too often: connections go on" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		. "$SOURCE/tests/seccomp/load.bash"
		start_load
		# Six within ten seconds are no accident: the guardian lets calls go on by itself then.
		for turn in 1 2 3 4 5 6; do
			until_true one_is_there tcpkeep-answer || exit 1
			victim=$(helpers tcpkeep-answer)
			kill -SEGV $victim
			until_true gone $victim || exit 1
		done
		before=$(opens)
		until_true opens_beyond $((before + 100)) || exit 1
		end_load
	'
	[ "$status" -eq 0 ]
	[[ $output == *"status 0"* ]]
	read -r turns failed unset <<<"$(tail -1 <<<"$output")"
	[ "$failed" -eq 0 ]
	[ "$unset" -gt 0 ]
	[ "$(told .missed.unserved)" -gt 0 ]
}

@test "one dies while no process can be had: it is tried again, and meanwhile calls go on" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	cat >"$BATS_TEST_TMPDIR/connects.py" <<'END'
import socket, sys
l = socket.create_server(("127.0.0.1", 0))
for line in sys.stdin:
    s = socket.create_connection(l.getsockname())
    print(s.getsockopt(1, 9), flush=True)
END
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		ip link set lo up
		mkfifo "$1/in" "$1/out"
		# Root has no limit: a user whom nobody else is.
		as_user() {
			setpriv --reuid $((1000000 + $$)) --clear-groups "$@"
		}
		as_user "$TCPKEEP" run --method seccomp -- python3 -c "$(cat "$1/connects.py")" <"$1/in" >"$1/out" &
		exec 5>"$1/in" 6<"$1/out"
		connects() {
			echo >&5 && read -r -t 20 set <&6 && [ "$set" = "$1" ] || exit 1
		}
		connects 1
		answer=$(helpers tcpkeep-answer) guard=$(helpers tcpkeep-guard)
		as_user prlimit --pid $answer --nproc=0:
		kill -9 $guard
		until_true gone $guard || exit 2
		connects 1
		as_user prlimit --pid $answer --nproc=$(ulimit -Hu):
		until_true replaced tcpkeep-guard $guard || exit 3
		guard=$(helpers tcpkeep-guard)
		as_user prlimit --pid $guard --nproc=0:
		kill -9 $answer
		until_true gone $answer || exit 4
		connects 0
		as_user prlimit --pid $guard --nproc=$(ulimit -Hu):
		until_true replaced tcpkeep-answer $answer || exit 5
		connects 1
		# The program, the guardian and a supervisor that can have no thread.
		answer=$(helpers tcpkeep-answer)
		as_user prlimit --pid $guard --nproc=3:
		kill -9 $answer
		until_true replaced tcpkeep-answer $answer || exit 6
		connects 0
		as_user prlimit --pid $guard --nproc=$(ulimit -Hu):
		is_set() {
			echo >&5 && read -r -t 20 set <&6 && [ "$set" = 1 ]
		}
		until_true is_set || exit 7
		exec 5>&-
	' _ "$BATS_TEST_TMPDIR"
	[ "$status" -eq 0 ]
}

@test "a supervisor that hangs is ended: what it held up goes on, and what comes later is set" {
	cat >"$BATS_TEST_TMPDIR/connects.py" <<'END'
import socket, sys
l = socket.create_server(("127.0.0.1", 0))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(2):
    s = socket.create_connection(l.getsockname())
    print(s.getsockopt(1, 9), s.getsockopt(6, 4), flush=True)
sys.exit(7)
END
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		ip link set lo up
		mkfifo "$1/in"
		"$TCPKEEP" run --method seccomp --report --json time=61 -- python3 "$1/connects.py" <"$1/in" >"$1/out" &
		program=$!
		exec 5>"$1/in"
		tail -f -n +1 --pid=$program "$1/out" | grep -q -m1 ready
		until_true one_is_there tcpkeep-answer || exit 1
		victim=$(helpers tcpkeep-answer)
		kill -STOP $victim
		until_true stopped $victim || exit 1
		echo >&5
		until_true gone $victim || exit 1
		wait $program
		echo "status $?"
		tail -n 2 "$1/out"
	' _ "$BATS_TEST_TMPDIR"
	[ "$status" -eq 0 ]
	# Nobody had taken it: the next supervisor did.
	[ "$output" = $'status 7\n1 61\n1 61' ]
	[ "$(told .missed.unserved)" -eq 0 ]
}

# slow_files N: N threads connect() a file that nobody can close for now, and then one a socket. Prints what that one
# got, how many of the threads were held up still, and what they were answered.
slow_files() {
	[ -e /dev/fuse ] || skip "no /dev/fuse"
	cat >"$BATS_TEST_TMPDIR/files.py" <<'END'
import ctypes, os, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
closing, go_on = open(sys.argv[2]), open(sys.argv[3], "w")
assert closing.readline() == "ready\n"
file = os.open(sys.argv[1] + "/file", os.O_RDONLY)
errors = []
def connect_file():
    libc.connect(file, None, 0)
    errors.append(ctypes.get_errno())
threads = [threading.Thread(target=connect_file) for _ in range(int(sys.argv[4]))]
for thread in threads:
    thread.start()
    assert closing.readline() == "closing\n"
l = socket.create_server(("127.0.0.1", 0))
s = socket.create_connection(l.getsockname())
print(l.getsockopt(1, 9), s.getsockopt(1, 9), len(threads) - len(errors))
go_on.close()
for thread in threads:
    thread.join()
s = socket.create_connection(l.getsockname())
print(s.getsockopt(1, 9), *set(errors))
END
	in_netns unshare --mount bash -c '
		ip link set lo up
		mkdir "$1/files"
		mkfifo "$1/closing" "$1/go-on"
		"$SLOW_CLOSE" "$1/files" >"$1/closing" <"$1/go-on" &
		"$TCPKEEP" run --method seccomp -- python3 "$1/files.py" "$1/files" "$1/closing" "$1/go-on" "$2"
	' _ "$BATS_TEST_TMPDIR" "$1"
	[ "$status" -eq 0 ]
}

@test "a file of a filesystem that does not answer holds up its own call alone" {
	slow_files 1
	# ENOTSOCK
	[ "$output" = $'1 1 1\n1 88' ]
}

@test "as many of them as would hold up all receivers: the guardian lets them go" {
	local receivers
	receivers=$(nproc)
	slow_files $((receivers < 2 ? 2 : receivers > 8 ? 8 : receivers))
	[ "$output" = $'1 1 0\n1 88' ]
}

@test "both end with the last process of the tree, not before" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		ip link set lo up
		"$TCPKEEP" run --method seccomp -- sh -c "sleep 100 & echo \$! >\"$BATS_TEST_TMPDIR/child\""
		# The program may have ended before they took their names.
		until_true one_is_there tcpkeep-answer && until_true one_is_there tcpkeep-guard || exit 1
		kill $(cat "$BATS_TEST_TMPDIR/child")
		until_true none_is_there tcpkeep-answer && until_true none_is_there tcpkeep-guard
	'
	[ "$status" -eq 0 ]
}

@test "kill -9 of the program takes it alone; of tcpkeep --report, the program as well" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		ip link set lo up
		for report in "" --report; do
			"$TCPKEEP" run --method seccomp $report -- sh -c "echo \$\$ >\"$BATS_TEST_TMPDIR/pid\"; exec sleep 100" &
			until_true test -s "$BATS_TEST_TMPDIR/pid"
			kill -9 $!
			until_true gone $(cat "$BATS_TEST_TMPDIR/pid") || exit 1
			rm "$BATS_TEST_TMPDIR/pid"
			until_true none_is_there tcpkeep-answer && until_true none_is_there tcpkeep-guard || exit 2
		done
	'
	[ "$status" -eq 0 ]
}

@test "signals for a whole group or session do not reach them" {
	in_netns bash -c '
		. "$SOURCE/tests/helpers/processes.bash"
		ip link set lo up
		mkfifo "$BATS_TEST_TMPDIR/in"
		setsid sh -c "trap : TERM INT HUP; exec 0<>\"$BATS_TEST_TMPDIR/in\"; exec \"$TCPKEEP\" run --method seccomp -- sh -c \"trap : TERM INT HUP; echo ready; while :; do read x && exit 0; done\"" >"$BATS_TEST_TMPDIR/out" &
		until_true grep -q ready "$BATS_TEST_TMPDIR/out" || exit 1
		until_true one_is_there tcpkeep-answer && until_true one_is_there tcpkeep-guard || exit 1
		a=$(helpers tcpkeep-answer) g=$(helpers tcpkeep-guard)
		kill -TERM $a $g
		kill -INT $a $g
		kill -HUP $a $g
		[ "$(helpers tcpkeep-answer)" = "$a" ] && [ "$(helpers tcpkeep-guard)" = "$g" ] || exit 2
		echo x >"$BATS_TEST_TMPDIR/in"
		until_true none_is_there tcpkeep-answer && until_true none_is_there tcpkeep-guard
	'
	[ "$status" -eq 0 ]
}
