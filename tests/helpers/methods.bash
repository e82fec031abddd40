# SPDX-License-Identifier: MIT
# A static program under a method of `tcpkeep run`: METHOD, in the room that inside() makes.
# shellcheck disable=SC2034,SC2154 # the test files use them; run

SETTINGS=(time=61 intvl=11 probes=7)
OURS="1 61 11 7"
NONE="0 7200 75 9"

# under OPTIONS... -- SCENARIO
under() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	inside "$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" "${options[@]}" -- "$SECCOMP_PROGRAM" "$@"
}

# All sockets that it shows have these values.
all_are() {
	[ "$status" -eq 0 ]
	[ -n "$output" ]
	[ "$(cut -d' ' -f2- <<<"$output" | sort -u)" = "$1" ]
}
