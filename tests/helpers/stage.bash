# SPDX-License-Identifier: MIT
# Real programs side by side in one room, and what their sockets look like from outside.
# shellcheck disable=SC2034 # those that load it use them

WAIT_S=30
SETTINGS=(time=61 intvl=11 probes=7)
# The method: what meson asks for, else what tcpkeep chooses.
RUN=("$TCPKEEP" run --method "${METHOD:-auto}" "${SETTINGS[@]}" --)
ENFORCE=("$TCPKEEP" run --method "${METHOD:-auto}" --enforce "${SETTINGS[@]}" --)
# What sockopts shows of a socket that got them all.
OURS="on=1 time=61 intvl=11 probes=7 user-timeout=0"

# ------------------------------------------------------------------------------ starting, ending

# open_stage: first of all, in setup_file(); end_all is the last.
open_stage() {
	export STAGE=$BATS_FILE_TMPDIR STARTED=$EPOCHSECONDS HOME=$BATS_FILE_TMPDIR
	PATH=$PATH:/usr/sbin:/sbin
	# What as_nobody has to come through.
	chmod 755 "$BATS_RUN_TMPDIR" "${BATS_FILE_TMPDIR%/*}" "$BATS_FILE_TMPDIR"
	# Input that never comes and never ends: who reads it holds it open for writing, too.
	mkfifo "$STAGE/stdin"
	exec 8<>"$STAGE/stdin"
	# A version manager's python3 is a script that takes its time.
	PYTHON3=$(python3 -c 'import sys; print(sys.executable)' || echo python3)
	export PYTHON3
}

# start NAME PROGRAM READY COMMAND...: in the background. PROGRAM is what has to be there. READY is
# the line of its output that says that it has done all it does to its sockets, or :PORT where it
# listens, or "": to be connected is all.
start() {
	local name=$1 program=$2 ready=$3
	shift 3
	if ! command -v "$program" >/dev/null; then
		echo "$program" >"$STAGE/$name.absent"
		return
	fi
	# Without its server a client is not there, either.
	if [ "$1" = after ] && [ -e "$STAGE/$2.absent" ]; then
		cp "$STAGE/$2.absent" "$STAGE/$name.absent"
		return
	fi
	echo "$ready" >"$STAGE/$name.ready"
	# 3 and 4 are bats's own: it waits for all that hold them.
	"$@" <"$STAGE/stdin" >"$STAGE/$name.log" 2>&1 3>&- 4>&- &
	echo $! >"$STAGE/$name.pid"
	disown
}

# after NAME COMMAND...: becomes the command once another program is ready.
after() {
	until_true "$1" is_ready_or_ended "$1"
	shift
	if [ "$(type -t "$1")" = function ]; then "$@"; else exec "$@"; fi
}

pid_of() {
	cat "$STAGE/$1.pid"
}

# until_true WHAT COMMAND...: asks until it is true: no event tells of what is waited for here.
until_true() {
	local what=$1 deadline=$((SECONDS + WAIT_S))
	shift
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)); then
			echo "$what: not within $WAIT_S s"
			return 1
		fi
		sleep 0.03
	done
}

is_ready() {
	local ready
	ready=$(cat "$STAGE/$1.ready")
	case $ready in
	"") true ;;
	:*) "$SOCKOPTS" "local=${ready#:}" state=listen ;;
	*) grep -q -- "$ready" "$STAGE/$1.log" ;;
	esac
}

has_ended() {
	! kill -0 "$(pid_of "$1")" 2>/dev/null
}

is_ready_or_ended() {
	is_ready "$1" || has_ended "$1"
}

# Waits until a program is ready; when it has ended instead, shows its output.
await() {
	if [ -e "$STAGE/$1.absent" ]; then
		skip "no $(cat "$STAGE/$1.absent")"
	fi
	if until_true "$1" is_ready_or_ended "$1" && ! has_ended "$1"; then
		return
	fi
	echo "$1 has not come up:"
	cat "$STAGE/$1.log"
	return 1
}

