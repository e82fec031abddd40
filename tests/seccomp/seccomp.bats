# SPDX-License-Identifier: MIT
# What the seccomp method does to the sockets of a static program, and what it leaves as it was.

load common

@test "without tcpkeep the program has no keepalive" {
	in_netns sh -c 'ip link set lo up && exec "$SECCOMP_PROGRAM" connect4'
	all_are "$NONE"
}

@test "IPv4, IPv6, MPTCP; what is accepted inherits" {
	under -- connect4
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 2 ]
	if [ -e /proc/net/if_inet6 ]; then
		under -- connect6
		all_are "$OURS"
	fi
	if [ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ]; then
		under -- mptcp
		[ "$status" -eq 0 ]
		[[ $output == "client 1 61 "* ]]
	fi
}

@test "a non-blocking connect" {
	under -- nonblocking
	all_are "$OURS"
}

@test "the kernel's errors come through unchanged, enforced or not" {
	in_netns sh -c 'ip link set lo up && exec "$SECCOMP_PROGRAM" errors'
	[ "$status" -eq 0 ]
	under -- errors
	[ "$status" -eq 0 ]
	under --enforce -- errors
	[ "$status" -eq 0 ]
}

@test "UDP and Unix sockets are untouched" {
	under -- others
	[ "$status" -eq 0 ]
}

@test "TCP Fast Open by sendto, sendmsg and sendmmsg" {
	[ "$(($(cat /proc/sys/net/ipv4/tcp_fastopen) & 1))" = 1 ] || skip "no TCP Fast Open"
	under -- fastopen
	all_are "$OURS"
}

@test "what the program sets stands: one value, all, off before connect and after" {
	under -- own
	[ "$output" = $'time 1 33 11 7\nall 1 33 22 3' ]
	under -- off-before
	[ "$output" = $'off 0 7200 75 9\non-after-all 1 61 11 7' ]
	under -- off-after
	[ "$output" = "off 0 61 11 7" ]
}

@test "--enforce: ours hold on clients, listeners and what is accepted; wrong values are told as such" {
	under --enforce -- enforce
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 4 ]
	in_netns sh -c 'ip link set lo up && exec "$SECCOMP_PROGRAM" enforce'
	all_are "0 33 22 3"
}

@test "off --enforce" {
	in_netns sh -c 'ip link set lo up
		exec "$TCPKEEP" run --method seccomp off --enforce -- "$SECCOMP_PROGRAM" enforce'
	[ "$status" -eq 0 ]
	[ "$(cut -d' ' -f2 <<<"$output" | sort -u)" = 0 ]
}

@test "children by fork, exec, vfork and posix_spawn" {
	under -- children
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 8 ]
}

@test "the program finds no child, no signal and no descriptor of ours" {
	under -- clean
	[ "$status" -eq 0 ]
	in_netns sh -c 'ip link set lo up; trap "" CHLD
		exec "$TCPKEEP" run --method seccomp -- "$SECCOMP_PROGRAM" clean </dev/null 3>&- 4>&-'
	[ "$status" -eq 0 ]
	run python3 -c '
import os, signal
os.closerange(3, 100)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
os.execv(os.environ["TCPKEEP"], ["tcpkeep", "run", "--method", "seccomp", "--", os.environ["SECCOMP_PROGRAM"], "clean"])'
	[ "$status" -eq 0 ]
}

@test "a program that closes all descriptors" {
	under -- closefrom
	all_are "$OURS"
}

@test "a thread with descriptors of its own: its socket is set, not another of the same number" {
	[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -1)" = 6.9 ] || skip "no pidfds of threads before 6.9"
	under -- apart
	all_are "$OURS"
}

@test "network, user and PID namespaces of the program's own" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	for scenario in netns userns pidns; do
		under -- $scenario
		all_are "$OURS"
	done
}

@test "a program that drops its privileges" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	under -- nobody
	all_are "$OURS"
}

