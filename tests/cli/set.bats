# SPDX-License-Identifier: MIT
# tcpkeep set over real sockets in a network namespace of their own. What came of it the sockets' own process tells,
# by getsockopt(). What the engine does with each kind of socket is in tests/net/set-*.

load common
load holder

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root: other processes' sockets in another network namespace"
	command -v python3 >/dev/null || skip "needs python3"
	PYTHON3=$(python3 -c 'import sys; print(sys.executable)')
	export PYTHON3
}

setup() {
	STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	export STATE_DIRECTORY
}

teardown() {
	if [ -n "${HOLDER:-}" ]; then
		# unshare --fork ignores TERM.
		kill -KILL "$HOLDER" 2>/dev/null || true
		wait "$HOLDER" 2>/dev/null || true
	fi
}

# hold [MANY] [COMMAND...]: the holder in a network of its own.
hold() {
	local many=${1:-0}
	shift || true
	start_holder "$many" unshare --net -- "$@"
}

inside() {
	nsenter --net="/proc/$HOLDER/ns/net" "$@"
}

set_() {
	run --separate-stderr nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set "$@"
}

among_few() {
	nsenter --net="/proc/$HOLDER/ns/net" --mount="/proc/$HOLDER/ns/mnt" \
		--pid="/proc/$HOLDER/ns/pid_for_children" "$@"
}

probes_sent() {
	inside cat /proc/net/netstat | awk '/^TcpExt:/ {
		if (!n) n = split($0, names)
		else for (i = 1; i <= n; i++) if (names[i] == "TCPKeepAlive") print $i
	}'
}

THREE="time=60 intvl=10 probes=6"

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

@test "--undo gives back what each had, --history tells" {
	hold
	ask put v4 time 100
	ask put v4 on 1
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE
	set_ peer=:5432 time=50
	set_ --history
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[1]} == *" 1 "*" 3  done "*"peer=:5432,:5433 $THREE" ]]
	set_ --undo --dry-run
	[[ ${lines[1]} == *" 50/10/6 "*" 60/10/6 "*"to change" ]]
	expect v4 1 50 10 6 0 alive
	set_ --undo
	[ "$output" = "1 changed, 0 as before already" ]
	expect v4 1 60 10 6 0 alive
	set_ --undo
	[ "$output" = "3 changed, 0 as before already" ]
	expect v4 1 100 75 9 0 alive
	expect v6 0 7200 75 9 0 alive
	set_ --undo
	[ "$status" -eq 1 ]
	[[ $stderr == *"nothing to undo"* ]]
	set_ --history --json
	jq -es 'length == 2 and all(.state == "undone" and .schema == "tcpkeep.set-history/1")' <<<"$output"
	# By its number, as often as one likes.
	set_ --undo 1
	[ "$status" -eq 0 ]
	[ "$output" = "0 changed, 3 as before already" ]
	set_ --undo 77
	[ "$status" -eq 1 ]
	[[ $stderr == *"there is no change 77"* ]]
	[ "$(probes_sent)" -eq 0 ]
}

@test "undo out of order: what a later change has changed again is left alone, and both come back" {
	hold
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE
	set_ peer=:5432 time=50
	set_ --undo=1
	[ "$status" -eq 3 ]
	[ "$stderr" = "tcpkeep: warning: set: --undo: change 2 has changed 1 of these sockets again: what it changed is left alone; undo it first: 'tcpkeep set --undo 2'" ]
	[ "$output" = "2 changed, 0 as before already, 1 refused" ]
	expect v4 1 50 10 6 0 alive
	expect v6 0 7200 75 9 0 alive
	# It is not done with: the later one first, then the rest of it.
	set_ --undo
	[ "$output" = "1 changed, 0 as before already" ]
	set_ --undo
	[ "$output" = "1 changed, 2 as before already" ]
	[ -z "$stderr" ]
	expect v4 0 7200 75 9 0 alive
	set_ --undo 1
	[ "$status" -eq 0 ]
	[ "$stderr" = "tcpkeep: set: note: change 1 has been undone already" ]
	# Other settings of the same sockets do not stand in the way.
	# shellcheck disable=SC2086
	set_ peer=:5432 $THREE
	set_ peer=:5432 user-timeout=90s
	set_ --undo 3
	[ "$output" = "1 changed, 0 as before already" ]
	[ -z "$stderr" ]
	expect v4 0 7200 75 9 90000 alive
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
	rows_in 80 --history >"$BATS_TEST_TMPDIR/rows"
	grep -q '\.\.\.$' "$BATS_TEST_TMPDIR/rows"
	[ -z "$(awk 'length > 80' "$BATS_TEST_TMPDIR/rows")" ]
}

