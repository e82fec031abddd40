# SPDX-License-Identifier: MIT
# tcpkeep set over real sockets in a network namespace of their own. What came of it the sockets' own process tells,
# by getsockopt(). What the engine does with each kind of socket is in tests/net/set-*; undo is in set-undo.bats.

load set

@test "usage: settings and selectors are both needed; a typo is answered with the nearest word" {
	while IFS='|' read -r words message; do
		# shellcheck disable=SC2086
		in_netns "$TCPKEEP" set $words
		[ "$status" -eq 2 ] || {
			echo "$words: status $status"
			return 1
		}
		# shellcheck disable=SC2053
		[[ ${stderr_lines[-1]} == "tcpkeep: set: "$message ]] || {
			echo "$words: $stderr"
			return 1
		}
		[ -z "$output" ]
	done <<'END'
|no settings; *
peer=:5432|no settings; *
time=60|no selector; *'all'*
all time=60 peer=:5432|'all' is every socket*
tmie=60 all|'tmie' is no setting and no selector; did you mean 'time'?
prbes=6 all|*did you mean 'probes'?
peers=:1 time=60|*did you mean 'peer'?
dst=10.0.0.1 time=60|*did you mean 'peer'?
:5432 time=60|*write peer=:5432*
time=60 time=60 all|'time=60' gives a setting again*
probes=0 all|*probes*1 to 127*
time=0 all|*time*
time=40000 all|*32767*
peer=1.2.3.4.5 time=60|*
time=60 all --rate 0|--rate: '0' *
time=60 all --rate x|--rate: 'x' *
time=60 all --source diag|*accepted: bpf, diag-fd
time=60 all --netns x --all-netns|--netns and --all-netns exclude each other*
--undo time=60|--undo: 'time=60' is no number*
--undo 1 2|--undo takes the number of one change*
--undo --history|*exclude each other*
--history all|*takes no settings*
--undo --all-netns|*leave out --netns*
--undo 1 --now|--now does nothing beside --undo; leave it out
--history --dry-run|--dry-run does nothing beside --history; leave it out
--history -v|--verbose does nothing beside --history; leave it out
--history --rate 5|--rate does nothing beside --history; leave it out
--undo=x|--undo: 'x' is no number*
keepalive=on|no settings: keepalive=on chooses the sockets that have it on; to turn it on write 'on'
keepalive=off peer=:1|no settings: keepalive=off chooses*write 'off'
on off all|on and off contradict each other; give one
60/10/6 all|'60/10/6' is no setting and no selector; write time=60 intvl=10 probes=6
time:60 all|'time:60' is no setting and no selector; write time=60
time=1.5 all|time: '1.5' is not a whole number; *
ut=5s all|'ut' is no setting and no selector; did you mean 'user-timeout'?
retries=3 all|*did you mean 'probes'?
help|*see 'tcpkeep set --help'
netns=none:here --netns x time=60|--netns and netns= exclude each other; give one
time=60 all -nx|unknown option '-x' in '-nx'; see 'tcpkeep set --help'
END
}

@test "a dry run shows before and after in 100 columns, and changes nothing" {
	hold
	# shellcheck disable=SC2086
	set_ peer=:5432 $THREE --dry-run
	[ "$status" -eq 0 ]
	grep -qE '^LOCAL +PEER +OWNER +BEFORE +AFTER +RESULT$' <<<"$output"
	grep -qE '^127\.0\.0\.1:[0-9]+ +127\.0\.0\.1:5432 +python.*:[0-9]+ +off \(7200/75/9\) +60/10/6 +to change$' <<<"$output"
	[ "${lines[-1]}" = "1 to change, 0 held already" ]
	[ -z "$(awk 'length > 100' <<<"$output")" ]
	# What no undo can give back is said beforehand.
	[ "$stderr" = "tcpkeep: set: note: 1 socket follows the sysctl; after --undo it has its values as its own" ]
	expect v4 0 7200 75 9 0 alive
	[ ! -e "$STATE_DIRECTORY" ]
}

