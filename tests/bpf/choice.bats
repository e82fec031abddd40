# SPDX-License-Identifier: MIT
# When bpf is chosen, and what is said and done where it cannot be had.

load common

chosen() {
	sed -n 's/^tcpkeep: run: method \([a-z]*\).*/\1/p' <<<"$stderr"
}

# falls_back WORDS COMMAND...: forced it fails with these words, by itself another method is taken and says them,
# without the advice that follows the semicolon.
falls_back() {
	local words=$1
	shift
	run --separate-stderr "$@" "$TCPKEEP" run --method bpf -- echo started
	[ "$status" -eq 4 ]
	[ -z "$output" ]
	[[ $stderr == "tcpkeep: run: method bpf: "*"$words"* ]]
	run --separate-stderr "$@" "$TCPKEEP" run -v -- echo started
	[ "$status" -eq 0 ]
	[ "$output" = started ]
	[ "$(chosen)" != bpf ]
	[[ $stderr == *"tcpkeep: run: not method bpf: "*"${words%%;*}"* ]]
	[[ $stderr != *"not method bpf: "*"; "* ]]
	run --separate-stderr "$@" "$TCPKEEP" run -- echo started
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
}

@test "with the privilege bpf comes first, whatever the program" {
	for program in true "$SECCOMP_PROGRAM" "sh -c true"; do
		run --separate-stderr in_place "$TCPKEEP" run -v -- $program
		[ "$(chosen)" = bpf ]
		[[ $stderr == *"it misses least, and costs nothing for each call"* ]]
		[[ $stderr == *"out of its reach: sockets made outside of its cgroup"* ]]
	done
}

@test "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN do" {
	run --separate-stderr in_place setpriv --bounding-set -all,+bpf,+perfmon,+net_admin "$TCPKEEP" run -v -- echo started
	[ "$output" = started ]
	[ "$(chosen)" = bpf ]
}

@test "no privilege" {
	without() { in_place setpriv --bounding-set -net_admin "$@"; }
	falls_back "it takes root" without
	without() { in_place setpriv --bounding-set -bpf,-sys_admin "$@"; }
	falls_back "it takes root" without
}

@test "nobody" {
	local copy=$BATS_TEST_TMPDIR/bin
	mkdir -p "$copy/cli" "$copy/inject" && chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$TCPKEEP" "$copy/cli/tcpkeep"
	cp "$(dirname "$TCPKEEP")/../inject/libtcpkeep-preload.so" "$copy/inject/"
	TCPKEEP=$copy/cli/tcpkeep
	nobody() { in_place setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	nobody "$TCPKEEP" --version >/dev/null || skip "nobody cannot reach the build"
	falls_back "it takes root" nobody
}

@test "a user namespace: root in name alone" {
	userns() { in_place unshare --user --map-root-user "$@"; }
	userns true || skip "no user namespaces"
	falls_back "" userns
	until_true no_runs
}

@test "cgroup.max.descendants and cgroup.max.depth" {
	echo 0 >"$CG/cgroup.max.descendants"
	falls_back "its cgroup.max.descendants or cgroup.max.depth, or one above it, is reached; raise it" in_place
	echo max >"$CG/cgroup.max.descendants"
	echo 0 >"$CG/cgroup.max.depth"
	falls_back "cgroup.max.depth" in_place
}

@test "cgroup2 read-only, not mounted" {
	readonly_cgroup() { in_place unshare --mount sh -c 'mount -o remount,bind,ro "$0" && exec "$@"' "$CGROUP2" "$@"; }
	falls_back "cgroup2 is mounted read-only here" readonly_cgroup
	unmounted() { in_place unshare --mount sh -c 'umount "$0" && exec "$@"' "$CGROUP2" "$@"; }
	falls_back "cgroup2 is not mounted here" unmounted
}

@test "a cgroup namespace: below its root; outside of it: said" {
	run --separate-stderr in_place unshare --cgroup --mount sh -c 'umount "$0" && mount -t cgroup2 none "$0" && exec "$@"' "$CGROUP2" \
		"$TCPKEEP" run --method bpf -- sed -n 's/^0:://p' /proc/self/cgroup
	[ "$status" -eq 0 ]
	[[ $output == /tcpkeep-run-* ]]
	until_true no_runs
	# The mount of outside, which shows all.
	run --separate-stderr in_place unshare --cgroup "$TCPKEEP" run -v -- echo started
	[ "$output" = started ]
}

@test "a bind mount of a part of the tree" {
	part() { in_place unshare --mount sh -c 'mount --bind "$CG" "$0" && exec "$@"' "$CGROUP2" "$@"; }
	run --separate-stderr part "$TCPKEEP" run --method bpf -- sed -n 's/^0:://p' /proc/self/cgroup
	[ "$status" -eq 0 ]
	[[ $output == */tcpkeep-run-* ]]
	until_true no_runs
}

@test "a threaded cgroup takes no processes" {
	mkdir "$CG/threaded"
	echo threaded >"$CG/threaded/cgroup.type"
	in_threaded() { sh -c 'echo $$ >"$CG/cgroup.procs"; echo $$ >"$CG/threaded/cgroup.threads"; exec "$@"' sh "$@"; }
	if in_threaded true; then
		falls_back "it is a threaded cgroup" in_threaded
	fi
	rmdir "$CG/threaded"
}
