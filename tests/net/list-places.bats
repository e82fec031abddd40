# SPDX-License-Identifier: MIT
# tcpkeep list where it is hard: namespaces that come and go, no privilege, names that are made to
# deceive, readers that go away; and a death that `explain PID:FD` foretells. helpers/room has made
# the namespaces: no process but those of this test is seen.

# shellcheck disable=SC2034,SC2086,SC2153,SC2154 # the loaded file uses it; words; the environment, run
bats_require_minimum_version 1.5.0

load ../helpers/stage

# For what has no wait of its own.
DEADLINE_S=60

setup_file() {
	# as_nobody has to come through, whatever root's umask is.
	umask 022
	open_stage
	export SOCKETS=$SOURCE/tests/net/list/sockets.py
	mkdir "$STAGE/mounts"
}

# Also after a test that has failed half way.
teardown() {
	rm -f "$STAGE/breaking"
	if [ -e "$STAGE/breaker" ]; then
		until_true "breaker" has_ended_breaker || kill -KILL "$(cat "$STAGE/breaker")"
		rm "$STAGE/breaker"
	fi
	! nft list table inet silence >/dev/null 2>&1 || nft delete table inet silence
}

has_ended_breaker() {
	! kill -0 "$(cat "$STAGE/breaker")"
}

teardown_file() {
	[ -z "$(ls "$STAGE"/*.pid 2>/dev/null)" ] || end_all
	umount "$STAGE"/mounts/* 2>/dev/null || true
}

# holds NAME COMMAND...: sockets.py at the end of a command, ready.
holds() {
	start "$1" python3 ready "${@:2}"
	await "$1"
}

list() {
	run --separate-stderr "$TCPKEEP" list "$@"
}

# What stderr says beyond what a room without privilege lacks: nothing is hidden from root.
errors() {
	if [ "$ROOM_USERS" = 1 ]; then
		echo "$stderr"
	else
		grep -Ev '^tcpkeep: warning: list: (BPF needs|[0-9]+ process(es)? hide)' <<<"$stderr" || true
	fi
}

sources() {
	local source
	for source in bpf diag-fd diag; do
		"$TCPKEEP" list --source $source >/dev/null 2>&1 && echo $source
	done
	true
}

# --------------------------------------------------------------------------------- namespaces

inode_of() {
	stat -Lc %i "$1"
}

holds_nothing() {
	! "$TCPKEEP" list --netns "$1" --json | grep -q '"pid":'
}

@test "--all-netns finds namespaces by name, by mount and by process, and counts right" {
	command -v ip >/dev/null || skip "no ip"
	ip netns add blue
	holds in-blue ip netns exec blue "$PYTHON3" "$SOCKETS" 3
	ip netns add empty
	# Named by a mount elsewhere; and no process left, but a connection in TIME-WAIT.
	touch "$STAGE/mounts/green room" "$STAGE/mounts/left"
	holds in-green unshare --net="$STAGE/mounts/green room" "$PYTHON3" "$SOCKETS" 2
	holds has-left unshare --net="$STAGE/mounts/left" "$PYTHON3" "$SOCKETS" 1
	kill "$(pid_of has-left)"
	until_true "has-left" has_ended has-left
	until_true "has-left" holds_nothing "$STAGE/mounts/left"
	holds alone unshare --net "$PYTHON3" "$SOCKETS" 5
	holds here "$PYTHON3" "$SOCKETS" 4
	for source in $(sources); do
		list --all-netns --summary netns --json --source "$source"
		[ "$status" -eq 0 ]
		counts=$(jq -r '"\(.name) \(.sockets) \(.listening)"' <<<"$output" | sort)
		echo "$counts"
		[ "$counts" = "$(sort <<-END
			blue 7 1
			empty 0 0
			$STAGE/mounts/green room 5 1
			$STAGE/mounts/left 1 0
			net:[$(inode_of "/proc/$(pid_of alone)/ns/net")] 11 1
			net:[$(inode_of /proc/self/ns/net)] 9 1
		END
		)" ]
		list --all-netns --json --source "$source"
		[ "$(jq -r --argjson pid "$(pid_of in-green)" \
			'select(any(.owners[]; .pid == $pid)) | .netns.name' <<<"$output" | uniq -c |
			sed 's/^ *//')" = "5 $STAGE/mounts/green room" ]
		jq -es --argjson own "$(inode_of /proc/self/ns/net)" \
			'all(.netns.own == (.netns.inode == $own))' <<<"$output"
	done
	list --all-netns netns=blue
	[ "${#lines[@]}" -eq 9 ]
	[ "$(awk '{ print $1 }' <<<"${lines[1]}")" = blue ]
	list --netns empty
	[ "$output" = "0 sockets in that network namespace" ]
	# Who names one means it, and not the one that tcpkeep runs in.
	list netns=blue
	[ "${#lines[@]}" -eq 9 ]
	list netns=blue,empty --summary netns --csv
	[ "$(tail -n +2 <<<"$output" | cut -d, -f1,2 | tr '\n' ' ')" = "blue,7 empty,0 " ]
	list netns=blur
	[ "$status" -eq 1 ]
	[ "$stderr" = "tcpkeep: list: netns: there is no network namespace 'blur' in /run/netns; did you mean 'blue'?" ]
}