@test "sockets are changed, ss sees the timer, and a second time there is nothing to do" {
	hold
	for name in v4 v6 mapped; do
		expect $name 0 7200 75 9 0 alive
	done
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE user-timeout=2m
	[ "$status" -eq 0 ]
	[ "$output" = "3 changed, 0 held already (tcpkeep set --undo 1)" ]
	for name in v4 v6 mapped; do
		expect $name 1 60 10 6 120000 alive
	done
	[ "$(inside ss -Htno state established '( dport = :5432 or dport = :5433 )' |
		grep -cE 'timer:\(keepalive,(1min|5[0-9]sec),0\)')" -eq 3 ]
	# The other ends have been left alone: their peer's port is another.
	[ "$(inside ss -Htno state established '( sport = :5432 or sport = :5433 )' | grep -c keepalive)" -eq 0 ]
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE user-timeout=2m
	[ "$status" -eq 0 ]
	[ "$output" = "0 changed, 3 held already" ]
	[ "$(ls "$STATE_DIRECTORY/undo")" = 1.set ]
	[ "$(probes_sent)" -eq 0 ]
}

@test "without BPF the same, through the owners' descriptors" {
	hold
	# shellcheck disable=SC2086
	set_ program='python*' pid="$HOLDER" peer=:5432,:5433 $THREE --source diag-fd
	[ "$status" -eq 0 ]
	[ "$output" = "3 changed, 0 held already (tcpkeep set --undo 1)" ]
	for name in v4 v6 mapped; do
		expect $name 1 60 10 6 0 alive
	done
	# Each way undoes what the other did.
	set_ --undo --source bpf
	[ "$output" = "3 changed, 0 as before already" ]
	expect v6 0 7200 75 9 0 alive
}

@test "selectors choose: what does not match is not touched" {
	hold
	ask put v6 time 90
	ask put v6 on 1
	set_ keepalive=on state=established probes=4
	[[ $output == "1 changed, "* ]]
	expect v6 1 90 75 4 0 alive
	expect v4 0 7200 75 9 0 alive
	set_ 'silent>1h' time=33
	[ "$status" -eq 1 ]
	[ "$stderr" = "tcpkeep: set: no socket matches; 'tcpkeep list' shows what there is" ]
	set_ local=:5432 state=listen time=44
	expect l4 1 44 75 9 0 alive
	ask accept l4 accepted
	expect accepted 1 44 75 9 0 alive
	expect v4 0 7200 75 9 0 alive
}

@test "values turn keepalive on, off turns it off, a user timeout alone does neither" {
	hold
	set_ peer=:5432 user-timeout=45s
	expect v4 0 7200 75 9 45000 alive
	set_ peer=:5432 intvl=7
	expect v4 1 7200 7 9 45000 alive
	set_ peer=:5432 off
	expect v4 0 7200 7 9 45000 alive
	set_ peer=:5432 on
	expect v4 1 7200 7 9 45000 alive
	set_ peer=:5433 probes=1
	[[ $stderr == *"warning: probes=1: a single lost packet kills"*"(2 sockets)" ]]
	# A user timeout replaces the count.
	set_ peer=:5432 probes=1
	[[ $stderr != *"warning: "* ]]
}

@test "MPTCP: the socket that the program holds has the values" {
	hold
	[[ $FDS == *mptcp=* ]] || skip "no MPTCP here"
	# shellcheck disable=SC2086
	set_ peer=:5434 $THREE
	[ "$status" -eq 0 ]
	[[ $output == "1 changed, "* ]]
	[ "$(ask mptcp | cut -d' ' -f1-4)" = "1 60 10 6" ]
	set_ --undo
	[ "$(ask mptcp | cut -d' ' -f1-4)" = "0 7200 75 9" ]
}

@test "dangers are those of the values that the sockets will have" {
	hold
	ask put v4 time 60
	ask put v4 intvl 10
	ask put v4 on 1
	set_ peer=:5432 user-timeout=5s
	[[ $stderr == "tcpkeep: warning: user-timeout=5s is not above time+intvl=1m10s: "*"(1 socket)" ]]
	# They are not of the words: what is off already stays so, and a long user timeout is none.
	ask put mapped user-timeout 400000
	ask put v6 user-timeout 400000
	set_ peer=:5433 time=300 intvl=10
	[ -z "$stderr" ]
	# Once, however many there are.
	set_ peer=:5432,:5433 time=5 intvl=1
	[ "$(grep -c 'probes an hour' <<<"$stderr")" -eq 1 ]
	[[ $stderr == *"time=5: "*"(3 sockets"* ]]
}

