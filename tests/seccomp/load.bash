# SPDX-License-Identifier: MIT
# Eight threads that connect, under the seccomp method, while something happens to it: in a shell of the test's own.

# Starts them, and waits until they connect.
start_load() {
	ip link set lo up
	mkfifo "$BATS_TEST_TMPDIR/in"
	timeout 120 "$TCPKEEP" run --method seccomp --report --json -- "$SECCOMP_LOAD" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" &
	LOAD=$!
	exec 5>"$BATS_TEST_TMPDIR/in"
	tail -f -n +1 --pid=$LOAD "$BATS_TEST_TMPDIR/out" | grep -q -m1 ready
}

# Ends them; their status, and last their counts: turns, failed, unset.
end_load() {
	exec 5>&-
	wait $LOAD
	echo "status $?"
	cat "$BATS_TEST_TMPDIR/out"
}

# How many connections this network has begun.
opens() {
	awk '$1 == "Tcp:" && $6 ~ /^[0-9]+$/ { print $6 }' /proc/net/snmp
}

opens_beyond() {
	[ "$(opens)" -gt "$1" ]
}