@test "--undo leaves alone what somebody else has changed since, and what is gone" {
	hold
	# shellcheck disable=SC2086
	set_ peer=:5432,:5433 $THREE
	ask put v4 intvl 11
	ask close v6
	set_ --undo -v
	[ "$status" -eq 3 ]
	[ "${lines[-1]}" = "1 changed, 0 as before already, 1 vanished, 1 refused" ]
	[[ $output == *"refused: changed by somebody else meanwhile"* ]]
	expect v4 1 60 11 6 0 alive
	expect mapped 0 7200 75 9 0 alive
	# What is refused for that reason will not be given back later either.
	set_ --undo
	[[ $stderr == *"nothing to undo"* ]]
}

@test "the journal is its owner's alone, and bounded" {
	hold
	for number in $(seq 18); do
		set_ peer=:5432 time=$((60 + number))
		[[ $output == *"(tcpkeep set --undo $number)" ]]
	done
	[ "$(stat -c %a "$STATE_DIRECTORY/undo")" = 700 ]
	[ "$(stat -c %a "$STATE_DIRECTORY"/undo/*.set | sort -u)" = 600 ]
	[ "$(ls "$STATE_DIRECTORY/undo" | wc -l)" -eq 16 ]
	[ ! -e "$STATE_DIRECTORY/undo/2.set" ]
}

@test "a journal that somebody else might have written is not believed" {
	hold
	set_ peer=:5432 time=60
	journal=$STATE_DIRECTORY/undo
	cp "$journal/1.set" "$BATS_TEST_TMPDIR/good"

	# Bits that are not what was written.
	printf 'x' | dd of="$journal/1.set" bs=1 seek=100 conv=notrunc 2>/dev/null
	set_ --undo 1
	[ "$status" -eq 1 ]
	[[ $stderr == *"1.set is damaged; remove it" ]]
	set_ --history
	[ "$status" -eq 3 ]
	[[ $stderr == *"1.set is damaged"* ]]
	head -c 60 "$BATS_TEST_TMPDIR/good" >"$journal/1.set"
	set_ --undo
	[ "$status" -eq 1 ]
	: >"$journal/1.set"
	set_ --undo 1
	[[ $stderr == *"damaged"* ]]

	# The right bits of the wrong kind.
	rm "$journal/1.set"
	ln -s "$BATS_TEST_TMPDIR/good" "$journal/1.set"
	set_ --undo 1
	[ "$status" -eq 4 ]
	[[ $stderr == *"not a file that only you can write"* ]]
	rm "$journal/1.set"
	mkfifo "$journal/1.set"
	set_ --undo 1
	[ "$status" -eq 4 ]
	rm "$journal/1.set"
	cp "$BATS_TEST_TMPDIR/good" "$journal/1.set"
	chown 65534 "$journal/1.set"
	set_ --undo 1
	[ "$status" -eq 4 ]
	chown 0 "$journal/1.set"
	chmod 666 "$journal/1.set"
	set_ --undo 1
	[ "$status" -eq 4 ]
	expect v4 1 60 75 9 0 alive
	chmod 600 "$journal/1.set"
	chmod 777 "$journal"
	set_ peer=:5432 time=61
	[ "$status" -eq 4 ]
	[[ $stderr == *"no socket is changed: "*"others may write there"* ]]
	expect v4 1 60 75 9 0 alive
	chmod 700 "$journal"
	set_ --undo 1
	[ "$status" -eq 0 ]
	expect v4 0 7200 75 9 0 alive
}