# By pid; what its parent has not taken along goes with the room.
end_all() {
	local pids
	mapfile -t pids < <(cat "$STAGE"/*.pid)
	kill "${pids[@]}" 2>/dev/null || true
	WAIT_S=3 until_true "programs" all_ended "${pids[@]}" || kill -KILL "${pids[@]}" || true
}

all_ended() {
	! kill -0 "$@"
}

# ------------------------------------------------------------------------------------- users

# Becomes a command run by nobody, with no privilege. In a user namespace that is the user outside.
as_nobody() {
	if [ "$ROOM_USERS" = 1 ]; then
		exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
	else
		exec unshare --user --map-user=65534 --map-group=65534 -- "$@"
	fi
}

# run_as_nobody COMMAND...: the same under tcpkeep, which for bpf is root itself.
run_as_nobody() {
	if [ "${METHOD-}" = bpf ]; then
		exec "${RUN[@]}" setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
	fi
	as_nobody "${RUN[@]}" "$@"
}

# For a daemon that stops being root by itself, which it cannot in a user namespace.
as_daemon() {
	if [ "$ROOM_USERS" = 1 ]; then exec "$@"; else as_nobody "$@"; fi
}

# A directory of nobody's own.
nobodys_directory() {
	mkdir -m 700 "$1"
	if [ "$ROOM_USERS" = 1 ]; then
		chown 65534:65534 "$1"
	fi
}

# ----------------------------------------------------------------------------------- looking

# timer_s LINE: whole seconds of ss's timer:(keepalive,1min1sec,0); nothing when there is none.
timer_s() {
	local keepalive='timer:\(keepalive,(([0-9]+)min)?(([0-9]+)(sec|\.))?([0-9]+ms)?,[0-9]+\)'
	[[ $1 =~ $keepalive ]] || return 0
	echo $((10#0${BASH_REMATCH[2]} * 60 + 10#0${BASH_REMATCH[4]}))
}

# Data in flight has a timer of its own, which hides keepalive's.
nothing_in_flight() {
	[[ $(ss -Htno "$1") != *timer:\(on,* ]]
}

# What ss says of one connection: is its timer armed, with no more than time, and with no less than
# can be left of it?
ss_agrees() {
	local filter="sport = :$1 and dport = :$2" on=$3 time=$4 line left age
	until_true "$filter" nothing_in_flight "$filter"
	line=$(ss -Htno "$filter")
	left=$(timer_s "$line")
	age=$((EPOCHSECONDS - STARTED))
	if ((!on)); then
		[[ -n $line && $line != *timer:\(keepalive* ]] && return
	elif [[ -n $left ]]; then
		((left <= time && left >= time - age - 1)) && return
	fi
	echo "ss: expected on=$on time=$time, $age s after the start: $line"
	return 1
}

# sockets_are EXPECTED FILTER...: every socket that sockopts finds has these options, and ss agrees.
sockets_are() {
	local expected=$1 line found address
	shift
	found=$("$SOCKOPTS" --wait "$WAIT_S" "$@") || {
		echo "no socket: $*"
		return 1
	}
	address='state=([a-z]+) local=.*:([0-9]+) peer=.*:([0-9]+) on=([0-9]+) time=([0-9]+)'
	while read -r line; do
		if [[ $line != *" $expected" ]]; then
			echo "expected: $expected"
			echo "sockopts: $line"
			return 1
		fi
		[[ $line =~ $address ]]
		# A listener has no timer.
		[ "${BASH_REMATCH[1]}" = listen ] || ss_agrees "${BASH_REMATCH[@]:2}" || return 1
	done <<<"$found"
}

# client_is NAME PORT EXPECTED: a program's connection to a port.
client_is() {
	await "$1"
	sockets_are "$3" "pid=$(pid_of "$1")" "peer=$2" state=established
}

# server_is NAME PORT EXPECTED: its listener, and what it or a child of it has accepted.
server_is() {
	await "$1"
	sockets_are "$3" "local=$2" state=listen
	sockets_are "$3" "local=$2" state=established
}
