# SPDX-License-Identifier: MIT
# tcpkeep set several times over thousands of idle loopback connections, whose probes all pass one queue: what is too
# much in one change must not get by in parts, one after the other or at once. The crowd's own process tells who lives.

# shellcheck disable=SC2154 # bats sets stderr
bats_require_minimum_version 1.5.0

CONNECTIONS=4000 # on each of two ports
ENDS=16000
HASTY="time=1 intvl=1 probes=1"

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ "$(ulimit -Hn)" -ge $((ENDS + 100)) ] || skip "needs $((ENDS + 100)) descriptors"
	PYTHON3=$(python3 -c 'import sys; print(sys.executable)') || skip "needs python3"
	export PYTHON3
}

setup() {
	STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	export STATE_DIRECTORY
	mkfifo "$BATS_TEST_TMPDIR/orders" "$BATS_TEST_TMPDIR/answers"
	"$PYTHON3" "$SOURCE/tests/net/set-crowd.py" $CONNECTIONS 7000 7001 <"$BATS_TEST_TMPDIR/orders" \
		>"$BATS_TEST_TMPDIR/answers" 3>&- &
	CROWD=$!
	exec 8>"$BATS_TEST_TMPDIR/orders" 9<"$BATS_TEST_TMPDIR/answers"
	read -t 60 -r ready <&9
	[ "$ready" = ready ]
	LOST=$(lost)
}

# With all of its sockets.
teardown() {
	exec 8>&- 9<&-
	wait "$CROWD" || true
}

alive() {
	local answer
	echo >&8
	read -t 20 -r answer <&9
	echo "$answer"
}

# counter NAME: of TcpExt.
counter() {
	awk -v name="$1" '/^TcpExt:/ {
		if (!n) n = split($0, names)
		else for (i = 1; i <= n; i++) if (names[i] == name) print $i
	}' /proc/net/netstat
}

# Packets that a queue of received ones had no room for: of the whole machine.
lost() {
	local sum=0 dropped
	while read -r _ dropped _; do
		sum=$((sum + 16#$dropped))
	done </proc/net/softnet_stat
	echo $sum
}

# Until each has been asked five times. Who is asked once a second and may not lose one answer dies as well where the
# machine stands still for half of one (net.ipv4.tcp_invalid_ratelimit): with no packet lost it is not of a storm.
all_live_on() {
	local keeps wanted deaths
	keeps=$("$TCPKEEP" list keepalive=on state=established --json | wc -l)
	[ "$keeps" -gt 0 ]
	wanted=$(($(counter TCPKeepAlive) + 5 * keeps))
	until [ "$(counter TCPKeepAlive)" -ge "$wanted" ]; do
		read -t 0.2 -r <> <(:) || :
	done
	deaths=$(counter TCPAbortOnTimeout)
	echo "$deaths died, $(($(lost) - LOST)) packets were lost"
	[ "$deaths" -gt 0 ] || [ "$(alive)" -eq $ENDS ]
	[ "$deaths" -eq 0 ] || [ "$(lost)" -eq "$LOST" ]
}

@test "four changes one after the other: what the queue has no room for is refused, and none dies" {
	# In one it is refused.
	# shellcheck disable=SC2086
	run --separate-stderr "$TCPKEEP" set all $HASTY --dry-run
	[ "$status" -eq 1 ]
	[[ ${stderr_lines[-1]} == "tcpkeep: set: refused: the probes would overflow "* ]]
	[[ ${stderr_lines[-1]} != *"sockets, or"* ]]
	changed=0 refused=0
	for selector in local=:7000 peer=:7000 local=:7001 peer=:7001; do
		# shellcheck disable=SC2086
		run --separate-stderr "$TCPKEEP" set $selector $HASTY --json
		case $status in
		0) changed=$((changed + 1)) ;;
		1)
			refused=$((refused + 1))
			echo "$stderr"
			[[ ${stderr_lines[-1]} == "tcpkeep: set: refused: "* ]]
			[[ $stderr =~ "4,00"[01]" sockets will probe (beside "(8,00|12,00)[0-9]" that do already)" ]]
			# Its own probes are told from those of the others.
			[[ $stderr =~ ", about "[0-9,]+" probes in the worst second, "[0-9,]+" with those beside them" ]]
			jq -e '.forecast | .own_peak_per_s >= 4000 and .peak_per_s >= .own_peak_per_s + 4000' <<<"${lines[-1]}"
			;;
		*) return 1 ;;
		esac
	done
	echo "$changed accepted, $refused refused"
	[ "$changed" -ge 2 ]
	[ "$refused" -ge 1 ]
	all_live_on
	# What only asks less is welcome, however crowded it is, and makes room.
	run --separate-stderr "$TCPKEEP" set keepalive=on probes=9
	[ "$status" -eq 0 ]
	run --separate-stderr "$TCPKEEP" set keepalive=on off
	[ "$status" -eq 0 ]
	# shellcheck disable=SC2086
	run --separate-stderr "$TCPKEEP" set local=:7000 $HASTY
	[ "$status" -eq 0 ]
}

