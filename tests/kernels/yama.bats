# SPDX-License-Identifier: MIT
# The seccomp method where Yama keeps processes from looking into others: Ubuntu's default is 1. What comes of that is
# tested by tests/seccomp/unseen.bats. Only for the machine that `boot` makes: it sets kernel.yama.ptrace_scope.

load ../helpers/netns
load ../helpers/methods

METHOD=seccomp

setup_file() {
	[ -d /proc/sys/kernel/yama ] || skip "no Yama in this kernel"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	cp "$TCPKEEP" "$BATS_FILE_TMPDIR/tcpkeep"
	cp "$SECCOMP_PROGRAM" "$BATS_FILE_TMPDIR/program"
	export TCPKEEP=$BATS_FILE_TMPDIR/tcpkeep SECCOMP_PROGRAM=$BATS_FILE_TMPDIR/program
}

scope() {
	echo "$1" >/proc/sys/kernel/yama/ptrace_scope
}

# inside COMMAND...: in a network of its own, without privilege.
inside() {
	in_netns sh -c 'ip link set lo up && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" "$@" </dev/null 3>&- 4>&-' "$@"
}

# below_shell SCENARIO
below_shell() {
	inside "$TCPKEEP" run --method seccomp --report "${SETTINGS[@]}" -- sh -c '"$0" "$@"; exit $?' "$SECCOMP_PROGRAM" "$@"
}

@test "1: the program itself" {
	scope 1
	for scenario in connect4 connect6 nonblocking fastopen; do
		under --report -- "$scenario"
		all_are "$OURS"
		[[ $stderr != *missed* ]]
	done
	under --enforce -- enforce
	all_are "$OURS"
}

@test "1: what it starts: children, a static program below a shell, python" {
	scope 1
	under --report -- children
	all_are "$OURS"
	[ "$(wc -l <<<"$output")" -ge 8 ]
	[[ $stderr == *"8 sockets set (on time=61 intvl=11 probes=7): tried 4, listening 4, inherited 0"* ]]
	[[ $stderr != *missed* ]]
	for scenario in connect4 connect6 nonblocking mptcp; do
		below_shell "$scenario"
		[[ $scenario == mptcp && $output == "client 1 61 "* ]] || all_are "$OURS"
		[[ $stderr != *missed* ]]
	done
}

@test "1: a user namespace, which its maker may look into" {
	scope 1
	below_shell userns
	all_are "$OURS"
	[[ $stderr != *missed* ]]
}

@test "1: supervisor and guardian die and are replaced: the program and what it starts" {
	scope 1
	for dies in tcpkeep-answer tcpkeep-guard; do
		# The right to look into the program was given to the first guardian alone.
		inside "$TCPKEEP" run --method seccomp "${SETTINGS[@]}" -- python3 -c '
import glob, os, signal, socket, subprocess, sys
def ours(name):
    found = set()
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            if open(path).read() == name + "\n": found.add(int(path.split("/")[2]))
        except OSError: pass
    return found
def show():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    for s in client, server.accept()[0]:
        print("python", *(s.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))), flush=True)
    subprocess.run([sys.argv[1], "connect4"], check=True)
show()
old = ours(sys.argv[2])
assert len(old) == 1
os.kill(min(old), signal.SIGKILL)
while not ours(sys.argv[2]) - old: pass
show()' "$SECCOMP_PROGRAM" "$dies"
		all_are "$OURS"
		[ "$(wc -l <<<"$output")" -eq 8 ]
	done
}

@test "1 with CAP_SYS_PTRACE: as without Yama" {
	scope 1
	in_netns sh -c 'ip link set lo up && exec "$0" "$@" </dev/null 3>&- 4>&-' "$TCPKEEP" run --method seccomp --report "${SETTINGS[@]}" -- \
		"$SECCOMP_PROGRAM" netns
	all_are "$OURS"
}

@test "2: the program, too, and nothing can be enforced" {
	scope 2
	under --report -- children
	all_are "$OURS"
	[[ $stderr == *"8 sockets set "* && $stderr != *missed* ]]
	inside "$TCPKEEP" run -- "$SECCOMP_PROGRAM" connect4
	[ "$status" -eq 0 ]
	under --enforce -- connect4
	[ "$status" -eq 4 ]
	[[ $stderr == *"kernel.yama.ptrace_scope"* ]]
	scope 1
}