@test "a program or a namespace that is not there is answered with what is" {
	hold
	set_ program=pythno time=60 pid="$HOLDER" peer=:5432
	[ "$status" -eq 1 ]
	[[ $stderr == "tcpkeep: set: no socket matches: no program 'pythno' holds one; did you mean program=python"* ]]
	set_ netns=not-there time=60
	[ "$status" -eq 1 ]
	[[ $stderr == "tcpkeep: set: there is no network namespace 'not-there'"* ]]
	set_ program=pythno time=60 --json
	[ "$status" -eq 1 ]
	jq -e '.schema == "tcpkeep.set-summary/1" and .matched == 0 and .refusal == null' <<<"$output"
}

# rows_in COLUMNS WORDS...: on a terminal of so many columns, without its colours; the status is that of set.
rows_in() {
	local columns=$1
	shift
	inside script -qec "stty cols $columns; exec env NO_COLOR=1 \"$TCPKEEP\" set $*" /dev/null </dev/null | tr -d '\r'
}

@test "a table fits the terminal" {
	command -v script >/dev/null || skip "needs script"
	hold
	ask put v4 time 60
	for columns in 80 100; do
		rows_in $columns peer=:5432 time=61 user-timeout=2m -n 2>/dev/null >"$BATS_TEST_TMPDIR/rows"
		grep -q "to change" "$BATS_TEST_TMPDIR/rows"
		[ -z "$(grep -v '^tcpkeep: ' "$BATS_TEST_TMPDIR/rows" | awk -v max=$columns 'length > max')" ]
	done
	set_ peer=:5432 time=61
	ask put v4 time 62
	rows_in 80 --undo -v >"$BATS_TEST_TMPDIR/rows"
	[ "$(tail -2 "$BATS_TEST_TMPDIR/rows")" = "1 socket: changed by somebody else meanwhile
0 changed, 0 as before already, 1 refused" ]
	set_ peer=:5432 time=70 state=established keepalive=on direction=out local=127.0.0.1
	for columns in 60 80; do
		rows_in $columns --history >"$BATS_TEST_TMPDIR/rows"
		grep -q '\.\.\.$' "$BATS_TEST_TMPDIR/rows"
		[ -z "$(awk -v max=$columns 'length > max' "$BATS_TEST_TMPDIR/rows")" ]
	done
}

@test "a table keeps as much as there is room for, and its columns stand below each other" {
	command -v script >/dev/null || skip "needs script"
	# A program with a long name.
	[ -x /usr/bin/python3 ] || skip "needs a python3 that anybody may run"
	ln -s /usr/bin/python3 "$BATS_TEST_TMPDIR/a-long-daemon-s"
	PYTHON3=$BATS_TEST_TMPDIR/a-long-daemon-s hold 2
	ask put many0 on 1
	set_ peer=:5435 time=61 -n
	heading=${lines[0]%%PEER*} row=${lines[1]%%127.0.0.1:5435*}
	[ "${#heading}" -eq "${#row}" ]
	for columns in 76 85 95 120; do
		rows_in $columns peer=:5435 time=61 -n 2>/dev/null | grep -v '^tcpkeep: ' >"$BATS_TEST_TMPDIR/rows"
		awk -v max=$columns 'length > max { exit 1 }' "$BATS_TEST_TMPDIR/rows"
		[ "$(grep -c 'a-long-daemon-s:[0-9]* .*to change$' "$BATS_TEST_TMPDIR/rows")" -eq 2 ]
		# Each column begins where its heading does, in each row.
		awk '/^LOCAL/ { at = index($0, "BEFORE"); result = index($0, "RESULT"); next }
			/to change$/ && index($0, "to change") != result { exit 1 }
			/to change$/ && substr($0, at - 1, 2) !~ /^ [^ ]$/ { exit 1 }' "$BATS_TEST_TMPDIR/rows"
		case $columns in
		76) grep -q '^:[0-9]* .* off  ' "$BATS_TEST_TMPDIR/rows" ;;
		85) grep -q '^127.0.0.1:[0-9]* .* off  ' "$BATS_TEST_TMPDIR/rows" ;;
		*) grep -q '^127.0.0.1:[0-9]* .* off (7200/75/9)  ' "$BATS_TEST_TMPDIR/rows" ;;
		esac
	done
}

