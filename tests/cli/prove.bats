# SPDX-License-Identifier: MIT
# The proof, with clients of every kind. All experiments run at once: that is quick, and load besides.

load common

# One experiment in the background: its name, then the words after "tcpkeep prove".
prove() {
	local name=$1
	shift
	(
		set +e
		"${AS[@]}" "$TCPKEEP" prove "$@" >"$BATS_FILE_TMPDIR/$name.out" 2>"$BATS_FILE_TMPDIR/$name.err"
		echo $? >"$BATS_FILE_TMPDIR/$name.status"
	) 3>&- &
}

# A client in Python: the server's address is sys.argv[1], its port int(sys.argv[2]).
python_client() {
	printf 'import socket, struct, sys, time\na = (sys.argv[1], int(sys.argv[2]))\n%s\n' "$1"
}

several_connections='
a = [socket.create_connection(a) for _ in range(3)]
a[0].close()
a[1].sendall(b"hello")
a[1].recv(1)'

restless='
s = socket.create_connection(a)
while True:
    s.sendall(b"x")
    time.sleep(0.2)'

closes='
s = socket.create_connection(a)
time.sleep(3)
s.close()
time.sleep(60)'

talks_later='
s = socket.create_connection(a)
time.sleep(3)
s.sendall(b"x")
time.sleep(60)'

own_settings='
s = socket.create_connection(a)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 100)
s.recv(1)'

setup_file() {
	AS=()
	prove plain
	prove json --json
	if [ "$(id -u)" = 0 ]; then
		AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fi
	prove nobody --json
	AS=()
	prove settings --json time=1 intvl=2 probes=2
	prove timeout --json time=2 intvl=1 probes=9 user-timeout=4s
	prove never --json -- sleep 60
	prove early --json -- sh -c 'echo "so long, {host}"; exit 7'
	prove several --json -- python3 -c "$(python_client "$several_connections")" '{host}' '{port}'
	prove elsewhere --json -- python3 -c "$(python_client "$several_connections")" '{host}' 5432
	prove restless --json -- python3 -c "$(python_client "$restless")" '{host}' '{port}'
	prove closes --json -- python3 -c "$(python_client "$closes")" '{host}' '{port}'
	prove talks --json -- python3 -c "$(python_client "$talks_later")" '{host}' '{port}'
	prove own --json -- python3 -c "$(python_client "$own_settings")" '{host}' '{port}'
	prove enforce --json --enforce -- python3 -c "$(python_client "$own_settings")" '{host}' '{port}'
	prove psql --json -- psql -w -h '{host}' -p '{port}' postgres
	wait
}

status_of() {
	cat "$BATS_FILE_TMPDIR/$1.status"
}

out() {
	echo "$BATS_FILE_TMPDIR/$1.out"
}

# What the kernel cannot do is said with exit 4, and is no failure of ours.
needs() {
	if [ "$(status_of "$1")" = 4 ]; then
		skip "$(cat "$BATS_FILE_TMPDIR/$1.err")"
	fi
}

# The JSON of an experiment, and the jq expression that has to be true of it.
holds() {
	needs "$1"
	if ! jq -e "$2" "$(out "$1")" >/dev/null; then
		cat "$(out "$1")" "$BATS_FILE_TMPDIR/$1.err"
		return 1
	fi
}

@test "the story: lost and kept, unnoticed and noticed, and every time as predicted" {
	needs plain
	cat "$(out plain)"
	[ "$(status_of plain)" = 0 ]
	for words in "LOST: sent" "ARRIVED" "NEVER: no timer is armed" "reset sent, socket gone" \
		'says "the answer: forty-two"' "Connection timed" "PROVEN on this kernel" \
		"tcpkeep run -- YOURPROGRAM" "man 7 tcpkeep"; do
		grep -qF -- "$words" "$(out plain)"
	done
	! grep -q "DIFFERS" "$(out plain)"
}

