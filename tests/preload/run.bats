# SPDX-License-Identifier: MIT
# tcpkeep run as it is typed. What the sockets get is tested by preload-test, the terminal by terminal-test.

load ../helpers/netns
load ../helpers/methods

# The program's socket as another tool sees it: ss shows the keepalive timer. Arguments: what tcpkeep run gets.
timer_of_client() {
	in_netns sh -c '
		ip link set lo up
		mkfifo "$BATS_TEST_TMPDIR/in"
		"$TCPKEEP" run --method preload "$@" -- "$SHIM_PROGRAM" connect4 <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" &
		exec 5>"$BATS_TEST_TMPDIR/in"
		tail -f -n +1 --pid=$! "$BATS_TEST_TMPDIR/out" | grep -q -m1 ready
		ss -tnoH state established
		exec 5>&-
		wait $!
	' sh "$@"
}

@test "without settings: on, a minute; seen by ss" {
	timer_of_client
	[ "$status" -eq 0 ]
	[ "$(grep -cE 'timer:\(keepalive,(5[0-9]sec|1min)' <<<"$output")" -eq 2 ]
}

@test "missing values come from the defaults, given ones stand" {
	run --separate-stderr "$TCPKEEP" run time=2m --verbose -- true
	[ "$status" -eq 0 ]
	[[ $stderr == *"settings on time=120 intvl=10 probes=6, mode default"* ]]
	run --separate-stderr "$TCPKEEP" run --method preload intvl=5 user-timeout=3m --enforce --verbose -- true
	[[ $stderr == *"settings on time=60 intvl=5 probes=6 user-timeout=3m, mode enforce"* ]]
	[[ $stderr == *"method preload, library $SHIM_LIBRARY"* ]]
	timer_of_client time=30
	[ "$(grep -cE 'timer:\(keepalive,(2[0-9]sec|30sec)' <<<"$output")" -eq 2 ]
}

@test "off needs --enforce" {
	run "$TCPKEEP" run off -- true
	[ "$status" -eq 2 ]
	[[ $output == *"add --enforce"* ]]
	timer_of_client off --enforce
	[ "$status" -eq 0 ]
	[ "$(grep -c . <<<"$output")" -ge 2 ]
	[[ $output != *keepalive* ]]
}

@test "usage errors end with 2 and say what to write" {
	run "$TCPKEEP" run
	[ "$status" -eq 2 ]
	[[ $output == *"tcpkeep run [SETTINGS] -- COMMAND"* ]]
	run "$TCPKEEP" run psql
	[ "$status" -eq 2 ]
	[ "$output" = 'tcpkeep: run: put "--" before the command: tcpkeep run -- psql' ]
	run "$TCPKEEP" run time=60 off python3 x.py
	[ "$status" -eq 2 ]
	[ "$output" = 'tcpkeep: run: put "--" before the command: tcpkeep run time=60 off -- python3 ...' ]
	run "$TCPKEEP" run time=30 ssh -p 22 host
	[ "$status" -eq 2 ]
	[ "$output" = 'tcpkeep: run: put "--" before the command: tcpkeep run time=30 -- ssh ...' ]
	run "$TCPKEEP" run -v ls -l
	[ "$output" = 'tcpkeep: run: put "--" before the command: tcpkeep run -- ls ...' ]
	run "$TCPKEEP" run time=60 --
	[ "$status" -eq 2 ]
	[ "$output" = 'tcpkeep: run: no command; write: tcpkeep run time=60 -- COMMAND [ARGUMENT...]' ]
	run -127 "$TCPKEEP" run -- time=60 true
	[[ $output == *'settings stand before "--"'* ]]
	run -127 "$TCPKEEP" run -- FOO=1 true
	[[ $output == *"tcpkeep run -- env FOO=1 COMMAND"* ]]
	run "$TCPKEEP" run time=0 -- true
	[ "$status" -eq 2 ]
	[[ $output == *"accepted: 1 to 32767 seconds"* ]]
	run "$TCPKEEP" run --json -- true
	[ "$status" -eq 2 ]
	run "$TCPKEEP" run --enforced -- true
	[ "$status" -eq 2 ]
	[[ $output == *"did you mean '--enforce'?"* ]]
	run "$TCPKEEP" run --method magic -- true
	[ "$status" -eq 2 ]
	run "$TCPKEEP" run --method preload -- true
	[ "$status" -eq 0 ]
	run "$TCPKEEP" run --method auto -- true
	[ "$status" -eq 0 ]
	run "$TCPKEEP" run --method=preload -- true
	[ "$status" -eq 0 ]
}

