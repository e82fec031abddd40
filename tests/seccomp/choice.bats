# SPDX-License-Identifier: MIT
# Which method is chosen where the kernel cannot do it (bpf: tests/bpf), why, and what is said about it.

load common

# Without what bpf takes; root can do all else.
without_bpf() {
	if [ "$(id -u)" = 0 ]; then setpriv --bounding-set -net_admin "$@"; else "$@"; fi
}

# chosen COMMAND...: the method, as --verbose tells it.
chosen() {
	run --separate-stderr without_bpf "$TCPKEEP" run -v -- "$@"
	sed -n 's/^tcpkeep: run: method \([a-z]*\).*/\1/p' <<<"$stderr"
}

@test "a dynamically linked program: preload" {
	[ "$(chosen true)" = preload ]
	[ "$(chosen env A=b true)" = preload ]
	[ "$(chosen nice -n 5 true)" = preload ]
	[ "$(chosen timeout -k 1 --signal=KILL 5 env A=b nohup true)" = preload ]
}

@test "a static program: seccomp, behind wrappers and scripts, too" {
	[ "$(chosen "$SECCOMP_PROGRAM" clean </dev/null)" = seccomp ]
	[ "$(chosen env A=b nice "$SECCOMP_PROGRAM" clean </dev/null)" = seccomp ]
	printf '#!%s clean\n' "$SECCOMP_PROGRAM" >"$BATS_TEST_TMPDIR/script"
	chmod +x "$BATS_TEST_TMPDIR/script"
	[ "$(chosen "$BATS_TEST_TMPDIR/script" </dev/null)" = seccomp ]
}

@test "a Go program, a loader that nobody knows: seccomp; musl: preload" {
	if command -v go >/dev/null; then
		[ "$(chosen go version)" = seccomp ]
	fi
	if command -v musl-gcc >/dev/null; then
		echo 'int main(void) { return 0; }' >"$BATS_TEST_TMPDIR/a.c"
		musl-gcc -o "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/a.c"
		[ "$(chosen "$BATS_TEST_TMPDIR/a")" = preload ]
	fi
	echo 'int main(void) { return 0; }' >"$BATS_TEST_TMPDIR/b.c"
	cc -Wl,--dynamic-linker=/lib/ld-odd.so.1 -o "$BATS_TEST_TMPDIR/b" "$BATS_TEST_TMPDIR/b.c"
	[ "$(chosen "$BATS_TEST_TMPDIR/b")" = seccomp ]
}

@test "a shell may start anything: seccomp for root, preload where sudo would lose its powers" {
	if [ "$(id -u)" != 0 ]; then
		[ "$(chosen sh -c true)" = preload ]
		return
	fi
	[ "$(chosen sh -c true)" = seccomp ]
	[ "$(chosen env -i sh -c true)" = seccomp ]
	run --separate-stderr setpriv --bounding-set -sys_admin,-net_admin --inh-caps -sys_admin "$TCPKEEP" run -v -- sh -c true
	[[ $stderr == *"method preload"* ]]
	# What is missed by that is said before the start.
	[[ $stderr == *"warning: run: static, Go and setuid programs that it starts run without keepalive; --method seccomp reaches the static and Go ones, root all"* ]]
	# With -v it is not said that -v tells more.
	[[ $stderr != *"-v tells"* ]]
	run setpriv --bounding-set -sys_admin,-net_admin --inh-caps -sys_admin "$TCPKEEP" run -- sh -c true
	[[ $output == *"--method seccomp reaches"*"(-v tells why it was not chosen)" ]]
	# Also where the user has chosen, of whom -v would tell nothing more.
	run "$TCPKEEP" run --method preload -- sh -c true
	[[ $output == *"warning: run: static, Go and setuid programs that it starts run without keepalive; "*", root all" ]]
	# What takes the environment away leaves nothing for preload to do.
	for words in "env -i" "env -" "env -u LD_PRELOAD" "env LD_PRELOAD="; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr setpriv --bounding-set -sys_admin,-net_admin --inh-caps -sys_admin "$TCPKEEP" run -v -- $words sh -c true
		[[ $stderr == *"method seccomp: this program takes the environment away"* ]]
	done
	# Once no_new_privs is there, nothing is lost.
	run --separate-stderr setpriv --no-new-privs --bounding-set -sys_admin,-net_admin "$TCPKEEP" run -v -- sh -c true
	[[ $stderr == *"method seccomp"* ]]
}

@test "without CAP_SYS_ADMIN the loss of setuid is said before the start" {
	[ "$(id -u)" = 0 ] || skip "needs root, to give it up"
	run setpriv --bounding-set -sys_admin,-net_admin "$TCPKEEP" run --method seccomp -- sh -c 'grep NoNewPrivs /proc/self/status'
	[[ "${lines[0]}" == "tcpkeep: warning: run: setuid programs that it starts"* ]]
	[[ $output == *$'NoNewPrivs:\t1'* ]]
	# Once, whether the program may start such programs or -v asks.
	for command in "sh -c true" true; do
		run --separate-stderr setpriv --bounding-set -sys_admin,-net_admin "$TCPKEEP" run -v --method seccomp -- $command
		[ "$status" -eq 0 ]
		[ "$(grep -c no_new_privs <<<"$stderr")" -eq 1 ]
	done
	run "$TCPKEEP" run --method seccomp -- sh -c 'grep NoNewPrivs /proc/self/status'
	[ "$output" = $'NoNewPrivs:\t0' ]
}