@test "a caller without privileges, in a user namespace and without" {
	[ "$(id -u)" = 0 ] || skip "needs root, to become nobody"
	local copy=$BATS_TEST_TMPDIR/bin
	mkdir -p "$copy/cli" && chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$TCPKEEP" "$copy/cli/tcpkeep" && cp "$SECCOMP_PROGRAM" "$copy/program"
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	as_nobody test -x "$copy/program" || skip "nobody cannot reach the build"
	in_netns sh -c 'ip link set lo up && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" "$@"' \
		"$copy/cli/tcpkeep" run --method seccomp "${SETTINGS[@]}" -- "$copy/program" connect4
	all_are "$OURS"
	[ -z "$stderr" ]
	# Undumpable: nobody may look into it. It runs all the same, and the miss is told.
	in_netns sh -c 'ip link set lo up && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" "$@"' \
		"$copy/cli/tcpkeep" run --method seccomp --report "${SETTINGS[@]}" -- "$copy/program" undumpable
	[ "$status" -eq 0 ]
	[ "$(head -2 <<<"$output" | cut -d' ' -f2- | sort -u)" = "$NONE" ]
	[[ $stderr =~ "missed: "[0-9]+" calls of processes that may not be looked into" ]]
	run as_nobody unshare --user --map-root-user --net sh -c 'ip link set lo up && exec "$0" "$@"' \
		"$copy/cli/tcpkeep" run --method seccomp "${SETTINGS[@]}" -- "$copy/program" connect4
	all_are "$OURS"
}

@test "root reaches programs that may not be looked into" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	under --enforce -- undumpable
	all_are "$OURS"
}

@test "inherited descriptors: connections and listeners, set before the program starts" {
	in_netns python3 - <<'END'
import os, socket, subprocess
os.system("ip link set lo up")
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
for s in (c, l):
    subprocess.run([os.environ["TCPKEEP"], "run", "--method", "seccomp", "time=61", "intvl=11", "probes=7", "--",
        os.environ["SECCOMP_PROGRAM"], "inherited"], stdin=s, check=True)
END
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -eq 2 ]
}

@test "signals: calls go on as they would" {
	under -- restart
	[ "$status" -eq 0 ]
	under -- interrupt
	[ "$status" -eq 0 ]
}

@test "few descriptors: said, and the program runs or clearly does not" {
	for n in 32 12 9; do
		in_netns sh -c "exec </dev/null 3>&- 4>&-; ip link set lo up; ulimit -n $n"'; exec "$0" "$@"' "$TCPKEEP" run --method seccomp \
			"${SETTINGS[@]}" -- "$SECCOMP_PROGRAM" connect4
		all_are "$OURS"
	done
	run sh -c 'exec 3>&- 4>&- </dev/null; ulimit -n 4; exec "$TCPKEEP" run --method seccomp -- echo ran'
	[ "$status" -eq 126 ]
	[[ $output != *ran* && $output == *"cannot be executed: Too many open files"* ]]
	run sh -c 'exec 3>&- 4>&- </dev/null; ulimit -n 5; exec "$TCPKEEP" run --method seccomp -- echo ran'
	[ "$status" -eq 4 ]
	[[ $output != *ran* && $output == *"no descriptors: Too many open files; raise the limit"* ]]
	# With none left to look at the program, it is not guessed to be a dynamically linked one.
	for n in 4 5; do
		run sh -c "exec 3>&- 4>&- </dev/null; ulimit -n $n"'; exec "$TCPKEEP" run -- "$SECCOMP_PROGRAM" clean'
		[ "$status" -eq 126 ] || [ "$status" -eq 4 ]
		[[ $output == *"tcpkeep: run: "*"Too many open files"* ]]
	done
	# The descriptors that tcpkeep --report has are no burden to the supervisor.
	for n in 10 9; do
		in_netns sh -c "exec </dev/null 3>&- 4>&-; ip link set lo up; ulimit -n $n"'; exec "$0" "$@"' "$TCPKEEP" run --method seccomp \
			--report "${SETTINGS[@]}" -- "$SECCOMP_PROGRAM" connect4
		all_are "$OURS"
	done
}

