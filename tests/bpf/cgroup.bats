# SPDX-License-Identifier: MIT
# The cgroup of a run: who is in it, when it goes, who is killed meanwhile.

load common

# A program that connects when it is told to, a line each, and prints what the socket has: started by START, told by tell.
CONNECTOR='
import ctypes, os, socket, sys
if "alone" in sys.argv:
    ctypes.CDLL(None).prctl(1, 0)  # PR_SET_PDEATHSIG: it outlives its parent
print("pid", os.getpid(), flush=True)
l = socket.create_server(("127.0.0.1", 0))
kept = []
while sys.stdin.readline():
    c = socket.create_connection(l.getsockname())
    kept.append(c)
    print(*[c.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))], flush=True)
'

# start COMMAND...: inside, in the background, with its input and output as pipes.
start() {
	mkfifo "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	unshare --net sh -c 'echo $$ >"$CG/cgroup.procs"; ip link set lo up; exec "$@" 3>&- 4>&- 5>&- 6>&-' sh "$@" \
		<"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
	started=$!
	exec 5>"$BATS_TEST_TMPDIR/in" 6<"$BATS_TEST_TMPDIR/out"
}

# hear: the next line of it.
hear() {
	read -r -t 30 -u 6 heard
}

tell() {
	echo >&5
	hear
}

tidiers() {
	grep -slx tcpkeep-tidy $(sed 's|.*|/proc/&/comm|' "$CG/cgroup.procs") | grep -o '[0-9]*'
}

@test "a program that goes on keeps the cgroups that it made, also when tcpkeep ends before it" {
	cat >"$BATS_TEST_TMPDIR/daemon" <<'END'
setsid bash -c 'mkdir "$1/payload" && echo $$ >"$1/payload/cgroup.procs" && echo made >"$2/made" && until [ -e "$2/end" ]; do read -t 0.05 -r _ <>"$2/never" || :; done' \
	_ "$CG2$(sed -n s/^0:://p /proc/self/cgroup)" "$1" </dev/null >/dev/null 2>&1 &
until [ -e "$1/made" ]; do read -t 0.05 -r _ <>"$1/never" || :; done
END
	mkfifo "$BATS_TEST_TMPDIR/never"
	CG2=$CGROUP2 in_place "$TCPKEEP" run --method bpf --report -- bash "$BATS_TEST_TMPDIR/daemon" "$BATS_TEST_TMPDIR" 2>"$BATS_TEST_TMPDIR/err"
	# It counts, also beneath.
	grep -qxF "tcpkeep: run: 1 process goes on: what it does from now on is set, and in no report" "$BATS_TEST_TMPDIR/err"
	[ "$(find "$CG" -type d -name payload | wc -l)" -eq 1 ]
	echo >"$BATS_TEST_TMPDIR/end"
	until_true no_runs
}

@test "what is inherited cannot be enforced: said, and another method does it" {
	cat >"$BATS_TEST_TMPDIR/inherit.py" <<'END'
import os, socket, subprocess, sys
l = socket.create_server(("127.0.0.1", 0))
sys.exit(subprocess.run([os.environ["TCPKEEP"], "run"] + sys.argv[1:] + ["time=61", "--enforce", "--", sys.executable, "-c",
    "import socket; l = socket.socket(fileno=0); l.setsockopt(1, 9, 0); l.setsockopt(6, 4, 555); print(l.getsockopt(1, 9), l.getsockopt(6, 4))"],
    stdin=l).returncode)
END
	inside python3 "$BATS_TEST_TMPDIR/inherit.py" --method bpf
	[ "$status" -eq 4 ]
	[[ $stderr == *"descriptor 0 is a TCP socket that was made outside of its cgroup, where nothing can be enforced"* ]]
	inside python3 "$BATS_TEST_TMPDIR/inherit.py" -v
	[ "$status" -eq 0 ]
	[ "$output" = "1 61" ]
}

@test "the first instruction is inside, the helper is not; the cgroup is gone with the program" {
	inside "$TCPKEEP" run --method bpf -- sed -n 's/^0:://p' /proc/self/cgroup
	[[ $output == */tcpkeep-bats-*/tcpkeep-run-* ]]
	until_true no_runs
	inside "$TCPKEEP" run --method bpf --report -- sed -n 's/^0:://p' /proc/self/cgroup
	[[ $output == */tcpkeep-bats-*/tcpkeep-run-* ]]
	no_runs
}

@test "the program is tcpkeep's own process: its number, its parent" {
	run in_place sh -c '"$TCPKEEP" run --method bpf -- sh -c "echo \$\$ \$PPID" & echo "$! $$"; wait'
	[ "$(sort -u <<<"$output" | wc -l)" -eq 1 ]
	until_true no_runs
}

@test "a child that lives on stays covered; the cgroup goes with it" {
	start sh -c '"$TCPKEEP" run --method bpf time=61 intvl=11 probes=7 -- sh -c "python3 -c \"\$1\" <&7 & exec true" sh "$1" 7<&0; echo returned; exec sleep 1000' sh "$CONNECTOR"
	hear
	first=$heard
	hear
	[[ "$first $heard" == *pid* && "$first $heard" == *returned* ]]
	[ "$(runs | wc -l)" -eq 1 ]
	tell
	[ "$heard" = "$OURS" ]
	exec 5>&-
	until_true no_runs
	kill "$started"
}