@test "--rate takes its time" {
	hold 20
	started=${EPOCHREALTIME/./}
	set_ peer=:5435 time=60 --rate 40
	[ "$output" = "20 changed, 0 held already (tcpkeep set --undo 1)" ]
	# 19 steps of 25 ms, less what it may make up for.
	[ $((${EPOCHREALTIME/./} - started)) -ge 450000 ]
}

@test "a change that takes its time shows how far it is, on a terminal alone" {
	command -v script >/dev/null || skip "needs script"
	hold 60
	rows_in 80 peer=:5435 time=60 --rate 20 >"$BATS_TEST_TMPDIR/shown"
	# More than once, for fewer each time; the last line stands alone.
	grep -qE '[0-9]+ of 60 sockets, [1-3] s left \.\.\.' "$BATS_TEST_TMPDIR/shown"
	[ "$(grep -oE '[0-9]+ of 60 sockets' "$BATS_TEST_TMPDIR/shown" | sort -u | wc -l)" -ge 3 ]
	[[ $(tail -n 1 "$BATS_TEST_TMPDIR/shown") == *"K60 changed, 0 held already (tcpkeep set --undo 1)" ]]
	set_ --undo --rate 20
	[ "$status" -eq 0 ]
	[[ $stderr != *" of 60 sockets"* ]]
}

# Everything that root has and a plain user has not.
as_nobody() {
	nsenter --net="/proc/$HOLDER/ns/net" setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all -- env HOME="$BATS_TEST_TMPDIR/home" STATE_DIRECTORY= "$@"
}

@test "who is not root changes the own sockets, and is told what more it takes" {
	hold
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_SUITE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	mkdir -m 700 "$BATS_TEST_TMPDIR/home"
	chown 65534 "$BATS_TEST_TMPDIR/home"
	[ -x /usr/bin/python3 ] || skip "needs a python3 that anybody may run"
	# Where everybody reaches it, which below /root nobody does.
	install -m 755 "$TCPKEEP" "$BATS_TEST_TMPDIR/tcpkeep"
	run --separate-stderr as_nobody "$BATS_TEST_TMPDIR/tcpkeep" set all time=60
	[ "$status" -eq 4 ]
	[[ $output == "0 changed, 0 held already, "*" denied" ]]
	[ "$(grep -c 'root reaches them' <<<"$stderr")" -eq 1 ]
	# Whose they are is hidden: that is no plain "no".
	run --separate-stderr as_nobody "$TCPKEEP" set program='python*' time=60
	[ "$status" -eq 4 ]
	[[ ${stderr_lines[-1]} == "tcpkeep: set: no socket matches of those whose owner may be seen: "*"hide"*"; root sees all" ]]
	expect v4 0 7200 75 9 0 alive
	# Without a home that it may write there is no journal, and no change; where to have one is said.
	chmod 500 "$BATS_TEST_TMPDIR/home"
	chown 0 "$BATS_TEST_TMPDIR/home"
	run --separate-stderr as_nobody "$BATS_TEST_TMPDIR/tcpkeep" set all time=60
	[ "$status" -eq 4 ]
	[[ $stderr == *"no socket is changed: "*"Permission denied; set XDG_STATE_HOME to a directory that you can write" ]]
	chown 65534 "$BATS_TEST_TMPDIR/home"
	chmod 700 "$BATS_TEST_TMPDIR/home"
	# One of its own beside them.
	mkfifo "$BATS_TEST_TMPDIR/go" "$BATS_TEST_TMPDIR/ready"
	as_nobody /usr/bin/python3 -c '
import os, socket, sys
s = socket.create_connection(("127.0.0.1", 5432))
print("ready", flush=True)
sys.stdin.readline()
print(s.getsockopt(1, 9), s.getsockopt(6, 4), flush=True)
' <"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/ready" 3>&- 8>&- 9<&- &
	own=$!
	exec 6<>"$BATS_TEST_TMPDIR/go" 7<>"$BATS_TEST_TMPDIR/ready"
	read -t 20 -r answer <&7
	run --separate-stderr as_nobody "$BATS_TEST_TMPDIR/tcpkeep" set peer=:5432 time=60
	[ "$status" -eq 3 ]
	[ "$output" = "1 changed, 0 held already, 1 denied (tcpkeep set --undo 1)" ]
	[ "$(stat -c '%a %u' "$BATS_TEST_TMPDIR/home/.local/state/tcpkeep/undo")" = "700 65534" ]
	echo >&6
	read -t 20 -r answer <&7
	wait $own
	[ "$answer" = "1 60" ]
	expect v4 0 7200 75 9 0 alive
}