@test "the story fits 100 columns and has no colour when it is not a terminal" {
	needs plain
	run awk 'length > 100' "$(out plain)"
	[ -z "$output" ]
	! grep -q $'\033' "$(out plain)" "$BATS_FILE_TMPDIR/plain.err"
}

@test "--json: one object, with what was predicted and what was measured" {
	[ "$(status_of json)" = 0 ] || needs json
	[ "$(wc -l <"$(out json)")" -eq 1 ]
	holds json '.schema == "tcpkeep.prove/1" and .proven and .kept and .noticed'
	holds json '.nat.without.outcome == "lost" and .nat.with.outcome == "answered"'
	holds json '.vanish.without.outcome == "unnoticed" and .vanish.with.outcome == "noticed"'
	holds json '.vanish.without.timer == "none" and .vanish.without.probes == []'
	holds json '.vanish.with.timer == "keepalive" and .vanish.with.socket_gone'
	holds json '[.times[] | select(.event == "death")] | length == 1'
	holds json '.times | length == 7 and all(.agrees and .measured_s > 1)'
	holds json '.vanish.with.program.exit_status == 1 and .nat.with.program.exit_status == 0'
	holds json '[.nat.with.probes[] | .answered_s != null] | length >= 2 and all'
}

@test "a user without privilege can prove it" {
	[ "$(status_of nobody)" = 0 ] || needs nobody
	holds nobody '.proven and .times_agree == (.times | length)'
}

@test "other settings: other times" {
	holds settings '.proven and .settings == {"on": true, "time_s": 1, "intvl_s": 2, "probes": 2, "user_timeout_ms": null}'
	holds settings '.vanish.with.death_s > 5 and .vanish.with.death_s < 5.3 and (.vanish.with.probes | length) == 2'
	# With a user timeout the count of probes no longer matters.
	holds timeout '.proven and .vanish.with.death_s > 4 and .vanish.with.death_s < 4.3'
}

@test "a client that never connects, and one that ends early" {
	needs never
	[ "$(status_of never)" = 1 ]
	holds never '[.nat, .vanish | .with, .without | .outcome == "not-connected"] | all'
	grep -q "no word of the command contains {host}" "$BATS_FILE_TMPDIR/never.err"
	[ "$(status_of early)" = 1 ]
	holds early '[.nat, .vanish | .with, .without | .outcome == "exited" and .program.exit_status == 7] | all'
	holds early '.nat.without.program.said == "so long, 198.51.100.10"'
}

@test "a client with several connections, and one that uses a port of its own" {
	holds several '.proven and .nat.with.connections == 3 and .vanish.with.connections == 3'
	holds elsewhere '.proven and .nat.with.connections == 3'
}

@test "a client that is never idle, that closes by itself, that sends when the server is gone" {
	needs restless
	[ "$(status_of restless)" = 1 ]
	holds restless '.nat.with.outcome == "restless" and .vanish.without.outcome == "restless"'
	holds closes '.vanish.with.outcome == "closed" and (.proven | not)'
	holds closes '.vanish.with.closed_s > 2.9 and .vanish.with.closed_s < 3.5'
	holds talks '.vanish.without.outcome == "not-idle" and (.proven | not)'
}

@test "a client's own settings stand, unless --enforce is given" {
	needs own
	[ "$(status_of own)" = 1 ]
	holds own '.vanish.with.outcome == "unnoticed" and .vanish.with.timer_s > 90'
	[ "$(status_of enforce)" = 0 ]
	holds enforce '.proven and .vanish.without.timer_s > 90'
}

@test "psql, as it is and with tcpkeep" {
	type psql >/dev/null || skip "psql is not installed"
	holds psql '.proven and (.vanish.with.program.said | test("timed out")) and .vanish.with.program.exit_status == 2'
}