@test "where the old values cannot be kept nothing is changed" {
	hold
	for place in /proc/nowhere /dev/null/x; do
		STATE_DIRECTORY=$place
		set_ peer=:5432 time=60
		[ "$status" -eq 1 ]
		[[ $stderr == *"the old values cannot be kept, so no socket is changed: "* ]]
	done
	expect v4 0 7200 75 9 0 alive
}

@test "entries from before the last start are known and cannot be undone" {
	hold
	set_ peer=:5432 time=60
	# Another boot: its id, and the sum that goes with it (FNV-1a).
	"$PYTHON3" - "$STATE_DIRECTORY/undo/1.set" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[16] ^= 1
total = 0xcbf29ce484222325
for byte in data[16:]:
    total = (total ^ byte) * 0x100000001b3 % 2**64
data[8:16] = total.to_bytes(8, "little")
open(sys.argv[1], "wb").write(data)
END
	set_ --history
	[[ $output == *"before the last start"* ]]
	set_ --undo
	[ "$status" -eq 1 ]
	[[ $stderr == *"nothing to undo since the machine started"* ]]
	set_ --undo 1
	[ "$status" -eq 1 ]
	[[ $stderr == *"before the machine last started"* ]]
	expect v4 1 60 75 9 0 alive
}

# steps: each call, as "NAME NUMBER", from the first byte of the journal on, that strace has seen.
steps() {
	awk '{ sub(/^[0-9]+ +/, "") }
	match($0, /^[a-z]+\(/) { name = substr($0, 1, RLENGTH - 1); n[name]++; if (/"tcpkset/) begun = 1; if (begun) print name, n[name] }' "$1"
}

@test "killed at any step: each socket has the old or the new values, and --undo gives back the old" {
	command -v strace >/dev/null || skip "needs strace"
	# A leak sanitizer cannot work under strace.
	export ASAN_OPTIONS=detect_leaks=0
	calls=write,fsync,linkat,unlinkat,renameat,read,bpf
	# As many calls each time: what probes already is looked for where there are many sockets, and in the namespaces
	# of the processes that are seen.
	hold 260 unshare --pid --fork --mount-proc --kill-child
	words="peer=:5432,:5433 $THREE --rate 10"
	# shellcheck disable=SC2086
	among_few strace -f -o "$BATS_TEST_TMPDIR/trace" -e trace=$calls "$TCPKEEP" set $words
	set_ --undo
	steps "$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/steps"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/steps")" -gt 15 ]
	seen='' killed=0
	while read -r call number; do
		# shellcheck disable=SC2086
		run among_few strace -f -o /dev/null -e trace="$call" \
			-e inject="$call":signal=SIGKILL:when="$number" "$TCPKEEP" set $words
		# The last reads are not always as many.
		[ "$status" -eq 0 ] || killed=$((killed + 1))
		new=0
		for name in v4 v6 mapped; do
			answer=$(ask $name)
			case $answer in
			"1 60 10 6 0 alive") new=$((new + 1)) ;;
			"0 7200 75 9 0 alive") ;;
			*)
				echo "$call $number: $name has $answer"
				return 1
				;;
			esac
		done
		seen="$seen $new"
		set_ --undo
		[ "$new" -eq 0 ] || [ "$status" -eq 0 ]
		for name in v4 v6 mapped; do
			expect $name 0 7200 75 9 0 alive
		done
	done <"$BATS_TEST_TMPDIR/steps"
	[ "$killed" -gt 15 ]
	# Some ended before, some in the midst of it, some after.
	echo "sockets changed before the end: $seen"
	[[ $seen == *" 0"* && $seen == *" 3"* ]]
	[[ $seen == *" 1"* || $seen == *" 2"* ]]
	# Nothing of it is taken for an entry.
	set_ --history
	[ "$status" -eq 0 ]
}

# What one socket of many0 and many1 may have in the midst of a change that was killed is either's, or off.
all_old() {
	local i
	for i in 0 1; do
		expect many$i 1 100 20 5 0 alive || return 1
	done
}