@test "--netns and --all-netns: one walk for each namespace, one undo for all" {
	hold
	mkfifo "$BATS_TEST_TMPDIR/orders2" "$BATS_TEST_TMPDIR/answers2"
	unshare --net -- "$PYTHON3" "$SOURCE/tests/cli/set-holder.py" "$BATS_TEST_TMPDIR/orders2" \
		"$BATS_TEST_TMPDIR/answers2" 3>&- 8>&- 9<&- &
	second=$!
	exec 6<>"$BATS_TEST_TMPDIR/orders2" 7<>"$BATS_TEST_TMPDIR/answers2"
	read -t 20 -r answer <&7
	# Of these two processes alone: there are other namespaces on this machine.
	run --separate-stderr "$TCPKEEP" set pid="$HOLDER,$second" peer=:5432 time=60 --all-netns
	[ "$output" = "2 changed, 0 held already (tcpkeep set --undo 1)" ]
	expect v4 1 60 75 9 0 alive
	echo v4 >&6
	read -t 20 -r answer <&7
	[ "$answer" = "1 60 75 9 0 alive" ]
	run --separate-stderr "$TCPKEEP" set --undo
	[ "$output" = "2 changed, 0 as before already" ]
	expect v4 0 7200 75 9 0 alive
	run --separate-stderr "$TCPKEEP" set peer=:5432 time=70 --netns "/proc/$HOLDER/ns/net"
	[[ $output == "1 changed, "* ]]
	expect v4 1 70 75 9 0 alive
	echo v4 >&6
	read -t 20 -r answer <&7
	[ "$answer" = "0 7200 75 9 0 alive" ]
	kill $second
}

@test "--json: a row for each socket, and the sum of them" {
	hold
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE --json
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 4 ]
	head -3 <<<"$output" | jq -es 'all(.schema == "tcpkeep.set/1" and .result == "changed" and .reason == null
		and .before == {keepalive: false, time_s: 7200, intvl_s: 75, probes: 9, user_timeout_ms: 0}
		and .after == {keepalive: true, time_s: 60, intvl_s: 10, probes: 6, user_timeout_ms: 0}
		and .owners[0].pid == '"$HOLDER"')'
	jq -e '.schema == "tcpkeep.set-summary/1" and .changed == 3 and .matched == 3 and .undo == 1
		and .from_sysctl == 3 and .forecast.safe and .forecast.sockets == 3' <<<"${lines[3]}"
	set_ --undo --json
	[ "$(jq -r '.result // empty' <<<"$output" | sort | uniq -c | tr -s ' ')" = " 3 changed" ]
	set_ peer=:5432 off --json -v
	jq -es '.[0].result == "held" and .[1].held == 1 and .[1].undo == null' <<<"$output"
}

@test "what keepalive cannot be set on is skipped, and -v tells why" {
	hold
	ask close v6
	set_ all time=60 -v
	[ "$status" -eq 0 ]
	[[ $output == *"skipped: closed by its program"* ]]
	[[ ${lines[-1]} == *" changed, "*" skipped"* ]]
}