@test "a program that cannot be found or executed: 127 and 126, as a shell says it" {
	run -127 "$TCPKEEP" run -- tcpkeep-no-such-program
	[ "$output" = "tcpkeep: run: tcpkeep-no-such-program: command not found; give its path, or look at PATH" ]
	run "$TCPKEEP" run -- /tcpkeep-no-such-program
	[ "$status" -eq 127 ]
	[ "$output" = "tcpkeep: run: /tcpkeep-no-such-program: command not found" ]
	for directory in / "$BATS_TEST_TMPDIR"; do
		run "$TCPKEEP" run --report -- "$directory"
		[ "$status" -eq 126 ]
		[ "$output" = "tcpkeep: run: $directory: cannot be executed: Is a directory" ]
	done
	printf 'x' >"$BATS_TEST_TMPDIR/plain"
	run "$TCPKEEP" run -- "$BATS_TEST_TMPDIR/plain"
	[ "$status" -eq 126 ]
}

@test "126 or 127: what bash says, for each way in which a command may not be there" {
	command -v bash env >/dev/null || skip "no bash"
	[ "$(id -u)" = 0 ] || skip "needs root, to become nobody"
	copy=$BATS_TEST_TMPDIR/build
	mkdir -p "$copy/cli" && chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$TCPKEEP" "$copy/cli/tcpkeep"
	mkdir -p "$copy/inject" && cp "$SHIM_LIBRARY" "$copy/inject"
	setpriv --reuid 65534 --clear-groups test -x "$copy/cli/tcpkeep" || skip "nobody cannot reach the build"
	dir=$BATS_TEST_TMPDIR/commands
	mkdir "$dir" && cd "$dir"
	mkdir denied good plain directory directory/tool directory/only
	printf '#!/bin/sh\necho denied\n' | tee denied/tool >denied/only
	printf '#!/bin/sh\necho good\n' >good/tool
	echo x | tee plain/tool >plain/only
	echo 'echo script' >noshebang
	: >empty
	printf '\177ELFdamaged\n' >damaged
	printf 'a\0b\nc\n' >binary
	printf '#!/no/such/interpreter\n' >lost
	printf '#!/tmp\n' >astray
	printf '#!%s/plain/only\n' "$dir" >dull
	ln -s loop loop
	chmod 755 denied/* good/* noshebang empty damaged binary lost astray dull
	chmod 700 denied
	for who in "" "setpriv --reuid 65534 --regid 65534 --clear-groups"; do
		while read -r path command; do
			path=${path//@/$dir/}
			expected=0 ran=0 reported=0
			says=$($who env PATH="$path" "$(command -v bash)" -c '"$1"' bash "$command" 2>/dev/null) || expected=$?
			said=$($who env PATH="$path" "$copy/cli/tcpkeep" run -- "$command" 2>"$BATS_TEST_TMPDIR/why") || ran=$?
			$who env PATH="$path" "$copy/cli/tcpkeep" run --report -- "$command" >/dev/null 2>&1 || reported=$?
			echo "$who PATH=$path $command: $expected $says, $ran $said, $reported"
			[ "$expected $says $expected" = "$ran $said $reported" ]
			[ "$expected" -eq 0 ] || grep -q '^tcpkeep: run: ' "$BATS_TEST_TMPDIR/why"
		done <<-'END'
			/bin:/usr/bin nothing
			/bin:/usr/bin
			/bin:/usr/bin ./nothing
			/bin:/usr/bin /
			/bin:/usr/bin ./good
			/bin:/usr/bin ./plain/only
			/bin:/usr/bin ./denied/only
			/bin:/usr/bin ./noshebang
			/bin:/usr/bin ./empty
			/bin:/usr/bin ./damaged
			/bin:/usr/bin ./binary
			/bin:/usr/bin ./lost
			/bin:/usr/bin ./astray
			/bin:/usr/bin ./dull
			/bin:/usr/bin ./loop
			@denied:@good tool
			@denied:/bin nothing
			@denied only
			@plain:@good tool
			@plain:/bin only
			@directory:@good tool
			@directory:/bin only
			@denied:@plain tool
			@noshebang:@good tool
		END
	done
}

@test "-v says of each method why it is not the one" {
	run "$TCPKEEP" run -v -- true
	[ "$(grep -c '^tcpkeep: run: method ' <<<"$output")" -eq 1 ]
	[ "$(grep -c '^tcpkeep: run: not method ' <<<"$output")" -eq 2 ]
	run "$TCPKEEP" run -v --method preload -- true
	[ "$(grep -c '^tcpkeep: run: not method ' <<<"$output")" -eq 0 ]
	[ "$(id -u)" = 0 ] || return 0
	run setpriv --bounding-set -all --inh-caps -all env "$TCPKEEP" run -v -- true
	[ "$status" -eq 0 ]
	[[ $output == *"not method seccomp: it takes their powers from setuid programs"* ]]
	[[ $output == *"not method bpf: it takes root"* ]]
}

@test "a static program: a clear message and exit 4" {
	command -v cc >/dev/null || skip "no cc"
	cd "$BATS_TEST_TMPDIR"
	echo 'int main(void) { return 0; }' >a.c
	cc -static -o static a.c || skip "no static C library"
	run "$TCPKEEP" run --method preload -- ./static
	[ "$status" -eq 4 ]
	[ "$output" = "tcpkeep: run: method preload: ./static is statically linked: no dynamic loader, so nothing can be preloaded; use a dynamically linked build or method seccomp" ]
	printf '#!%s/static\n' "$PWD" >script
	chmod +x script
	run "$TCPKEEP" run --method preload --report -- ./script
	[ "$status" -eq 4 ]
}

@test "a setuid program: a clear message and exit 4" {
	[ "$(id -u)" = 0 ] || skip "needs root, to make one"
	cp "$(command -v cat)" "$BATS_TEST_TMPDIR/setuid"
	chown 65534 "$BATS_TEST_TMPDIR/setuid"
	chmod 4755 "$BATS_TEST_TMPDIR/setuid"
	run "$TCPKEEP" run --method preload -- "$BATS_TEST_TMPDIR/setuid"
	[ "$status" -eq 4 ]
	[[ $output == *"gains privileges"* ]]
	cp "$BATS_TEST_TMPDIR/setuid" "$BATS_TEST_TMPDIR/sudo"
	chown 65534 "$BATS_TEST_TMPDIR/sudo"
	chmod 4755 "$BATS_TEST_TMPDIR/sudo"
	run "$TCPKEEP" run --method preload -- "$BATS_TEST_TMPDIR/sudo"
	[ "$status" -eq 4 ]
	[[ $output == *"sudo tcpkeep run ... -- COMMAND"* ]]
}

@test "a Go program: a clear message and exit 4" {
	command -v go >/dev/null || skip "no go"
	run "$TCPKEEP" run --method preload -- go version
	[ "$status" -eq 4 ]
	[[ $output == *"is a Go program"* ]]
}

@test "another C library: a clear message and exit 4" {
	cd "$BATS_TEST_TMPDIR"
	echo 'int main(void) { return 0; }' >a.c
	cc -Wl,--dynamic-linker=/lib/ld-odd.so.1 -o odd a.c
	run "$TCPKEEP" run --method preload -- ./odd
	[ "$status" -eq 4 ]
	[[ $output == *"another C library"* ]]
}

@test "musl: reached by the library of a glibc" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	# Its runtime library is glibc's alone.
	nm -D "$SHIM_LIBRARY" | grep -q ' U __asan' && skip "with the AddressSanitizer"
	cd "$BATS_TEST_TMPDIR"
	cat >a.c <<-'END'
		#include <netinet/in.h>
		#include <netinet/tcp.h>
		#include <stdio.h>
		#include <sys/socket.h>
		int main(void) {
			struct sockaddr_in a = {.sin_family = AF_INET};
			socklen_t n = sizeof a, m = sizeof(int);
			int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), v = 0;
			if (listen(l, 1) || getsockname(l, (void *)&a, &n) || connect(c, (void *)&a, n)) return 1;
			getsockopt(c, IPPROTO_TCP, TCP_KEEPIDLE, &v, &m);
			printf("%d\n", v);
			return 0;
		}
	END
	musl-gcc -o musl a.c
	in_netns sh -c 'ip link set lo up && ./musl && exec "$TCPKEEP" run --method preload --report time=61 -- ./musl'
	[ "$output" = $'7200\n61' ]
	[[ $stderr == *"tried 1 (connected 1, failed 0)"* ]]
}

@test "sudo takes tcpkeep away, which is said" {
	[ "$(id -u)" = 0 ] || skip "for others it gains privileges: refused"
	printf '#!/bin/sh\n:\n' >"$BATS_TEST_TMPDIR/sudo"
	chmod +x "$BATS_TEST_TMPDIR/sudo"
	run "$TCPKEEP" run --method preload -- "$BATS_TEST_TMPDIR/sudo" true
	[ "$status" -eq 0 ]
	[[ $output == *"warning: run: sudo removes LD_PRELOAD"*"sudo ... tcpkeep run -- COMMAND"* ]]
}

@test "the environment is untouched but for the two variables" {
	env | grep -vE '^(_|LD_PRELOAD|TCPKEEP)=' | sort >"$BATS_TEST_TMPDIR/before"
	for report in "" --report; do
		"$TCPKEEP" run --method preload $report -- env 2>/dev/null | sort >"$BATS_TEST_TMPDIR/after"
		grep -vE '^(_|LD_PRELOAD|TCPKEEP)=' "$BATS_TEST_TMPDIR/after" | diff "$BATS_TEST_TMPDIR/before" -
		grep -qx "LD_PRELOAD=$SHIM_LIBRARY" "$BATS_TEST_TMPDIR/after"
		grep -qE '^TCPKEEP=on time=60 intvl=10 probes=6( report=[0-9/]+)?$' "$BATS_TEST_TMPDIR/after"
	done
}

@test "descriptors, signals, limits: as without tcpkeep" {
	state='ls -l /proc/self/fd | wc -l; grep -E "^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp)" /proc/self/status; ulimit -a; umask; pwd; cat /proc/self/cgroup'
	bare=$(trap '' HUP USR2; sh -c "$state")
	ran=$(trap '' HUP USR2; "$TCPKEEP" run --method preload -- sh -c "$state")
	reported=$(trap '' HUP USR2; "$TCPKEEP" run --method preload --report -- sh -c "$state" 2>/dev/null)
	diff <(echo "$bare") <(echo "$ran")
	diff <(echo "$bare") <(echo "$reported")
}

@test "a caller that ignores SIGCHLD gets the exit status all the same" {
	run sh -c 'trap "" CHLD; exec "$TCPKEEP" run --report -- sh -c "exit 6"'
	[ "$status" -eq 6 ]
}

@test "a library that is preloaded already stays, behind ours, and sees our calls" {
	in_netns env LD_PRELOAD="$SHIM_RECORDER" sh -c 'ip link set lo up 2>/dev/null
		: | "$TCPKEEP" run --method preload -- "$SHIM_PROGRAM" own nothing'
	[ "$status" -eq 0 ]
	# Two sockets by the program, one that listens: four options each for listen() and nothing else.
	[[ $stderr == *"recorder: socket 2 connect 0 setsockopt 4"* ]]
	run --separate-stderr env LD_PRELOAD="$SHIM_RECORDER" "$TCPKEEP" run --method preload -- sh -c 'echo $LD_PRELOAD'
	[ "$output" = "$SHIM_LIBRARY:$SHIM_RECORDER" ]
}

@test "below another tcpkeep run the library is not added twice, the inner settings count" {
	run --separate-stderr "$TCPKEEP" run --method preload time=5 -- "$TCPKEEP" run --method preload time=7 -- sh -c 'echo $LD_PRELOAD $TCPKEEP'
	[[ $output =~ ^"$SHIM_LIBRARY on time=7 intvl=10 probes=6"$ ]]
}

@test "libkeepalive behind us: ours hold" {
	libkeepalive=$(ls /usr/lib/libkeepalive.so.0 /usr/lib/*/libkeepalive.so.0 2>/dev/null | head -1)
	[ -n "$libkeepalive" ] || skip "no libkeepalive0"
	LD_PRELOAD=$libkeepalive KEEPIDLE=7 timer_of_client time=30
	[ "$status" -eq 0 ]
	[ "$(grep -cE 'timer:\(keepalive,(2[0-9]sec|30sec)' <<<"$output")" -eq 2 ]
}