@test "kill -9 of tcpkeep, which reports: as the program's own end; what outlives it stays covered" {
	start "$TCPKEEP" run --method bpf --report "${SETTINGS[@]}" -- python3 -c "$CONNECTOR"
	hear
	kill -9 "$started"
	until_true gone "${heard#pid }"
	until_true no_runs
	exec 5>&- 6>&-
	rm "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"

	start "$TCPKEEP" run --method bpf --report "${SETTINGS[@]}" -- python3 -c "$CONNECTOR" alone
	hear
	program=${heard#pid }
	tell
	[ "$heard" = "$OURS" ]
	kill -9 "$started"
	until_true gone "$started"
	tell
	[ "$heard" = "$OURS" ]
	[ "$(runs | wc -l)" -eq 1 ]
	exec 5>&-
	until_true gone "$program"
	until_true no_runs
}

@test "kill -9 of the program: the cgroup goes" {
	start "$TCPKEEP" run --method bpf -- python3 -c "$CONNECTOR"
	hear
	[ "$heard" = "pid $started" ]
	[ "$(runs | wc -l)" -eq 1 ]
	kill -9 "$started"
	until_true no_runs
}

@test "kill -9 of the helper: still covered; the next run clears what is left" {
	start "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- python3 -c "$CONNECTOR"
	hear
	[ "$(tidiers | wc -w)" -eq 1 ]
	kill -9 $(tidiers)
	tell
	[ "$heard" = "$OURS" ]
	left=$(runs)
	# And one that the program made.
	mkdir "$left/beneath"
	in_place "$TCPKEEP" run --method bpf --report -- true 2>/dev/null
	# Somebody is in it.
	[ "$(runs)" = "$left" ] && [ -d "$left/beneath" ]
	exec 5>&-
	until_true gone "$started"
	[ "$(runs)" = "$left" ]
	in_place "$TCPKEEP" run --method bpf --report -- true 2>/dev/null
	no_runs
}

@test "killed while it starts, at any time: nothing stays after the next run" {
	mkfifo "$BATS_TEST_TMPDIR/never"
	exec 7<>"$BATS_TEST_TMPDIR/never"
	for ms in 1 2 3 4 5 6 7 8 9 12; do
		in_place "$TCPKEEP" run --method bpf -- true 7>&- &
		pid=$!
		read -r -t "$(printf 0.%03d $ms)" -u 7 || true
		kill -9 $pid 2>/dev/null || true
		wait $pid || true
	done
	exec 7>&-
	in_place "$TCPKEEP" run --method bpf -- true
	until_true no_runs
}

@test "many at once, in one cgroup, each with its own" {
	for i in $(seq 20); do
		in_place "$TCPKEEP" run --method bpf time=$((60 + i)) -- sed -n 's/^0:://p' /proc/self/cgroup >"$BATS_TEST_TMPDIR/$i" &
	done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/* | sort -u | wc -l)" -eq 20 ]
	until_true no_runs
}

@test "cgroups that the program made and left beneath its own go as well" {
	run in_place "$TCPKEEP" run --method bpf -- sh -c 'd=$1$(sed -n "s/^0:://p" /proc/self/cgroup); mkdir -p $d/a/b $d/c; echo $$ >$d/a/b/cgroup.procs; exec true' sh "$CGROUP2"
	[ "$status" -eq 0 ]
	until_true no_runs
}

@test "a program that moves elsewhere leaves the run: what it opens then is missed" {
	mkdir "$CG/elsewhere"
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- sh -c '"$1" connect4; echo $$ >"$CG/elsewhere/cgroup.procs"; exec "$1" connect4' sh "$SECCOMP_PROGRAM"
	rmdir "$CG/elsewhere"
	[ "$output" = $'client 1 61 11 7\naccepted 1 61 11 7\nclient 0 7200 75 9\naccepted 0 7200 75 9' ]
}

@test "one in another: the inner settings count, both cgroups go" {
	inside "$TCPKEEP" run --method bpf time=5 intvl=4 probes=3 -- "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- "$SECCOMP_PROGRAM" connect4
	all_are "$OURS"
	until_true no_runs
	for inner in preload seccomp; do
		inside "$TCPKEEP" run --method bpf time=5 intvl=4 probes=3 -- "$TCPKEEP" run --method $inner "${SETTINGS[@]}" -- \
			python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
print("c", *[c.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))])'
		all_are "$OURS"
		# What a filter has set looks like the program's own by then.
		[ $inner = preload ] || continue
		inside "$TCPKEEP" run --method $inner time=5 intvl=4 probes=3 -- "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- \
			python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
print("c", *[c.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))])'
		all_are "$OURS"
	done
}

@test "tcpkeep's processes end with the program" {
	in_place "$TCPKEEP" run --method bpf -- true
	nobody_inside() { [ -z "$(cat "$CG/cgroup.procs")" ]; }
	until_true nobody_inside
}

@test "a policy of the cgroup above stays in force beside it" {
	inside sh -c '"$TCPKEEP" run --method bpf time=5 --enforce -- "$TCPKEEP" run --method bpf time=61 -- "$SECCOMP_PROGRAM" connect4'
	[ "$status" -eq 0 ]
	[ "$(awk '{ print $2, $3 }' <<<"$output" | sort -u)" = "1 5" ]
}
