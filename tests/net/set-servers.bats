# SPDX-License-Identifier: MIT
# tcpkeep set over real servers and their clients, which know nothing of it, in a private network: what came of it
# is read past all code of ours, by getsockopt() (SOCKOPTS) and by ss.

# shellcheck disable=SC2034,SC2086,SC2153 # the loaded files use them; ports are numbers
bats_require_minimum_version 1.5.0

load ../helpers/stage
load ../helpers/servers
load clients/programs

setup_file() {
	open_stage
	PATH=$PATH:$(postgres_path)
	export STATE_DIRECTORY=$STAGE/state
	# Without values of ours: the servers as they are.
	RUN=()
	start silent python3 ready "$PYTHON3" "$CLIENTS/hold.py" listen $SILENT $BEHIND_NGINX
	start postgres initdb "ready to accept connections" serve_postgres
	start nginx nginx "start worker process " after silent serve_nginx
	start redis redis-server "Ready to accept connections" \
		redis-server --save "" --bind 127.0.0.1 --port $REDIS --tcp-keepalive 0
	psql_stays psql ""
	start redis-cli redis-cli subscribe after redis redis-cli -p $REDIS subscribe x
	start curl curl "" after nginx curl -sS --no-keepalive http://127.0.0.1:$NGINX/
}

teardown_file() {
	end_all
}

# connected SERVER CLIENT PORT: both ends are there.
connected() {
	await "$1"
	await "$2"
	"$SOCKOPTS" --wait "$WAIT_S" local=$3 state=established >/dev/null
	"$SOCKOPTS" --wait "$WAIT_S" peer=$3 state=established >/dev/null
}

# options SOCKOPTS-WORD...: the different ones of all the holders of the sockets.
options() {
	"$SOCKOPTS" "$@" | grep -o 'on=.*' | sort -u
}

has_given() {
	options "$@" | grep -qx "$GIVEN"
}

SET=(time=61 intvl=11 probes=7 user-timeout=2m)
# What sockopts shows of it.
GIVEN="on=1 time=61 intvl=11 probes=7 user-timeout=120000"

# changes PORT [OPTION...]: both ends of what is connected there and the listener get values and give them back.
changes() {
	local port=$1 before_local before_peer before_listen
	shift
	before_local=$(options local=$port state=established)
	before_peer=$(options peer=$port state=established)
	before_listen=$(options local=$port state=listen)
	"$TCPKEEP" set "${SET[@]}" "peer=:$port" "$@"
	[ "$(options peer=$port state=established)" = "$GIVEN" ]
	# The others have been left alone.
	[ "$(options local=$port state=established)" = "$before_local" ]
	"$TCPKEEP" set "${SET[@]}" "local=:$port" "$@"
	[ "$(options local=$port state=established)" = "$GIVEN" ]
	[ "$(options local=$port state=listen)" = "$GIVEN" ]
	nothing_in_flight "( sport = :$port )"
	[ "$(timer_s "$(ss -Htno state established "( sport = :$port )" | head -1)")" -le 66 ]
	[ "$(timer_s "$(ss -Htno state established "( sport = :$port )" | head -1)")" -ge 30 ]
	"$TCPKEEP" set --undo "$@"
	"$TCPKEEP" set --undo "$@"
	[ "$(options local=$port state=established)" = "$before_local" ]
	[ "$(options peer=$port state=established)" = "$before_peer" ]
	[ "$(options local=$port state=listen)" = "$before_listen" ]
}

@test "PostgreSQL and psql, idle in their session" {
	connected postgres psql $PGPORT
	changes $PGPORT
	changes $PGPORT --source diag-fd
	# Nobody noticed: the session answers.
	! has_ended psql
}

@test "redis and a subscriber, by its program's name" {
	connected redis redis-cli $REDIS
	changes $REDIS
	changes $REDIS --source diag-fd
	"$TCPKEEP" set time=62 program=redis-server state=established
	[[ $(options local=$REDIS state=established) == "on=1 time=62 "* ]]
	[[ $(options local=$REDIS state=listen) != *time=62* ]]
	"$TCPKEEP" set --undo
	[ "$(redis-cli -p $REDIS publish x hello)" = 1 ]
	until_true "the subscriber" grep -q hello "$STAGE/redis-cli.log"
}

@test "nginx: its client, itself as a client, and what it accepts next" {
	connected nginx curl $NGINX
	changes $NGINX
	changes $NGINX --source diag-fd
	[[ $(options local=$BEHIND_NGINX state=established) == on=0* ]]
	"$TCPKEEP" set "${SET[@]}" program=nginx peer=:$BEHIND_NGINX
	[ "$(options peer=$BEHIND_NGINX state=established)" = "$GIVEN" ]
	"$TCPKEEP" set "${SET[@]}" local=:$NGINX state=listen
	start next-curl curl "" curl -sS http://127.0.0.1:$NGINX/
	until_true "the next connection" has_given local=$NGINX state=established
	! has_ended curl
}