@test "through descriptors, killed between two writes: --undo knows its own, also what was left off" {
	command -v strace >/dev/null || skip "needs strace"
	export ASAN_OPTIONS=detect_leaks=0
	# Everybody's descriptors are looked at: among few processes, for strace stops at each call.
	hold 2 unshare --pid --fork --mount-proc --kill-child
	set_ peer=:5435 time=100 intvl=20 probes=5
	off=0
	for number in $(seq 1 10); do
		# A pace has each timer start anew: off, the values, on.
		# shellcheck disable=SC2086
		run among_few strace -f -o /dev/null -e trace=setsockopt -e inject=setsockopt:signal=SIGKILL:when=$number \
			"$TCPKEEP" set peer=:5435 $THREE --source diag-fd --rate 100
		[ "$status" -ne 0 ]
		for i in 0 1; do
			answer=$(ask many$i)
			[[ $answer =~ ^(0|1)\ (60|100)\ (10|20)\ (6|5)\ 0\ alive$ ]]
			[[ $answer == 1* ]] || off=$((off + 1))
		done
		if [ "$number" -eq 3 ]; then
			# An undo that is killed there, too, and of an entry that says it is in the midst of it.
			run among_few strace -f -o /dev/null -e trace=setsockopt -e inject=setsockopt:signal=SIGKILL:when=2 \
				"$TCPKEEP" set --undo --source diag-fd --rate 100
			[ "$status" -ne 0 ]
		fi
		set_ --undo
		[ "$status" -eq 0 ]
		all_old
	done
	[ "$off" -ge 4 ]
	# An undo of a change that came to its end, killed.
	# shellcheck disable=SC2086
	set_ peer=:5435 $THREE
	run among_few strace -f -o /dev/null -e trace=setsockopt -e inject=setsockopt:signal=SIGKILL:when=2 \
		"$TCPKEEP" set --undo --source diag-fd --rate 100
	[ "$status" -ne 0 ]
	set_ --undo
	[ "$status" -eq 0 ]
	all_old
	# But who turns it off after a change that came to its end meant it.
	# shellcheck disable=SC2086
	set_ peer=:5435 $THREE
	ask put many0 on 0
	set_ --undo
	expect many0 0 100 20 5 0 alive
	expect many1 1 100 20 5 0 alive
}

@test "an undo that is killed can be run again" {
	command -v strace >/dev/null || skip "needs strace"
	export ASAN_OPTIONS=detect_leaks=0
	hold 12
	# shellcheck disable=SC2086
	set_ peer=:5435 $THREE
	for step in 1 2; do
		# In the midst of it: it waits between two sockets.
		run inside strace -f -o /dev/null -e trace=clock_nanosleep \
			-e inject=clock_nanosleep:signal=SIGKILL:when=$step "$TCPKEEP" set --undo --rate 30
		[ "$status" -ne 0 ]
	done
	set_ --undo
	[ "$status" -eq 0 ]
	[[ $output != "0 changed"* && $output != *" 0 as before already"* ]]
	for i in $(seq 0 11); do
		expect many$i 0 7200 75 9 0 alive
	done
}

@test "a slow change that is interrupted tells how far it came, and is undone" {
	hold 20
	# Not in a function: it is the command itself that gets the signal. A shell's job in the background has no INT.
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set peer=:5435 time=60 --rate 2 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	changer=$!
	until inside "$TCPKEEP" list peer=:5435 keepalive=on --json | grep -q .; do
		:
	done
	kill -TERM $changer
	status=0
	wait $changer || status=$?
	grep -E '^[0-9]+ changed, 0 held already, [0-9]+ not reached \(tcpkeep set --undo 1\)$' "$BATS_TEST_TMPDIR/out"
	[ "$status" -eq 3 ]
	grep -qxF "tcpkeep: set: ended by a signal: the same command again goes on, 'tcpkeep set --undo 1' goes back" \
		"$BATS_TEST_TMPDIR/out"
	set_ --history
	[[ ${lines[1]} =~ \ ([0-9]+)\ \ ended\ early\ of\ 20\ \ peer=:5435 ]]
	grep -q "^${BASH_REMATCH[1]} changed" "$BATS_TEST_TMPDIR/out"
	set_ --history --json
	jq -e '.state == "ended-early" and .planned == 20 and .sockets < 20' <<<"$output"
	set_ --undo
	[ "$status" -eq 0 ]
	[[ $output != "0 changed"* ]]
	[ "$(inside "$TCPKEEP" list peer=:5435 keepalive=on --json | wc -l)" -eq 0 ]
}

