# SPDX-License-Identifier: MIT
# Shared by the tests of `tcpkeep set`: a holder of sockets in a network of its own, and a journal of the test's.
# shellcheck disable=SC2034 # those that load it use them

load common
load holder

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root: other processes' sockets in another network namespace"
	command -v python3 >/dev/null || skip "needs python3"
	PYTHON3=$(python3 -c 'import sys; print(sys.executable)')
	export PYTHON3
}

setup() {
	STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	export STATE_DIRECTORY
}

teardown() {
	if [ -n "${HOLDER:-}" ]; then
		# unshare --fork ignores TERM.
		kill -KILL "$HOLDER" 2>/dev/null || true
		wait "$HOLDER" 2>/dev/null || true
	fi
}

# hold [MANY] [COMMAND...]: the holder in a network of its own.
hold() {
	local many=${1:-0}
	shift || true
	start_holder "$many" unshare --net -- "$@"
}

inside() {
	nsenter --net="/proc/$HOLDER/ns/net" "$@"
}

set_() {
	run --separate-stderr nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set "$@"
}

among_few() {
	nsenter --net="/proc/$HOLDER/ns/net" --mount="/proc/$HOLDER/ns/mnt" \
		--pid="/proc/$HOLDER/ns/pid_for_children" "$@"
}

probes_sent() {
	inside cat /proc/net/netstat | awk '/^TcpExt:/ {
		if (!n) n = split($0, names)
		else for (i = 1; i <= n; i++) if (names[i] == "TCPKeepAlive") print $i
	}'
}

THREE="time=60 intvl=10 probes=6"