@test "--rate is judged as the plan is: half of the queue is taken by others" {
	hold 800
	# All of them at once, of whom each dies of one lost probe, fit into the queue, but not into half of it.
	set_ local=:5435 state=established time=11 intvl=3 probes=1 --rate 100000000
	[ "$status" -eq 1 ]
	[[ ${stderr_lines[-1]} == "tcpkeep: set: refused: "*": it would do so as soon as half of it is taken by others; leave out --rate, or --force" ]]
	set_ local=:5435 state=established time=11 intvl=3 probes=1 --rate 100000000 --force
	[ "$status" -eq 0 ]
	# What each had is no less dangerous, and the way back is judged as well.
	set_ --undo --rate 100000000 --dry-run
	[ "$status" -eq 0 ]
}

@test "a user timeout counts: it replaces the number of lost probes that a connection survives" {
	hold 800
	set_ local=:5435 state=established time=11 intvl=3 probes=9 --rate 100000000 --dry-run
	[ "$status" -eq 0 ]
	set_ local=:5435 state=established time=11 intvl=3 probes=9 user-timeout=12s --rate 100000000 --dry-run
	[ "$status" -eq 1 ]
	[[ $stderr == *"refused: "* ]]
	# More probes, or a longer time, are no way out of a user timeout.
	inside_short_queue() {
		run --separate-stderr inside unshare --mount -- sh -c \
			'mount -t tmpfs tmpfs /proc/sys/net/core && echo 40 >/proc/sys/net/core/netdev_max_backlog && exec "$@"' _ \
			"$TCPKEEP" set local=:5435 state=established time=5 intvl=5 -n "$@"
	}
	inside_short_queue probes=1
	[[ $stderr == *"makes room, or time="*", or probes="*", or --force" ]]
	inside_short_queue user-timeout=6s
	[[ $stderr == *"makes room, or --force" ]]
}

@test "what would drown the machine is refused, with what would help; what is slow is told beforehand" {
	hold 1500
	set_ all time=11 intvl=3 probes=4 --rate 100000000
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ $stderr == *"3,008 sockets will probe"*": changed "* ]]
	[[ ${stderr_lines[-1]} == "tcpkeep: set: refused: "*" healthy connection"*"; leave out --rate, or --force" ]]
	# Another namespace than the first one cannot know how much the queue holds.
	[[ $stderr == *"net.core.netdev_max_backlog cannot be read in this network namespace: the forecast takes it for 1000"* ]]
	expect many7 0 7200 75 9 0 alive
	[ -z "$(ls "$STATE_DIRECTORY/undo")" ]
	# For a program as well.
	set_ all time=11 intvl=3 probes=4 --rate 100000000 --json
	[ "$status" -eq 1 ]
	[ "$(wc -l <<<"$output")" -eq 1 ]
	jq -e '.changed == 0 and .undo == null and .forecast.safe == false and .refusal.without_rate
		and (.refusal.reason | length) > 0' <<<"$output"
	expect many7 0 7200 75 9 0 alive
	set_ all time=11 intvl=3 probes=4 --rate 100000000 --dry-run --json
	[ "$status" -eq 1 ]
	jq -e '.forecast.safe == false and .forecast.lost > 0 and .dry_run' <<<"${lines[-1]}"
	jq -e '.forecast.backlog == 1000 and .forecast.backlog_known == false' <<<"${lines[-1]}"
	set_ all time=11 intvl=3 probes=4 --rate 100000000 --dry-run
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "3,012 to change only by --force, 0 held already" ]
	[[ ${lines[1]} == *"only by --force" ]]
	# The same at the pace that is worked out.
	set_ local=:5435 state=established time=11 intvl=3 probes=4 --dry-run --json
	[ "$status" -eq 0 ]
	jq -e '.forecast.safe and .forecast.deaths == 0 and .forecast.takes_s > 0' <<<"${lines[-1]}"
	set_ local=:5435 state=established time=11 intvl=3 probes=4
	[ "$status" -eq 0 ]
	[[ $output == "1,500 changed, 0 held already"* ]]
	# Again, spread or not, it holds.
	set_ local=:5435 state=established time=11 intvl=3 probes=4
	[ "$output" = "0 changed, 1,500 held already" ]
}