@test "what cannot be is refused with words" {
	run "$TCPKEEP" prove time=100
	[ "$status" -eq 2 ]
	[[ $output == *"takes too long to prove"*"tcpkeep explain"* ]]
	run "$TCPKEEP" prove off
	[ "$status" -eq 2 ]
	run "$TCPKEEP" prove tmie=2
	[ "$status" -eq 2 ]
	run "$TCPKEEP" prove --
	[ "$status" -eq 2 ]
	[[ $output == *"no command after '--'"* ]]
	needs json
	run -127 "$TCPKEEP" prove -- /does/not/exist '{host}'
	[[ $output == "tcpkeep: prove: /does/not/exist: No such file or directory" ]]
	run "$TCPKEEP" prove -- /etc/passwd '{host}'
	[ "$status" -eq 126 ]
}

@test "without nft, NAT, sysctls or user namespaces: exit 4, and what works instead" {
	needs json
	[ "$(id -u)" = 0 ] || skip "hides nft by a mount, which needs root"
	run unshare --mount sh -c 'mount --bind /dev/null "$(PATH=$PATH:/usr/sbin:/sbin command -v nft)" &&
		exec "$0" prove' "$TCPKEEP"
	[ "$status" -eq 4 ]
	[[ $output == *"nft: not found"*"install nftables"*"what works without it: 'tcpkeep run'"* ]]
	# Where the kernel has no NAT, nft says something like this.
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\necho "Error: Could not process rule: No such file or directory" >&2\nexit 1\n' \
		>"$BATS_TEST_TMPDIR/bin/nft"
	chmod +x "$BATS_TEST_TMPDIR/bin/nft"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run "$TCPKEEP" prove
	[ "$status" -eq 4 ]
	[[ $output == *"Could not process rule"*"nft_masq"*"what works without it"* ]]
	run unshare --mount sh -c 'mount --bind -o ro /proc/sys /proc/sys && exec "$0" prove' "$TCPKEEP"
	[ "$status" -eq 4 ]
	[[ $output == *"ip_forward"*"what works without it"* ]]
	# A user namespace in which no further one may be made, and no capability is held.
	run unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all --inh-caps=-all "$0" prove' "$TCPKEEP"
	[ "$status" -eq 4 ]
	[[ $output == *"max_user_namespaces=0"*"what works without it"* ]]
}

# Processes that have the mark in their environment; zombies have none.
marked() {
	grep -lz "^TCPKEEP_TEST_MARK=$1\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

# Kills an experiment with a signal after some seconds: nothing of it may be left a moment later.
kill_and_look() {
	local signal=$1 after=$2 mark=$RANDOM$RANDOM$RANDOM pid
	shift 2

	TCPKEEP_TEST_MARK=$mark "$TCPKEEP" prove "$@" >/dev/null 2>&1 3>&- &
	pid=$!
	sleep "$after" # not for an event: the moment is the test
	kill -s "$signal" "$pid"
	wait "$pid" || status=$?
	for _ in $(seq 100); do
		[ -z "$(marked "$mark")" ] && break
		sleep 0.02
	done
	[ -z "$(marked "$mark")" ]
}

@test "killed at any moment, it leaves no process, namespace or file behind" {
	needs json
	before=$(ls /run/netns 2>/dev/null; grep -c nsfs /proc/self/mountinfo || true)
	for signal in KILL TERM INT HUP; do
		for after in 0.01 0.0$((RANDOM % 10)) 0.$((RANDOM % 10)) $((RANDOM % 2)).$((RANDOM % 10)); do
			kill_and_look "$signal" "$after"
			[ "$status" -eq $((128 + $(kill -l "$signal"))) ]
		done
		# The client's own children go with it.
		kill_and_look "$signal" 0.8 -- sh -c 'sleep 77 & sleep 78; : {host}'
	done
	after=$(ls /run/netns 2>/dev/null; grep -c nsfs /proc/self/mountinfo || true)
	[ "$before" = "$after" ]
}

@test "the time it takes: well below 40 seconds" {
	needs json
	holds json '[.nat, .vanish | .with, .without | .watched_s] | max < 15'
	holds restless '[.nat, .vanish | .with, .without | .watched_s] | max < 40'
}
