# SPDX-License-Identifier: MIT
# `tcpkeep run` with little memory, by every method.

load common

@test "memory short: said, and the program runs or clearly does not start" {
	for method in auto preload seccomp bpf; do
		for kilobytes in 5000 5500 6000 6500 7000 9000 20000; do
			run --separate-stderr sh -c "ulimit -v $kilobytes; exec \"\$TCPKEEP\" run --method $method -- echo ran"
			echo "$method $kilobytes: $status $output $stderr"
			# Below a few megabytes it is tcpkeep's own loader that ends, with 127.
			if [ "$status" -eq 0 ]; then
				[ "$output" = ran ]
			else
				[ -z "$output" ] && [ -n "$stderr" ] && [[ $stderr != *": " ]]
				[ "$status" -eq 4 ] || [ "$status" -eq 126 ] || [ "$status" -eq 127 ]
			fi
		done
		[ "$status" -eq 0 ] || [ "$method" = bpf ]
	done
}
