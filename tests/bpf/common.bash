# SPDX-License-Identifier: MIT
# Shared by the tests of the bpf method: each test has a cgroup of its own, and tcpkeep runs inside it.
# shellcheck disable=SC2034 # helpers/methods uses it

load ../helpers/netns
load ../helpers/methods
load ../helpers/processes

METHOD=bpf
# The cgroups of a program that the method leaves as they are: those of the older hierarchies.
CGROUPS="grep -v ^0:: /proc/self/cgroup"

# What every method of this kernel lacks is a skip, once: who runs the tests may be anybody.
setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	CGROUP2=$(awk '{ for (i = 7; $i != "-"; i++) {} if ($(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
	[ -n "$CGROUP2" ] || skip "no cgroup2"
	CG=$CGROUP2$(sed -n 's/^0:://p' /proc/self/cgroup)
	CG=${CG%/}/tcpkeep-bats-$$-$BATS_TEST_NUMBER-$RANDOM
	mkdir "$CG" || skip "no cgroup can be made here"
	export CG
}

# Nothing of ours is left: the last word of each test.
teardown() {
	[ -d "$CG" ] || return 0
	until_true rmdir "$CG" || {
		find "$CG" -type d
		return 1
	}
}

# inside COMMAND...: in the test's cgroup and in a network of its own.
inside() {
	run --separate-stderr unshare --net sh -c 'echo $$ >"$CG/cgroup.procs"; ip link set lo up; exec "$@" </dev/null 3>&- 4>&-' sh "$@"
}

# in_place COMMAND...: the same in the network that is there.
in_place() {
	sh -c 'echo $$ >"$CG/cgroup.procs"; exec "$@" 3>&- 4>&-' sh "$@"
}

# The cgroups of runs, in the test's.
runs() {
	find "$CG" -mindepth 1 -type d -name 'tcpkeep-run-*'
}

no_runs() {
	[ -z "$(runs)" ]
}