# In three ways, until it is told to stop.
make_and_break_namespaces() {
	local i=0
	while [ -e "$STAGE/breaking" ] && ((SECONDS < $1)); do
		i=$((i + 1))
		ip netns add "gone-$((i % 4))"
		timeout 0.02 unshare --net "$PYTHON3" -S "$SOCKETS" 1 &
		unshare --net="$STAGE/mounts/gone" true
		umount "$STAGE/mounts/gone"
		ip netns delete "gone-$((i % 4))"
		echo $i >"$STAGE/broken"
	done
	wait
}

has_broken() {
	[ "$(cat "$STAGE/broken")" -ge "$1" ]
}

@test "--all-netns: those that vanish meanwhile are no error" {
	command -v ip >/dev/null || skip "no ip"
	[ -e "$STAGE/alone.pid" ] || skip "no namespaces"
	touch "$STAGE/breaking" "$STAGE/mounts/gone"
	make_and_break_namespaces $((SECONDS + DEADLINE_S)) </dev/null >/dev/null 2>&1 3>&- 4>&- &
	echo $! >"$STAGE/breaker"
	disown
	until_true "the first" has_broken 1
	for source in $(sources); do
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			list --all-netns --json --source "$source"
			echo "$source: $status $stderr"
			[ "$status" -eq 0 ]
			[ -z "$(errors)" ]
			# What stays is there, every time.
			[ "$(jq -r --argjson pid "$(pid_of alone)" \
				'select(any(.owners[]; .pid == $pid)) | 1' <<<"$output" | wc -l)" -eq 11 ]
		done
	done
	has_broken 10
}

# -------------------------------------------------------------------------------- no privilege

# In a shell of its own, so that it is the parent of what it looks into: Yama asks for that.
# nobodys_view DIRECTORY PYTHON
nobodys_view() {
	local ended=0 deadline=$((SECONDS + 30))
	"$2" "$1/sockets.py" 2 >"$1/ready" &
	until grep -q ready "$1/ready"; do
		kill -0 $! && ((SECONDS < deadline)) || return
		sleep 0.02
	done
	for kind in "" "--source bpf" "--source diag"; do
		# shellcheck disable=SC2086 # words
		"$1/tcpkeep" list --json $kind >"$1/out${kind##* }" 2>"$1/err${kind##* }" || ended=$?
		echo "$ended" >"$1/status${kind##* }"
		ended=0
	done
	"$1/tcpkeep" list >"$1/outtable" 2>/dev/null
	echo $! >"$1/pid"
	kill $!
}

# An interpreter that nobody can run: that of a version manager is root's own. setpriv itself still
# has the capabilities to come through there: a shell has not.
nobodys_python() {
	local python
	for python in "$PYTHON3" /usr/bin/python3; do
		# shellcheck disable=SC2016 # expanded by nobody
		(as_nobody bash -c '"$0" -c ""' "$python") 2>/dev/null && echo "$python" && return
	done
	true
}