@test "where the predecessors fail, so that our test of it means something" {
	libdontdie=$(ls /usr/lib/libdontdie.so.0 /usr/lib/*/libdontdie.so.0 2>/dev/null | head -1)
	libkeepalive=$(ls /usr/lib/libkeepalive.so.0 /usr/lib/*/libkeepalive.so.0 2>/dev/null | head -1)
	[ -n "$libdontdie" ] && [ -n "$libkeepalive" ] || skip "no libdontdie0 or libkeepalive0"
	run env LD_PRELOAD="$libdontdie" "$SHIM_EARLY_PROGRAM" early </dev/null
	[ "$status" -eq 139 ]
	in_netns env LD_PRELOAD="$libdontdie" DD_TCP_KEEPALIVE_TIME=5 "$SHIM_PROGRAM" symbols </dev/null
	[ "$status" -ne 0 ]
	[[ $stderr == *"tcp_keepalive_time == 4712"* ]]
	if [ "$(id -u)" = 0 ]; then
		in_netns sh -c 'ip link set lo up; KEEPIDLE=5 LD_PRELOAD='"$libkeepalive"' "$SHIM_PROGRAM" others </dev/null'
		[ "$status" -ne 0 ]
		[[ $stderr == *"(errno 92)"* ]]
	fi
	for scenario in early others symbols; do
		in_netns sh -c 'ip link set lo up; TCPKEEP= DD_TCP_KEEPALIVE_TIME=5 LD_PRELOAD=$SHIM_LIBRARY "$SHIM_EARLY_PROGRAM" '$scenario' </dev/null'
		[ "$status" -eq 0 ]
	done
}

