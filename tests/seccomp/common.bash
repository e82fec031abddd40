# SPDX-License-Identifier: MIT
# Shared by the tests of the seccomp method.
# shellcheck disable=SC2034 # the test files use them

load ../cli/common

SETTINGS=(time=61 intvl=11 probes=7)
OURS="1 61 11 7"
NONE="0 7200 75 9"

# A static program under the filter, in a network of its own: under OPTIONS... -- SCENARIO
under() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	in_netns sh -c 'ip link set lo up && exec "$0" "$@" </dev/null 3>&- 4>&-' "$TCPKEEP" run --method seccomp \
		"${SETTINGS[@]}" "${options[@]}" -- "$SECCOMP_PROGRAM" "$@"
}

# All sockets that it shows have these values.
all_are() {
	[ "$status" -eq 0 ]
	[ -n "$output" ]
	[ "$(cut -d' ' -f2- <<<"$output" | sort -u)" = "$1" ]
}