@test "nobody, without capabilities: its own in full, others as far as the kernel tells" {
	[ -e "$STAGE/here.pid" ] || holds here "$PYTHON3" "$SOCKETS" 4
	at=$STAGE/nobody
	python=$(nobodys_python)
	[ -n "$python" ] || skip "no python3 that nobody can run"
	nobodys_directory "$at"
	# Not where they are: the trees may be closed to others.
	install -m 755 "$TCPKEEP" "$SOCKETS" "$at"
	export -f nobodys_view
	(as_nobody timeout --kill-after=5 $DEADLINE_S bash -c "nobodys_view '$at' '$python'" 3>&- 4>&-)
	pid=$(cat "$at/pid")
	[ "$(cat "$at/status")" = 0 ]
	# One line that says what more privilege would show.
	[ "$(wc -l <"$at/err")" -eq 1 ]
	[[ $(cat "$at/err") == "tcpkeep: warning: list: "*CAP_BPF*"root sees all" ]]
	jq -es --argjson pid "$pid" 'map(select(any(.owners[]; .pid == $pid))) | length == 5
		and all(.time_s == 7200 and .probes == 9 and (.keepalive | type) == "boolean")
		and (map(select(.keepalive)) | length) == 2' "$at/out"
	# Root's: neither owner nor settings, and keepalive where its timer proves it.
	jq -es 'map(select(.owners == [])) | length >= 9 and all(.time_s == null)
		and (map(select(.keepalive)) | length) == 4' "$at/out"
	[ "$(cat "$at/statusbpf")" = 4 ]
	[ ! -s "$at/outbpf" ]
	# Of root's that are on, how long it takes is not known: the two are not the worst there is.
	[[ $(tail -1 "$at/outtable") == *"; worst detection time at least 2h 13m "*" (4 unknown)" ]]
	[[ $(cat "$at/errbpf") == "tcpkeep: list: BPF needs CAP_BPF and CAP_PERFMON"* ]]
	[ "$(cat "$at/statusdiag")" = 0 ]
	jq -es 'all(.time_s == null and .user_timeout_ms == null)' "$at/outdiag"
}

@test "root of a user namespace is not root: the same as for nobody" {
	unshare --user --map-root-user true 2>/dev/null || skip "no user namespaces"
	# timeout's signal goes to all of them. disown: bash shall not tell of the end of a job.
	run --separate-stderr timeout $DEADLINE_S unshare --user --map-root-user --net -- bash -c \
		"'$PYTHON3' '$SOCKETS' 2 >'$STAGE/in-user' & p=\$!; disown
		until grep -q ready '$STAGE/in-user' || ! kill -0 \$p; do sleep 0.02; done
		'$TCPKEEP' list --json; kill \$p"
	[ "$status" -eq 0 ]
	jq -es 'length == 5 and all(.time_s == 7200 and (.owners | length) == 1 and .uid == 0)' <<<"$output"
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	run --separate-stderr unshare --user --map-root-user --net -- "$TCPKEEP" list --source bpf
	[ "$status" -eq 4 ]
	[[ $stderr == "tcpkeep: list: BPF needs"* ]]
}

# ------------------------------------------------------------------------------ hostile names

# Escape sequences, newlines and what ends with one, not UTF-8 (a byte alone, overlong, a surrogate,
# cut off), C1 controls, what CSV and shells mind, what turns the text around.
NAMES="1b5b324a1b5d303b78 610a620d0a 0a 61620a0a fffe80 c0afeda080 c29b33316d 2c222c2c22 205c5c20
	7f08090b 6162e282 e280ae676e706a"