@test "the library exports its hooks and nothing else" {
	command -v nm >/dev/null || skip "no nm"
	[ "$(nm -D --defined-only "$SHIM_LIBRARY" | awk '{ print $3 }' | sort | xargs)" = \
		"accept accept4 close connect dup2 dup3 listen sendmsg sendto setsockopt socket" ]
}

@test "the report counts what was set, left alone, refused" {
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --report --json -- "$SHIM_PROGRAM" connect4'
	[ "$status" -eq 0 ]
	jq -e '.schema == "tcpkeep.run-report/1" and .set == 3 and .tried == 1 and .connected == 1 and .failed == 0 and .accepted == 1
		and .listening == 1 and .left_alone == 0 and .refused == 0 and .programs == 1
		and .settings == {on: true, time_s: 60, intvl_s: 10, probes: 6} and .mode == "default"' \
		<<<"$stderr"
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --report --json -- "$SHIM_PROGRAM" own off'
	jq -e '.set == 1 and .left_alone == 1' <<<"$stderr"
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --enforce --report --json -- "$SHIM_PROGRAM" enforce tcp none'
	jq -e '.set == 3 and .withheld == 16 and .mode == "enforce"' <<<"$stderr"
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload user-timeout=2m --report --json -- "$SHIM_PROGRAM" mptcp'
	jq -e '.refused > 0 and (.errors | length) > 0' <<<"$stderr"
	run --separate-stderr "$TCPKEEP" run --method preload --report -- sh -c 'true; sh -c true; exit 3'
	[ "$status" -eq 3 ]
	[ -z "$output" ]
	[[ ${stderr_lines[0]} == *"warning: run: static, Go and setuid programs that it starts run without keepalive; "* ]]
	[ "${stderr_lines[1]}" = "tcpkeep: run: no TCP socket was seen in 2 programs; out of reach: static, Go, setuid and 32-bit programs, programs without the environment (env -i, sudo), io_uring" ]
	[ ${#stderr_lines[@]} -eq 2 ]
	run --separate-stderr "$TCPKEEP" run --method preload --report --json -- true
	jq -e '.set == 0 and .tried == 0 and .listening == 0 and .left_alone == 0 and .programs == 1' <<<"$stderr"
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --report -- "$SHIM_PROGRAM" connect4'
	[[ $stderr == *"3 sockets set (on time=60 intvl=10 probes=6): tried 1 (connected 1, failed 0), accepted 1, listening 1, inherited 0"* ]]
	[[ $stderr == *"; programs: 1"* ]]
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --enforce --report -- "$SHIM_PROGRAM" enforce tcp none'
	[[ $stderr == *"enforced: 16 calls with which the program would have changed them were withheld" ]]
}

@test "the report: what the program changed after it was set" {
	in_netns sh -c 'ip link set lo up; exec "$@"' sh "$TCPKEEP" run --method preload "${SETTINGS[@]}" --report --json -- \
		python3 -c "$CHANGES_LATER"
	[ "$status" -eq 0 ]
	jq -e '.tried == 3 and .accepted == 1 and .left_alone == 1 and .changed == 3 and .refused == 0' <<<"${stderr_lines[-1]}"
	# The text tells what to do about it, where there is something to do.
	in_netns sh -c 'ip link set lo up; exec "$@"' sh "$TCPKEEP" run --method preload "${SETTINGS[@]}" --report -- \
		python3 -c "$CHANGES_LATER"
	[[ $stderr == *"1 left alone and 3 changed later, as the program wanted (--enforce prevents it); "* ]]
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --report -- "$SHIM_PROGRAM" connect4'
	[[ $stderr == *"0 left alone and 0 changed later, as the program wanted; "* ]]
}

@test "the report: sockets that kept values of the program's own are set in part" {
	in_netns sh -c 'ip link set lo up; exec "$@"' sh "$TCPKEEP" run --method preload "${SETTINGS[@]}" --report --json -- python3 -c '
import os, socket
l = socket.create_server(("127.0.0.1", 0))
for options in ((6, 4, 3600),), ((6, 4, 61),), ((1, 9, 1), (6, 5, 5)):
    s = socket.socket()
    copy = socket.socket(fileno=os.dup(s.fileno()))  # of which the library knows nothing
    for option in options:
        (s if len(options) == 1 else copy).setsockopt(*option)
    (s if len(options) == 1 else copy).connect(l.getsockname())
    accepted = l.accept()[0]'
	tail -n 1 <<<"$stderr" | jq -e '.tried == 3 and .accepted == 3 and .in_part == 2'
}

@test "the report tells connections that came about from those that did not" {
	# Refused at once, refused later, established at once and later, given up on the way.
	in_netns sh -c 'ip link set lo up; exec "$TCPKEEP" run --method preload --report --json -- python3 -c "$0"' '
import os, select, socket
l = socket.create_server(("127.0.0.1", 0))
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
def later(address):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(address)
    select.select([], [s], [], 10)
    return s
kept = [socket.create_connection(l.getsockname()), later(l.getsockname())]
later(l.getsockname()).close()
gone = later(l.getsockname())
gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
gone.close()
for s in kept:
    if os.fork() == 0:  # a copy is not counted twice
        s.close()
        os._exit(0)
    os.wait()
for i in range(3):
    socket.socket().connect_ex(closed.getsockname())
refused = [later(closed.getsockname()) for i in range(2)]
refused[0].close()
full = socket.create_server(("127.0.0.1", 0), backlog=0)
waiting = []
for i in range(3):  # a full queue: these stay on their way
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(full.getsockname())
    waiting.append(s)
for first in lambda address: socket.socket(), later:
    late = socket.socket()
    late.bind(("127.0.0.1", 0))
    s = first(late.getsockname())
    assert s.connect_ex(late.getsockname())
    late.listen()  # refused until now
    while s.connect_ex(late.getsockname()):
        select.select([], [s], [], 10)
    waiting.append(s)'
	[ "$status" -eq 0 ]
	tail -1 <<<"$stderr" | jq -e '.tried == 14 and .failed == 5 and .connected >= 7 and .connected <= 8'
}

@test "the report counts programs of another user, in another PID namespace, behind a chroot" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	copy=$BATS_TEST_TMPDIR/build
	mkdir -p "$copy/cli" "$copy/inject" && chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$TCPKEEP" "$copy/cli/tcpkeep" && cp "$SHIM_LIBRARY" "$copy/inject"
	setpriv --reuid 65534 --clear-groups test -r "$copy/inject/$(basename "$SHIM_LIBRARY")" || skip "nobody cannot reach the build"
	cd /
	for other in "setpriv --reuid 65534 --regid 65534 --clear-groups" "unshare --pid --fork" "unshare --net" \
		"chroot --userspec=65534:65534 /"; do
		in_netns "$copy/cli/tcpkeep" run --method preload --report --json -- $other \
			bash -c 'exec 3<>/dev/tcp/127.0.0.1/1'
		tail -1 <<<"$stderr" | jq -e '.tried == 1'
	done
}

@test "the report is handed to nobody without its number" {
	in_netns "$TCPKEEP" run --method preload --report --json -- python3 -c '
import array, os, re, socket
pid, fd, nonce = map(int, re.search("report=(\\d+)/(\\d+)/(\\d+)", os.environ["TCPKEEP"]).groups())
name = f"\0tcpkeep-report-{pid}-{fd}"
def ask(message, descriptors=1):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()] * descriptors))], 0, name)
    theirs.close()
    ours.settimeout(20)
    return len(socket.recv_fds(ours, 8, 4)[1])