@test "no process more: said, and the program does not start" {
	[ "$(id -u)" = 0 ] || skip "needs root, to become somebody with a limit"
	copy=$BATS_TEST_TMPDIR/tcpkeep
	cp "$TCPKEEP" "$copy"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$copy" 2>/dev/null || true
	run setpriv --reuid 64123 --regid 64123 --clear-groups prlimit --nproc=1 \
		env ASAN_OPTIONS=detect_leaks=0 "$copy" run --method seccomp -- echo ran
	[ "$status" -eq 4 ]
	[[ $output == *"the supervisor cannot be started"*"ulimit -u"* && $output != *ran* ]]
}

@test "signals, limits, environment, working directory: as without tcpkeep" {
	state='grep -E "^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs)" /proc/self/status; ulimit -a; umask; pwd; env | grep -v ^_= | sort; cat /proc/self/cgroup; ls /proc/self/fd | wc -l'
	bare=$(trap '' HUP USR2; sh -c "$state")
	ran=$(trap '' HUP USR2; "$TCPKEEP" run --method seccomp -- sh -c "$state")
	reported=$(trap '' HUP USR2; "$TCPKEEP" run --method seccomp --report -- sh -c "$state" 2>/dev/null)
	diff <(echo "$bare") <(echo "$ran")
	diff <(echo "$bare") <(echo "$reported")
}

@test "the program is tcpkeep's own process: its number, its parent" {
	run sh -c '"$TCPKEEP" run --method seccomp -- sh -c "echo \$\$ \$PPID" & echo "$! $$"; wait'
	[ "$(sort -u <<<"$output" | wc -l)" -eq 1 ]
}

@test "127 and 126, and the program's own status" {
	run -127 "$TCPKEEP" run --method seccomp -- tcpkeep-no-such-program
	printf x >"$BATS_TEST_TMPDIR/plain"
	run -126 "$TCPKEEP" run --method seccomp --report -- "$BATS_TEST_TMPDIR/plain"
	run -77 "$TCPKEEP" run --method seccomp -- sh -c 'exit 77'
	run -77 "$TCPKEEP" run --method seccomp --report -- sh -c 'exit 77'
}

@test "a pipe ends with the program, though a child of it lives on" {
	run timeout 20 sh -c '"$TCPKEEP" run --method seccomp -- sh -c "echo here; sleep 100 >/dev/null 2>&1 & echo \$!" | cat'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = here ]
	kill "${lines[1]}"
}

@test "the report: seen, set, left alone, missed" {
	under --report --json -- own
	jq -e '.method == "seccomp" and .seen == 3 and .set == 2 and .tried == 1 and (has("connected") | not) and .listening == 1 and
		.left_alone == 1 and .missed == {forbidden: 0, short: 0, unserved: 0, io_uring: 0} and .refused == 0' <<<"$stderr"
	under --enforce --report --json -- enforce
	jq -e '.withheld == 12 and .mode == "enforce"' <<<"$stderr"
	under --report -- children
	[[ $stderr == *"8 sockets set (on time=61 intvl=11 probes=7): tried 4, listening 4, inherited 0"* ]]
}

@test "the report: what the program changed after it was set" {
	inside "$TCPKEEP" run --method seccomp "${SETTINGS[@]}" --report --json -- python3 -c "$CHANGES_LATER"
	[ "$status" -eq 0 ]
	jq -e '.tried == 3 and .left_alone == 1 and .changed == 3 and .refused == 0' <<<"$stderr"
	inside "$TCPKEEP" run --method seccomp "${SETTINGS[@]}" --enforce --report --json -- python3 -c "$CHANGES_LATER"
	jq -e '.tried == 4 and .left_alone == 0 and .changed == 0 and .withheld > 10' <<<"$stderr"
}

@test "another reader: ss sees the timer" {
	in_netns sh -c '
		ip link set lo up
		mkfifo "$BATS_TEST_TMPDIR/in"
		"$TCPKEEP" run --method seccomp time=30 -- "$SHIM_PROGRAM" connect4 <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" &
		exec 5>"$BATS_TEST_TMPDIR/in"
		tail -f -n +1 --pid=$! "$BATS_TEST_TMPDIR/out" | grep -q -m1 ready
		ss -tnoH state established
		exec 5>&-
		wait $!
	'
	[ "$status" -eq 0 ]
	[ "$(grep -cE 'timer:\(keepalive,(2[0-9]sec|30sec)' <<<"$output")" -eq 2 ]
}
