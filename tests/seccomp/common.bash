# SPDX-License-Identifier: MIT
# Shared by the tests of the seccomp method.
# shellcheck disable=SC2034 # helpers/methods uses it

load ../helpers/netns
load ../helpers/methods

METHOD=seccomp
# The cgroups of a program: all are as they were.
CGROUPS="cat /proc/self/cgroup"

# inside COMMAND...: in a network of its own.
inside() {
	in_netns sh -c 'ip link set lo up && exec "$0" "$@" </dev/null 3>&- 4>&-' "$@"
}

# in_place COMMAND...: in the network that is there.
in_place() {
	"$@" 3>&- 4>&-
}