right = nonce.to_bytes(8, "little")
print(ask(right), ask(bytes(8)), ask(right[:7]), ask(right + b"x"), ask(right, 2), ask(b""), ask(right))
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"nothing", name)
s.sendto(right, name)'
	[ "$status" -eq 0 ]
	[ "$output" = "1 0 0 1 1 0 1" ]
	jq -e '.tried == 0' <<<"$(tail -1 <<<"$stderr")"
}

@test "a program that overwrites the report gets its exit status all the same" {
	run --separate-stderr "$TCPKEEP" run --method preload --report -- python3 -c '
import mmap, os, re, struct, sys
pid, fd = re.search("report=(\\d+)/(\\d+)/", os.environ["TCPKEEP"]).groups()
report = mmap.mmap(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR), 0)
report[:] = b"\x41" * len(report)
sys.exit(7)'
	[ "$status" -eq 7 ]
	[ "${stderr_lines[-1]}" = "tcpkeep: run: --report: a program has overwritten the counters: nothing is known" ]
}

@test "one is told as one" {
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload --enforce --report -- "$SHIM_PROGRAM" own off'
	[[ $stderr != *" 1 sockets"* && $stderr != *" 1 calls"* && $stderr != *" 1 options"* ]]
	[ "$(grep -cv '^tcpkeep: run: ' <<<"$stderr")" -eq 0 ]
}