@test "a change that fails in the midst of it tells how far it came, and is undone" {
	command -v strace >/dev/null || skip "needs strace"
	export ASAN_OPTIONS=detect_leaks=0
	# As many calls each time, as above; and so slowly that each socket has a read of its own.
	hold 260 unshare --pid --fork --mount-proc --kill-child
	among_few strace -o "$BATS_TEST_TMPDIR/trace" -e trace=read "$TCPKEEP" set peer=:5432,:5433 time=60 --rate 10
	set_ --undo
	# A socket for each of the last reads; the very last one says that there are no more.
	number=$(($(grep -c '^read(' "$BATS_TEST_TMPDIR/trace") - 2))
	run --separate-stderr among_few strace -o /dev/null -e trace=read -e inject=read:error=EIO:when=$number \
		"$TCPKEEP" set peer=:5432,:5433 time=60 --rate 10
	[ "$status" -eq 3 ]
	[[ $stderr == *"walk over the sockets: Input/output error"*"'tcpkeep set --undo 2' goes back"* ]]
	[[ ${lines[-1]} =~ ^[12]\ changed,\ 0\ held\ already,\ [12]\ not\ reached\ \(tcpkeep\ set\ --undo\ 2\)$ ]]
	set_ --undo
	[ "$status" -eq 0 ]
	[ "$(inside "$TCPKEEP" list peer=:5432,:5433 keepalive=on --json | wc -l)" -eq 0 ]
}

@test "--rate takes its time" {
	hold 20
	started=${EPOCHREALTIME/./}
	set_ peer=:5435 time=60 --rate 40
	[ "$output" = "20 changed, 0 held already (tcpkeep set --undo 1)" ]
	# 19 steps of 25 ms, less what it may make up for.
	[ $((${EPOCHREALTIME/./} - started)) -ge 450000 ]
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

# begin_slowly: a change of many0 to many19, in the midst of it; CHANGER is its process.
begin_slowly() {
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set peer=:5435 time=60 --rate 2 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	CHANGER=$!
	until inside "$TCPKEEP" list peer=:5435 keepalive=on --json | grep -q .; do
		:
	done
}

# until_said WORDS FILE
until_said() {
	until grep -q "$1" "$2"; do
		read -t 0.05 -r <> <(:) || :
	done
}

@test "an undo waits for the change that is being made; one that was killed holds up nobody" {
	hold 20
	begin_slowly
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set --undo >"$BATS_TEST_TMPDIR/undo" 2>&1 3>&- &
	undoer=$!
	until_said "tcpkeep: set: waiting for change 1 of process $CHANGER to end" "$BATS_TEST_TMPDIR/undo"
	# What does not change anything does not wait.
	set_ peer=:5435 time=61 --dry-run
	[ "$status" -eq 0 ]
	set_ --history
	[[ ${lines[1]} == *" begun "* ]]
	kill -KILL $CHANGER
	wait $undoer
	grep -qE '^[0-9]+ changed, [0-9]+ as before already$' "$BATS_TEST_TMPDIR/undo"
	[ "$(inside "$TCPKEEP" list peer=:5435 keepalive=on --json | wc -l)" -eq 0 ]
}

@test "who waits for another change can be ended, with nothing done" {
	hold 20
	begin_slowly
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set peer=:5432 time=60 >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
	second=$!
	until_said "waiting for change 1 of process $CHANGER" "$BATS_TEST_TMPDIR/second"
	kill -TERM $second
	status=0
	wait $second || status=$?
	[ "$status" -eq 143 ]
	kill -TERM $CHANGER
	wait $CHANGER || true
	expect v4 0 7200 75 9 0 alive
	[ "$(ls "$STATE_DIRECTORY/undo")" = 1.set ]
}
