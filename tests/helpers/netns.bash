# SPDX-License-Identifier: MIT
# A network namespace for one command.

bats_require_minimum_version 1.5.0

# Runs a command in a network namespace of its own (a user namespace as well when not root).
in_netns() {
	if [ "$(id -u)" = 0 ]; then
		run --separate-stderr unshare --net -- "$@"
	else
		run --separate-stderr unshare --user --map-root-user --net -- "$@"
	fi
}