@test "threads, forks and children count in one report" {
	in_netns sh -c 'ip link set lo up; : | "$TCPKEEP" run --method preload time=61 intvl=11 probes=7 --report --json -- \
		"$SHIM_PROGRAM" fork 61 11 7 400'
	[ "$status" -eq 0 ]
	# 8 threads of 400 turns: each 11th is left alone; 50 children of one turn.
	jq -e '.tried == 8 * (400 - 36) + 50 and .failed == .tried and .connected == 0 and .left_alone == 8 * 36' <<<"$stderr"
}

@test "a report that is not one is not written to" {
	# Another process's number, a file that is no report: the program runs, nothing is counted, nothing breaks.
	exec 7<>"$BATS_TEST_TMPDIR/file"
	head -c 4096 /dev/zero >"$BATS_TEST_TMPDIR/file"
	before=$(md5sum <"$BATS_TEST_TMPDIR/file")
	for report in "$$/7/1" "1/0/1" "999999999/3/1" "$$/9999/1" "0/0/0" "a/b/c"; do
		run env LD_PRELOAD="$SHIM_LIBRARY" TCPKEEP="time=60 report=$report" true
		[ "$status" -eq 0 ]
		[ -z "$output" ]
	done
	[ "$(md5sum <"$BATS_TEST_TMPDIR/file")" = "$before" ]
	exec 7>&-
}

