# SPDX-License-Identifier: MIT
# tcpkeep set --undo: what it gives back, the journal that it does it from, and what a kill or an interruption leaves.

load set

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
	[[ ${lines[1]} == *" 1 "*" 3  done "*"  set peer=:5432,:5433 $THREE" ]]
	set_ --undo --dry-run
	[[ ${lines[1]} == *" 50/10/6 "*" 60/10/6 "*"to change" ]]
	[[ $stderr == "tcpkeep: set: would undo change 2 of 2"*": tcpkeep set peer=:5432 time=50" ]]
	expect v4 1 50 10 6 0 alive
	set_ --undo
	[ "$output" = "1 changed, 0 as before already" ]
	expect v4 1 60 10 6 0 alive
	set_ --undo
	[ "$output" = "3 changed, 0 as before already" ]
	[[ $stderr == "tcpkeep: set: undoing change 1 of 2"*": tcpkeep set peer=:5432,:5433 $THREE" ]]
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
	[ "${stderr_lines[1]}" = "tcpkeep: warning: set: --undo: change 2 has changed 1 of these sockets again: what it changed is left alone; undo it first: 'tcpkeep set --undo 2'" ]
	[ "$output" = "2 changed, 0 as before already, 1 refused" ]
	expect v4 1 50 10 6 0 alive
	expect v6 0 7200 75 9 0 alive
	# It is not done with: the later one first, then the rest of it.
	set_ --undo
	[ "$output" = "1 changed, 0 as before already" ]
	set_ --undo
	[ "$output" = "1 changed, 2 as before already" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	expect v4 0 7200 75 9 0 alive
	set_ --undo 1
	[ "$status" -eq 0 ]
	[[ ${stderr_lines[0]} == "tcpkeep: set: undoing change 1 of "* ]]
	[ "${stderr_lines[1]}" = "tcpkeep: set: note: change 1 has been undone already" ]
	# Other settings of the same sockets do not stand in the way.
	# shellcheck disable=SC2086
	set_ peer=:5432 $THREE
	set_ peer=:5432 user-timeout=90s
	set_ --undo 3
	[ "$output" = "1 changed, 0 as before already" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	expect v4 0 7200 75 9 90000 alive
	# The same values again are the later change's to give back.
	# shellcheck disable=SC2086
	set_ peer=:5433 $THREE
	set_ peer=:5433 off
	# shellcheck disable=SC2086
	set_ peer=:5433 $THREE
	set_ --undo 5
	[ "$status" -eq 1 ]
	expect v6 1 60 10 6 0 alive
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
		[[ $stderr == *"the old values cannot be kept, so no socket is changed: "*"; set STATE_DIRECTORY to a directory that can be written" ]]
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

@test "the words of a change are the command, to be typed again" {
	hold
	set_ peer=:5432 'program!=no one'"'"'s*' time=60 --force --rate 1000 --now --source bpf
	[ "$output" = "1 changed, 0 held already (tcpkeep set --undo 1)" ]
	set_ --history --json
	words=$(jq -r .words <<<"$output")
	[ "$words" = "set peer=:5432 'program!=no one'\"'\"'s*' time=60 --now --rate 1000 --force --source bpf" ]
	set_ --undo --json
	jq -es --arg words "$words" '.[-1].undone | .id == 1 and .words == $words and .at_s > 0' <<<"$output"
	expect v4 0 7200 75 9 0 alive
	# What a shell makes of them is the same change.
	inside sh -c "$TCPKEEP $words"
	expect v4 1 60 75 9 0 alive
	# What decides only what is shown is none of it, and what is too long is seen to be cut.
	long=$(seq -s , -f 'a-program-of-number-%.0f' 60)
	set_ peer=:5432 "program!=$long" time=61 -v
	[ "$status" -eq 0 ]
	set_ --history
	[[ ${lines[-1]} == *"  done "*"  set peer=:5432 ..." ]]
	set_ peer=:5432 ...
	[ "$status" -eq 2 ]
}

@test "no change at all is said, with the place; as JSON it is nothing" {
	hold
	set_ --history
	[ "$status" -eq 0 ]
	[ "$output" = "0 changes in $STATE_DIRECTORY/undo" ]
	mkdir -p "$STATE_DIRECTORY/undo"
	chmod 700 "$STATE_DIRECTORY/undo"
	set_ --history
	[ "$output" = "0 changes in $STATE_DIRECTORY/undo" ]
	set_ --history --json
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "an entry of a newer tcpkeep is told from a damaged one" {
	hold
	set_ peer=:5432 time=60
	printf '\003' | dd of="$STATE_DIRECTORY/undo/1.set" bs=1 seek=7 conv=notrunc 2>/dev/null
	set_ --undo 1
	[ "$status" -eq 1 ]
	[[ $stderr == *"1.set was written by a newer tcpkeep"* ]]
	printf '\001' | dd of="$STATE_DIRECTORY/undo/1.set" bs=1 seek=7 conv=notrunc 2>/dev/null
	set_ --undo
	[ "$status" -eq 0 ]
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
	[[ ${lines[1]} =~ \ ([0-9]+)\ of\ 20\ \ ended\ early\ \ set\ peer=:5435\ time=60\ --rate\ 2$ ]]
	grep -q "^${BASH_REMATCH[1]} changed" "$BATS_TEST_TMPDIR/out"
	set_ --history --json
	jq -e '.state == "ended-early" and .planned == 20 and .sockets < 20' <<<"$output"
	set_ --undo
	[ "$status" -eq 0 ]
	[[ $output != "0 changed"* ]]
	[ "$(inside "$TCPKEEP" list peer=:5435 keepalive=on --json | wc -l)" -eq 0 ]
}

# changed: how many connections to the port have keepalive on.
changed() {
	inside "$TCPKEEP" list peer=:5435 keepalive=on --json | wc -l
}

@test "a change of many at a time that is interrupted: the journal has each that was changed" {
	hold 1500
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set peer=:5435 time=60 --rate 3000 --force >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	changer=$!
	until [ "$(changed)" -gt 0 ]; do
		:
	done
	kill -TERM $changer
	status=0
	wait $changer || status=$?
	[ "$status" -eq 3 ]
	[[ $(tail -n 1 "$BATS_TEST_TMPDIR/out") =~ ^([0-9,]+)\ changed,\ 0\ held\ already,\ [0-9,]+\ not\ reached ]]
	told=${BASH_REMATCH[1]}
	[ "${told//,/}" -eq "$(changed)" ]
	set_ --undo
	[ "$status" -eq 0 ]
	[ "$output" = "$told changed, 0 as before already" ]
	[ "$(changed)" -eq 0 ]
}

@test "a reader that leaves ends the change as a signal does, and is told of" {
	hold 1500
	run bash -c 'set -o pipefail; "$@" 2>"$BATS_TEST_TMPDIR/err" | head -n 1; exit "${PIPESTATUS[0]}"' _ \
		nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" set peer=:5435 time=60 --rate 1000 --force -v
	[ "$status" -eq 3 ]
	[ "${#lines[@]}" -eq 1 ]
	grep -qxF "tcpkeep: set: ended by a signal: the same command again goes on, 'tcpkeep set --undo 1' goes back" \
		"$BATS_TEST_TMPDIR/err"
	[ "$(changed)" -gt 0 ]
	[ "$(changed)" -lt 1500 ]
	set_ --undo
	[ "$(changed)" -eq 0 ]
}

@test "limits: of the size of a file, and of descriptors" {
	hold 3
	# The messages go through a pipe: the limit holds for a file that they go to as well.
	run inside bash -c 'ulimit -f 0; exec "$@" 2>&1' _ "$TCPKEEP" set peer=:5435 time=60
	[ "$status" -eq 1 ]
	[[ $output == *"the old values cannot be kept, so no socket is changed: "*"File too large"* ]]
	refused='' made=''
	for n in 6 7 8 9 10 12 16; do
		run --separate-stderr inside bash -c "exec 3>&- 4>&- 8>&- 9>&-; ulimit -n $n; exec \"\$@\"" _ \
			env ASAN_OPTIONS=detect_leaks=0 "$TCPKEEP" set peer=:5435 time=60 --source bpf -n
		if [ "$status" -eq 0 ]; then
			made=1
		else
			[[ $status == [14] ]]
			[[ $stderr == "tcpkeep: set: "*"Too many open files"* ]]
			[[ $stderr != *"this kernel"* ]]
			refused=1
		fi
	done
	[ "$made$refused" = 11 ]
	[ "$(changed)" -eq 0 ]
	STATE_DIRECTORY=somewhere set_ peer=:5435 time=60
	[ "$status" -eq 1 ]
	[[ $stderr == *"tcpkeep: set: STATE_DIRECTORY is no absolute path"* ]]
	[ "$(changed)" -eq 0 ]
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
	# A signal that whoever started it has blocked makes no difference to that.
	nsenter --net="/proc/$HOLDER/ns/net" env --block-signal=ALRM "$TCPKEEP" set peer=:5432 time=60 >"$BATS_TEST_TMPDIR/third" 2>&1 3>&- &
	third=$!
	until_said "waiting for change 1 of process $CHANGER" "$BATS_TEST_TMPDIR/third"
	kill -TERM $third
	wait $third || true
	kill -TERM $second
	status=0
	wait $second || status=$?
	[ "$status" -eq 143 ]
	kill -TERM $CHANGER
	wait $CHANGER || true
	expect v4 0 7200 75 9 0 alive
	[ "$(ls "$STATE_DIRECTORY/undo")" = 1.set ]
}
