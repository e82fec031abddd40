# SPDX-License-Identifier: MIT
# A process that holds sockets and does with them as it is told: set-holder.py, for set and policy.
# shellcheck disable=SC2034 # the test files use them

# start_holder MANY COMMAND...: under COMMAND, with MANY more connections to port 5435. FDS are its sockets.
start_holder() {
	local many=$1 orders=$BATS_TEST_TMPDIR/orders answers=$BATS_TEST_TMPDIR/answers
	shift
	mkfifo "$orders" "$answers"
	"$@" "${PYTHON3:-python3}" "$SOURCE/tests/cli/set-holder.py" "$orders" "$answers" "$many" 3>&- &
	HOLDER=$!
	# Both ways: a holder that could not start is an answer that does not come.
	exec 8<>"$orders" 9<>"$answers"
	read -t 20 -r FDS <&9
}

ask() {
	local answer
	echo "$*" >&8
	read -t 20 -r answer <&9
	echo "$answer"
}

# expect NAME VALUES...
expect() {
	local name=$1 answer
	shift
	answer=$(ask "$name")
	[ "$answer" = "$*" ] || {
		echo "$name has '$answer', not '$*'"
		return 1
	}
}