@test "nothing is left behind by a report, not even after kill -9" {
	: >"$BATS_TEST_TMPDIR/out"
	"$TCPKEEP" run --report -- sh -c 'echo $$; exec sleep 100' >"$BATS_TEST_TMPDIR/out" 2>/dev/null &
	tcpkeep=$!
	tail -f -n +1 --pid=$tcpkeep "$BATS_TEST_TMPDIR/out" | grep -q -m1 .
	child=$(cat "$BATS_TEST_TMPDIR/out")
	kill -9 $tcpkeep
	timeout 10 tail -f --pid="$child" /dev/null
	[ ! -d "/proc/$child" ]
	# Others may be at work here, and leave what they like.
	[ "$(ls -A /tmp /dev/shm | grep -cE "tcpkeep.*(report|$tcpkeep)" || true)" = 0 ]
	! grep -q "@tcpkeep-report-$tcpkeep-" /proc/net/unix
}

@test "a complaint never goes into a socket" {
	# inetd's way: descriptor 2 is a connection.
	run --separate-stderr python3 - "$SHIM_LIBRARY" <<'END'
import os, socket, subprocess, sys
a, b = socket.socketpair()
env = dict(os.environ, LD_PRELOAD=sys.argv[1], KEEPIDLE="abc")
env.pop("TCPKEEP", None)
subprocess.run(["true"], stderr=b, env=env, check=True)
b.close()
sys.exit(len(a.recv(100)))
END
	[ "$status" -eq 0 ]
	run env -u TCPKEEP LD_PRELOAD="$SHIM_LIBRARY" KEEPIDLE=abc true
	[[ $output == *"KEEPIDLE: 'abc' is not a whole number from 1 to 32767; it is ignored"* ]]
}