@test "no name breaks the table, the JSON or the CSV" {
	pids=
	for name in $NAMES; do
		start "hostile-$name" python3 ready "$PYTHON3" "$SOCKETS" 1 "$name"
		pids+=${pids:+,}$(pid_of "hostile-$name")
	done
	for name in $NAMES; do
		await "hostile-$name"
	done
	for source in $(sources); do
		list "pid=$pids" --source "$source"
		echo "$output" >"$STAGE/table"
		list "pid=$pids" --source "$source" --json
		jq -es 'length > 0 and all(.owners[0].program | type == "string")' <<<"$output"
		list "pid=$pids" --source "$source" --csv -o program,pid,state
		echo "$output" >"$STAGE/csv"
		"$PYTHON3" "$SOURCE/tests/net/list/hostile.py" "$STAGE/table" "$STAGE/csv" ${pids//,/ }
		list --summary program --source "$source" --json
		jq -es "length >= $(wc -w <<<"$NAMES")" <<<"$output"
		list --summary program --source "$source"
		[ "$(($(wc -w <<<"$NAMES") + 2))" -le "${#lines[@]}" ]
	done
	for name in $NAMES; do
		kill "$(pid_of "hostile-$name")"
	done
}

# ---------------------------------------------------------------------------- readers that leave

@test "| head -1 ends it quietly, whatever the size" {
	ulimit -n 8192
	holds many "$PYTHON3" "$SOCKETS" 1500
	for way in "" --json --csv "--sort local" "--sort local --json" "--summary program"; do
		for ignore in "trap - PIPE" "trap '' PIPE"; do
			run --separate-stderr bash -c "$ignore; '$TCPKEEP' list $way | head -1"
			echo "$way, $ignore: $stderr"
			[ "${#lines[@]}" -eq 1 ]
			[ -z "$(errors)" ]
		done
		# A full disk is something else.
		run --separate-stderr bash -c "'$TCPKEEP' list $way >/dev/full"
		[ "$status" -eq 1 ]
		[ "$(errors)" = "tcpkeep: cannot write the output: No space left on device" ]
	done
	kill "$(pid_of many)"
}

# ------------------------------------------------------------------------------ a foretold death

monotonic() {
	"$PYTHON3" -c 'import time; print("%.3f" % time.monotonic())'
}

fd_of() {
	sed -n 's/^fd //p' "$STAGE/$1.log"
}

has_probes_out() {
	"$TCPKEEP" list "pid=$(pid_of "$1")" --json | jq -e ".timer.probes_out >= $2"
}

# foretell NAME: asks what will become of the socket, between two looks at the clock.
foretell() {
	monotonic >"$STAGE/$1.before"
	"$TCPKEEP" explain "$(pid_of "$1"):$(fd_of "$1")" --json >"$STAGE/$1.json"
	monotonic >"$STAGE/$1.after"
}

# The death was foretold for between two moments, which are no farther apart than the wheel of
# timers is coarse. The kernel is never early; LATE_S is for a processor that is busy when a timer
# is due, and below half of the interval: a probe more or less would be seen.
came_true() {
	until_true "$1" grep -q '^died ETIMEDOUT' "$STAGE/$1.log"
	"$PYTHON3" - "$STAGE/$1" "$(awk '/^died/ { print $3 }' "$STAGE/$1.log")" <<-'END'
		import json, sys
		LATE_S, TICK_S = 0.4, 0.01
		at, died = sys.argv[1], float(sys.argv[2])
		before, after = (float(open(f"{at}.{name}").read()) for name in ("before", "after"))
		now = json.load(open(f"{at}.json"))["now"]
		low, high = before + now["death_earliest_s"], after + now["death_latest_s"]
		print(f"{at}: {low:.3f} <= {died:.3f} <= {high:.3f}, asked at {before:.3f}..{after:.3f}")
		# kernel/time/timer.c: a delay of 2 s or less is late by an eighth of it at most
		width = now["death_latest_s"] - now["death_earliest_s"]
		assert width <= (died - before) / 7 + 4 * TICK_S, width
		assert low - TICK_S <= died <= high + LATE_S
	END
}

@test "explain PID:FD foretells the death of a socket, probes out or not" {
	command -v nft >/dev/null || skip "no nft"
	port=7100
	start silent python3 ready "$PYTHON3" "$SOURCE/tests/net/clients/hold.py" listen $port
	await silent
	dies=("$PYTHON3" "$SOURCE/tests/net/list/dies.py" "$port")
	start from-the-start python3 "^fd" "${dies[@]}"
	start probes-out python3 "^fd" "${dies[@]}"
	start user-timeout python3 "^fd" "${dies[@]}" 3500
	for name in from-the-start probes-out user-timeout; do
		await $name
	done
	nft -f - <<-END
		table inet silence {
			chain in {
				type filter hook input priority 0;
				tcp sport $port drop;
				tcp dport $port drop;
			}
		}
	END
	foretell from-the-start
	foretell user-timeout
	until_true "probes" has_probes_out probes-out 1
	foretell probes-out
	jq -e '.socket.timer.probes_out >= 1' "$STAGE/probes-out.json"
	came_true from-the-start
	came_true probes-out
	came_true user-timeout
}
