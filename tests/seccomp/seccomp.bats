# SPDX-License-Identifier: MIT
# What is the seccomp method's own; what it shares with bpf is in helpers/programs.bats.

load common

@test "MPTCP" {
	[ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || skip "no MPTCP"
	under -- mptcp
	[ "$status" -eq 0 ]
	[[ $output == "client 1 61 "* ]]
}

@test "a thread with descriptors of its own: its socket is set, not another of the same number" {
	[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -1)" = 6.9 ] || skip "no pidfds of threads before 6.9"
	under -- apart
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

@test "signals: calls go on as they would" {
	under -- restart
	[ "$status" -eq 0 ]
	under -- interrupt
	[ "$status" -eq 0 ]
}

@test "few descriptors: said, and the program runs or clearly does not" {
	for n in 32 12 9 8 7 6; do
		in_netns sh -c "exec </dev/null 3>&- 4>&-; ip link set lo up; ulimit -n $n"'; exec "$0" "$@"' "$TCPKEEP" run --method seccomp \
			"${SETTINGS[@]}" -- "$SECCOMP_PROGRAM" connect4
		if [ "$n" -ge 9 ] || [ "$status" -eq 0 ]; then
			all_are "$OURS"
		else
			[ "$status" -eq 4 ]
			[[ $stderr == *"Too many open files; raise the limit (ulimit -n)"* ]]
		fi
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

@test "few processes: said, and the program runs with keepalive or does not start" {
	[ "$(id -u)" = 0 ] || skip "needs root, to become somebody with a limit"
	cp "$TCPKEEP" "$BATS_TEST_TMPDIR/tcpkeep"
	cp "$SECCOMP_PROGRAM" "$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR"/* 2>/dev/null || true
	for n in 1 2 3 4 5 6 7 16; do
		inside setpriv --reuid $((1000000 + $$)) --regid 64123 --clear-groups prlimit --nproc=$n \
			env ASAN_OPTIONS=detect_leaks=0 "$BATS_TEST_TMPDIR/tcpkeep" run --method seccomp "${SETTINGS[@]}" -- \
			"$BATS_TEST_TMPDIR/program" connect4
		if [ "$n" -eq 16 ] || [ "$status" -eq 0 ]; then
			all_are "$OURS"
		else
			[ "$status" -eq 4 ]
			[[ $stderr == *"the supervisor cannot be started"*"ulimit -u"* && -z $output ]]
		fi
		[ "$n" -gt 1 ] || [ "$status" -eq 4 ]
	done
}

@test "the program is tcpkeep's own process: its number, its parent" {
	run sh -c '"$TCPKEEP" run --method seccomp -- sh -c "echo \$\$ \$PPID" & echo "$! $$"; wait'
	[ "$(sort -u <<<"$output" | wc -l)" -eq 1 ]
}

@test "the report: seen, set, left alone, missed" {
	under --report --json -- own
	jq -e '.method == "seccomp" and .seen == 3 and .set == 2 and .tried == 1 and (has("connected") | not) and .listening == 1 and
		.left_alone == 1 and .missed == {forbidden: 0, short: 0, unserved: 0, io_uring: 0} and .refused == 0' <<<"$stderr"
	under --enforce --report --json -- enforce
	jq -e '.withheld == 18 and .mode == "enforce"' <<<"$stderr"
	under --report -- children
	[[ $stderr == *"8 sockets set (on time=61 intvl=11 probes=7): tried 4, listening 4, inherited 0"* ]]
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