@test "a complaint that nobody can take neither kills nor hangs" {
	run --separate-stderr python3 - "$SHIM_LIBRARY" <<'END'
import os, subprocess, sys
env = dict(os.environ, LD_PRELOAD=sys.argv[1], KEEPIDLE="abc")
env.pop("TCPKEEP", None)
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True:
        os.write(w, b"x" * 4096)
except BlockingIOError:
    pass
os.set_blocking(w, True)
print(subprocess.run(["true"], stderr=w, env=env, timeout=20).returncode)
os.close(r)
print(subprocess.run(["true"], stderr=w, env=env, timeout=20).returncode)
END
	[ "$output" = $'0\n0' ]
	run env -u TCPKEEP sh -c 'ulimit -f 0; exec env LD_PRELOAD="$SHIM_LIBRARY" KEEPIDLE=abc true 2>>"$BATS_TEST_TMPDIR/full"'
	[ "$status" -eq 0 ]
}

@test "a report that cannot be kept is said before the program starts" {
	run sh -c 'ulimit -f 0; exec "$TCPKEEP" run --report -- echo started'
	[ "$status" -eq 1 ]
	[[ $output == *"ulimit -f"* ]]
	[[ $output != *started* ]]
}

@test "the program itself meets what it inherited, once: what it chose stands when it executes itself again" {
	cat >"$BATS_TEST_TMPDIR/again.py" <<'END'
import os, socket, sys
s = socket.socket(fileno=0)
print(s.getsockopt(1, 9), flush=True)
if len(sys.argv) == 1:
    s.setsockopt(1, 9, 0)
    os.execv(sys.executable, [sys.executable, __file__, "again"])
END
	cat >"$BATS_TEST_TMPDIR/inherit.py" <<'END'
import os, socket, subprocess, sys
l = socket.create_server(("127.0.0.1", 0))
for report in [], ["--report"]:
    s = socket.create_connection(l.getsockname())
    subprocess.run([os.environ["TCPKEEP"], "run", "--method", "preload", *report, "--", sys.executable, sys.argv[1]], stdin=s)
END
	in_netns sh -c 'ip link set lo up; exec "$@"' sh python3 "$BATS_TEST_TMPDIR/inherit.py" "$BATS_TEST_TMPDIR/again.py"
	[ "$output" = $'1\n0\n1\n0' ]
}

@test "env -i takes tcpkeep away, which is said" {
	run "$TCPKEEP" run --method preload -- env -i true
	[ "$status" -eq 0 ]
	[[ $output == *"warning: run: env -i removes LD_PRELOAD"* ]]
	run "$TCPKEEP" run -- env A=b true
	[ -z "$output" ]
}

@test "a library path that LD_PRELOAD cannot express is refused" {
	mkdir -p "$BATS_TEST_TMPDIR/with blank/cli" "$BATS_TEST_TMPDIR/with blank/inject"
	cp "$TCPKEEP" "$BATS_TEST_TMPDIR/with blank/cli/"
	cp "$SHIM_LIBRARY" "$BATS_TEST_TMPDIR/with blank/inject/"
	run "$BATS_TEST_TMPDIR/with blank/cli/tcpkeep" run --method preload -- true
	[ "$status" -eq 4 ]
	[[ $output == *"LD_PRELOAD cannot express"* ]]
}

@test "dangerous settings are warned of, and the program runs" {
	run "$TCPKEEP" run probes=1 -- echo ran
	[ "$status" -eq 0 ]
	[[ $output == *"warning: probes=1"*ran ]]
}
