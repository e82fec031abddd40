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

# refusing ERRNO CALL FLAGS COMMAND...: below a filter that answers the call so where its second argument has one of the
# flags; 0: always.
refusing() {
	python3 -c '
import ctypes, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {"pidfd_getfd": 438, "seccomp": {"x86_64": 317, "aarch64": 277}[platform.machine()]}[sys.argv[2]]
error, flags = 0x00050000 | int(sys.argv[1]), int(sys.argv[3], 0)
code = b"".join(struct.pack("HBBI", *i) for i in (
    (0x20, 0, 0, 0), (0x15, 0, 3, number),  # the number of the call
    (0x20, 0, 0, 24), (0x45, 0, 0 if flags == 0 else 1, flags),  # its second argument
    (0x06, 0, 0, error), (0x06, 0, 0, 0x7fff0000)))
room = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(code) // 8, ctypes.addressof(room))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execvp(sys.argv[4], sys.argv[4:])' "$@"
}