@test "a setuid program: refused where it would lose its powers, reached by root" {
	[ "$(id -u)" = 0 ] || skip "needs root, to make one"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$SECCOMP_PROGRAM" "$BATS_TEST_TMPDIR/setuid"
	chown 65534 "$BATS_TEST_TMPDIR/setuid"
	chmod 4755 "$BATS_TEST_TMPDIR/setuid"
	in_netns sh -c 'ip link set lo up && exec setpriv --bounding-set -net_admin "$TCPKEEP" run time=61 intvl=11 probes=7 -- "$BATS_TEST_TMPDIR/setuid" connect4'
	all_are "$OURS"
	run setpriv --bounding-set -sys_admin,-net_admin "$TCPKEEP" run -- "$BATS_TEST_TMPDIR/setuid" connect4
	[ "$status" -eq 4 ]
	[[ $output == *"method preload: "*"gains privileges"* ]]
	[[ $output == *"method seccomp: "*"no_new_privs"* ]]
}

@test "a supervisor is there already: said, and another method taken" {
	run "$TCPKEEP" run --method seccomp -- "$TCPKEEP" run --method seccomp -- echo started
	[ "$status" -eq 4 ]
	[[ $output == *"is in charge of this process already"* && $output != *started* ]]
	run without_bpf "$TCPKEEP" run --method seccomp -- "$TCPKEEP" run -v -- true
	[ "$status" -eq 0 ]
	[[ $output == *"method preload"* ]]
	run without_bpf "$TCPKEEP" run --method seccomp -- "$TCPKEEP" run -- "$SECCOMP_PROGRAM" clean
	[ "$status" -eq 4 ]
}

# without_seccomp ERRNO COMMAND...
without_seccomp() {
	refusing "$1" seccomp 0 "${@:2}"
}

@test "a kernel that cannot keep signals waiting (before 5.19): the filter is set without it" {
	command -v python3 >/dev/null || skip "no python3"
	wait_killable=0x20 new_listener=0x8
	run refusing 22 seccomp $wait_killable true # the filter itself does no harm
	[ "$status" -eq 0 ]
	in_netns sh -c 'ip link set lo up && exec "$@"' sh \
		bash -c "$(declare -f refusing); refusing 22 seccomp $wait_killable \"\$TCPKEEP\" run --method seccomp time=61 intvl=11 probes=7 -- \"\$SECCOMP_PROGRAM\" connect4 </dev/null"
	all_are "$OURS"
	run refusing 22 seccomp $new_listener "$TCPKEEP" run --method seccomp -- echo started
	[ "$status" -eq 4 ]
	[[ $output == *"no seccomp user notification"* && $output != *started* ]]
}

without_bpf_and_seccomp() {
	if [ "$(id -u)" = 0 ]; then
		without_seccomp "$1" setpriv --bounding-set -net_admin "${@:2}"
	else
		without_seccomp "$@"
	fi
}

@test "a kernel without seccomp notification, a sandbox that forbids it: said, and another method taken" {
	command -v python3 >/dev/null || skip "no python3"
	for error in 38 22 1; do # ENOSYS, EINVAL, EPERM
		run without_seccomp $error "$TCPKEEP" run --method seccomp -- echo started
		[ "$status" -eq 4 ]
		[[ $output == "tcpkeep: run: method seccomp: "*sandbox* && $output != *started* ]]
		run --separate-stderr without_bpf_and_seccomp $error "$TCPKEEP" run -v -- echo started
		[ "$status" -eq 0 ]
		[ "$output" = started ]
		[[ $stderr == *"not method seccomp: "*sandbox* ]]
		# Nothing is left that reaches a static program: it is not started.
		run --separate-stderr without_bpf_and_seccomp $error "$TCPKEEP" run -- "$SECCOMP_PROGRAM" clean
		[ "$status" -eq 4 ]
		[[ $stderr == *"method preload: "*"method seccomp: "* || $stderr == *"method seccomp: "*"method preload: "* ]]
	done
}

@test "below another tcpkeep run the inner settings count" {
	for inner in preload seccomp; do
		for outer in preload seccomp; do
			[ $inner$outer = seccompseccomp ] && continue
			in_netns sh -c "ip link set lo up; exec \"\$TCPKEEP\" run --method $outer time=5 intvl=4 probes=3 -- \
				\"\$TCPKEEP\" run --method $inner time=61 intvl=11 probes=7 -- python3 -c '
import socket
l = socket.create_server((\"127.0.0.1\", 0))
c = socket.create_connection(l.getsockname())
print(*[c.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))])'"
			[ "$output" = "$OURS" ]
		done
	done
}

@test "a tree of everything: bash, python3, curl, a static program, Go" {
	[ "$(id -u)" = 0 ] || skip "as root auto takes seccomp"
	in_netns sh -c 'ip link set lo up; exec setpriv --bounding-set -net_admin "$TCPKEEP" run time=61 intvl=11 probes=7 --report -- bash -c "
		\"$SECCOMP_PROGRAM\" connect4
		python3 -c \"import socket; l = socket.create_server((\\\"127.0.0.1\\\", 0)); socket.create_connection(l.getsockname())\"
		exec 3<>/dev/tcp/127.0.0.1/1
		curl -s http://127.0.0.1:1/
		true"'
	[[ $stderr == *"7 sockets set"* || $stderr == *"6 sockets set"* ]]
	[[ $output == $'client 1 61 11 7\naccepted 1 61 11 7' ]]
}

@test "nothing was seen: one line" {
	run --separate-stderr "$TCPKEEP" run --method seccomp --report -- true
	[ "$stderr" = "tcpkeep: run: no TCP socket was seen" ]
}

@test "io_uring is told as missed" {
	run --separate-stderr "$TCPKEEP" run --method seccomp --report -- python3 -c '
import ctypes
ctypes.CDLL(None).syscall(425, 8, 0)'
	[[ $stderr == *"missed: 1 io_uring instance,"* ]]
}