@test "two changes at once: the second one waits for the first, and knows of it; none dies" {
	# shellcheck disable=SC2086
	"$TCPKEEP" set local=:7000 $HASTY --rate 1600 >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	first=$!
	until [ -e "$STATE_DIRECTORY/undo/1.set" ]; do
		read -t 0.01 -r <> <(:) || :
	done
	# shellcheck disable=SC2086
	run --separate-stderr "$TCPKEEP" set local=:7001 $HASTY --json
	[[ $stderr == *"tcpkeep: set: waiting for change 1 of process $first to end ..."* ]]
	[ "$status" -eq 0 ]
	jq -e '.forecast.beside >= 3900 and .changed == 4000' <<<"${lines[-1]}"
	wait $first
	grep -qx '4,000 changed, 0 held already (tcpkeep set --undo 1)' "$BATS_TEST_TMPDIR/first"
	all_live_on
}

@test "connections to the world count for nothing: what they probe leaves by a card" {
	# The clients' peer is an address that this machine has not: the server behind it is here all the same.
	nft "add table ip world; add chain ip world out { type nat hook output priority -100; }"
	nft "add rule ip world out ip daddr 192.0.2.1 tcp dport 7002 dnat to 127.0.0.1:7003"
	ip route add 192.0.2.0/24 dev lo
	"$PYTHON3" - 192.0.2.1 7002 600 >"$BATS_TEST_TMPDIR/world" 3>&- <<'END' &
import signal, socket, sys
server = socket.create_server(("127.0.0.1", 7003), backlog=1000)
ends = [socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) for _ in range(int(sys.argv[3]))]
for end in ends:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print("ready", flush=True)
signal.pause()
END
	world=$!
	until grep -q ready "$BATS_TEST_TMPDIR/world"; do
		kill -0 $world
		read -t 0.02 -r <> <(:) || :
	done
	[ "$("$TCPKEEP" list keepalive=on peer=192.0.2.1 | grep -c 192.0.2.1)" -eq 600 ]
	port=$(ss -Htn state established "dport = :7000" | awk '{ sub(/.*:/, "", $3); print $3; exit }')
	run --separate-stderr "$TCPKEEP" set local=:"$port" time=60 intvl=10 probes=6 --json
	kill $world
	[ "$status" -eq 0 ]
	jq -e '.forecast.beside < 300' <<<"${lines[-1]}"
}

@test "sockets in namespaces that cannot be looked into are told of, and in ordinary cases are not" {
	# The machine's own count is told from that of the namespaces.
	[ "$(awk '/^TCP:/ { print $9 }' /proc/net/sockstat)" -le 30000 ] || skip "somebody else has many sockets"
	note="more TCP sockets, in network namespaces that cannot be looked into from here"
	cat >"$BATS_TEST_TMPDIR/inside.py" <<'END'
import fcntl, socket, struct, subprocess, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x8, b""))
server = socket.create_server(("127.0.0.1", 7004), backlog=1000)
ends = [socket.create_connection(server.getsockname()) for _ in range(200)]
for words in sys.argv[2:]:
    subprocess.run([sys.argv[1], "set", *words.split(), "--dry-run", "--json"])
END
	run --separate-stderr unshare --net --mount --pid --fork --mount-proc --kill-child \
		"$PYTHON3" "$BATS_TEST_TMPDIR/inside.py" "$TCPKEEP" "all time=60 intvl=10 probes=6"
	[ "$(grep -c "note: the machine has [0-9]*,[0-9]* $note" <<<"$stderr")" -eq 1 ]
	jq -e '.forecast.unseen >= 16000' <<<"${lines[-1]}"
	# Too few to make a difference; and who sees most of them knows what they do.
	run --separate-stderr unshare --net --mount --pid --fork --mount-proc --kill-child \
		"$PYTHON3" "$BATS_TEST_TMPDIR/inside.py" "$TCPKEEP" "local=:7004 state=listen time=60 intvl=10 probes=6"
	[[ $stderr != *"$note"* ]]
	run --separate-stderr "$TCPKEEP" set all time=7200 --dry-run --json
	[[ $stderr != *"$note"* ]]
	jq -e '.forecast.unseen == 0' <<<"${lines[-1]}"
}

@test "hours need not be waited for: 16,000 sockets with the kernel's own values at once" {
	started=$EPOCHSECONDS
	run --separate-stderr "$TCPKEEP" set all time=7200 intvl=75 probes=9 --json
	[ "$status" -eq 0 ]
	jq -e '.changed == 16000 and .forecast.safe and .forecast.deaths == 0 and .forecast.takes_s <= 120' <<<"${lines[-1]}"
	[ $((EPOCHSECONDS - started)) -le 150 ]
	[ "$(alive)" -eq $ENDS ]
}

@test "where too much probes already, next to nothing may be added, nothing more, and what relieves it" {
	run --separate-stderr "$TCPKEEP" set local=:7000,:7001 state=established time=30 intvl=1 probes=1 \
		--force --rate 100000000
	[ "$status" -eq 0 ]
	port=$(ss -Htn state established "dport = :7000" | awk '{ sub(/.*:/, "", $3); print $3; exit }')
	run --separate-stderr "$TCPKEEP" set local=:"$port" time=60 intvl=10 probes=6
	[ "$status" -eq 0 ]
	[[ $stderr == *"warning: set: 8,0"[0-9][0-9]" sockets probe already"*"adds next to nothing"* ]]
	run --separate-stderr "$TCPKEEP" set peer=:7000 time=60 intvl=1 probes=1
	echo "$stderr"
	[ "$status" -eq 1 ]
	[[ ${stderr_lines[-1]} == *"refused: 8,0"[0-9][0-9]" sockets probe already, most of them with a time of 30, an intvl of 1"* ]]
	run --separate-stderr "$TCPKEEP" set keepalive=on off
	[ "$status" -eq 0 ]
	[ "$(alive)" -eq $ENDS ]
}
