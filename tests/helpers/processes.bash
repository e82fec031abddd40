# SPDX-License-Identifier: MIT
# Finding the processes of the seccomp method in this network namespace, and waiting for what becomes of them.

# Processes of this network namespace with such a name.
helpers() {
	local netns p
	netns=$(readlink /proc/self/ns/net)
	for p in $(grep -slx "$1" /proc/[0-9]*/comm); do
		p=${p%/comm}
		if [ "$(readlink "$p/ns/net")" = "$netns" ] && ! grep -qs '^State:.*Z' "$p/status"; then
			echo "${p#/proc/}"
		fi
	done
}

# until_true COMMAND...: asks until it is true; no event tells of what is waited for.
until_true() {
	local deadline=$((SECONDS + 30))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || return 1
		sleep 0.02
	done
}

one_is_there() {
	[ "$(helpers "$1" | wc -l)" = 1 ]
}

none_is_there() {
	[ -z "$(helpers "$1")" ]
}

# replaced NAME PID: there is one, and it is another.
replaced() {
	one_is_there "$1" && [ "$(helpers "$1")" != "$2" ]
}

gone() {
	[ ! -d "/proc/$1" ] || grep -q '^State:.*[ZX]' "/proc/$1/status"
}

# With all its threads: one that is still to stop may take a call.
stopped() {
	[ -d "/proc/$1" ] && [ -z "$(grep -sL '^State:.*T' "/proc/$1"/task/*/status)" ]
}
