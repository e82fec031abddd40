# SPDX-License-Identifier: MIT
# Shared by the tests of the seccomp method.
# shellcheck disable=SC2034 # helpers/methods uses it

load ../helpers/netns
load ../helpers/methods

METHOD=seccomp

# inside COMMAND...: in a network of its own.
inside() {
	in_netns sh -c 'ip link set lo up && exec "$0" "$@" </dev/null 3>&- 4>&-' "$@"
}
