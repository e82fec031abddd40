# SPDX-License-Identifier: MIT
# tcpkeep list over real servers and their clients, in a private network: held against ss, procfs
# and getsockopt(), row by row. TCPKEEP is the program, SOCKOPTS reads options past all code of
# ours, helpers/room has made the namespaces.

# shellcheck disable=SC2034,SC2086,SC2153 # the loaded files use them; ports are numbers
bats_require_minimum_version 1.5.0

load ../helpers/stage
load ../helpers/servers
load clients/programs

# More processes that share a listener than anybody would keep on a stack.
NGINX_WORKERS=70

setup_file() {
	open_stage
	PATH=$PATH:$(postgres_path)
	start_some
	await_all
	SOURCES=diag-fd
	if "$TCPKEEP" list --source bpf >/dev/null 2>&1; then
		SOURCES="bpf diag-fd"
	fi
	export SOURCES
	"$TCPKEEP" list --json | jq -c 'select(.cookie)' >"$STAGE/whole"
}

teardown_file() {
	end_all
}

# With values of ours, with the programs' own, and with none.
start_some() {
	local kind
	start silent python3 ready "$PYTHON3" "$CLIENTS/hold.py" listen $SILENT $SILENT2 $BEHIND_NGINX
	start postgres initdb "ready to accept connections" serve_postgres
	start nginx nginx "start worker process " after silent serve_nginx
	start sshd sshd "Server listening" serve_sshd
	start redis redis-server "Ready to accept connections" \
		redis-server --save "" --bind 127.0.0.1 --port $REDIS
	start node-server node ready node "$CLIENTS/server.js" $NODE_HTTP
	psql_stays psql ""
	psql_stays psql-own-idle "keepalives_idle=33" "${RUN[@]}"
	start redis-cli redis-cli subscribe after redis redis-cli -p $REDIS subscribe x
	start curl curl "" after nginx "${RUN[@]}" curl -sS --keepalive-time 33 http://127.0.0.1:$NGINX/
	start_ssh
	for kind in blocking ipv6 off-before own-time; do
		start "python-$kind" python3 ready after silent "$PYTHON3" "$CLIENTS/client.py" $kind $SILENT
	done
	start node-late node ready after silent node "$CLIENTS/client.js" late $SILENT2
	start nc nc "" after silent "$TCPKEEP" run "${SETTINGS[@]}" user-timeout=2m -- \
		nc 127.0.0.1 $SILENT2
	visit node-server $NODE_HTTP
}

# Whoever is there has to come up; to be connected is seen in the kernel alone.
await_all() {
	local file name
	for file in "$STAGE"/*.ready; do
		name=$(basename "$file" .ready)
		until_true "$name" is_ready_or_ended "$name"
		! has_ended "$name" || {
			echo "$name has ended:" && cat "$STAGE/$name.log"
			return 1
		}
	done
	for port in $NGINX $SSHD $BEHIND_NGINX; do
		if "$SOCKOPTS" local=$port state=listen >/dev/null; then
			"$SOCKOPTS" --wait "$WAIT_S" local=$port state=established >/dev/null
		fi
	done
}

has_source() {
	"$TCPKEEP" list --source "$1" >/dev/null 2>&1 || skip "no $1 here"
}

agrees() {
	has_source "$1"
	run "$PYTHON3" "$SOURCE/tests/net/list/compare.py" "$1"
	echo "$output"
	[ "$status" -eq 0 ]
}

# selected JQ-CONDITION SELECTOR...: the selectors choose what jq chooses of all; something, and not
# everything.
selected() {
	local condition=$1 expected found source
	shift
	expected=$(jq -r "select($condition) | .cookie" "$STAGE/whole" | sort -n)
	for source in $SOURCES; do
		found=$("$TCPKEEP" list --source $source --csv -o cookie "$@" | tr -d '\r' | grep -E '^[0-9]' |
			sort -n)
		if [ "$found" != "$expected" ]; then
			echo "$*, $source:" && diff <(echo "$expected") <(echo "$found")
			return 1
		fi
	done
	((count += 1))
	[ -n "$expected" ] && [ "$(wc -l <<<"$expected")" -lt "$(wc -l <"$STAGE/whole")" ]
}

# each JQ-EXPRESSION: its different values over all sockets.
each() {
	jq -r "$1" "$STAGE/whole" | sort -u
}

@test "the servers and their clients are there" {
	each '.owners[].program' | tee "$BATS_TEST_TMPDIR/programs"
	for program in postgres psql nginx redis-server redis-cli sshd ssh node; do
		command -v $program >/dev/null || continue
		grep -qx "$program" "$BATS_TEST_TMPDIR/programs"
	done
	[ "$(jq -s 'map(select(.state == "ESTABLISHED")) | length' "$STAGE/whole")" -ge 16 ]
	# The listener of the workers and of their master.
	if command -v nginx; then
		until_true "workers" test "$(pgrep -c -P "$(pid_of nginx)")" -eq "$NGINX_WORKERS"
		"$TCPKEEP" list state=listen local=:$NGINX --json |
			jq -e ".owners | length >= $NGINX_WORKERS + 1"
	fi
}

@test "bpf agrees with ss, /proc/net/tcp, /proc/PID/fd and getsockopt()" {
	agrees bpf
}

@test "diag-fd agrees with them" {
	agrees diag-fd
}

@test "diag agrees with them, and knows no settings" {
	agrees diag
}

@test "pid= and program=, also of the last of many that share a socket" {
	local pid program count=0
	for pid in $(each '.owners[0].pid, .owners[-1].pid'); do
		selected "any(.owners[]; .pid == $pid)" "pid=$pid"
	done
	for program in $(each '.owners[].program'); do
		selected "any(.owners[]; .program == \"$program\")" "program=$program"
		selected "all(.owners[]; .program != \"$program\")" "program!=$program"
	done
	selected 'any(.owners[]; .program | test("^(redis|p)"))' 'program=redis*,p*'
	[ $count -ge 20 ]
}

@test "user=, state=, direction= and keepalive=" {
	local value count=0
	for value in $(each .user); do
		[ "$(each .user | wc -l)" -gt 1 ] || break
		selected ".user == \"$value\"" "user=$value"
		selected ".user != \"$value\"" "user!=$value"
	done
	for value in LISTEN ESTABLISHED; do
		selected ".state == \"$value\"" "state=${value,,}"
		selected ".state != \"$value\"" "state!=${value,,}"
	done
	for value in in out listen; do
		selected ".direction == \"$value\"" "direction=$value"
	done
	selected '.direction != "in"' 'direction!=in'
	selected .keepalive keepalive=on
	selected '.keepalive == false' keepalive=off
	selected '.keepalive and .direction == "in" and .state == "ESTABLISHED"' keepalive=on \
		direction=in state=established
}

@test "local= and peer=, IPv4 in IPv6 sockets included" {
	local port count=0 in4='test("^(::ffff:)?127\\.0\\.0\\.1$")'
	for port in $(each 'select(.local.address | test("127")) | .local.port' | head -12); do
		selected ".local.port == $port" "local=:$port"
		selected ".local.port == $port and (.local.address | $in4)" "local=127.0.0.1:$port"
	done
	for port in $(each 'select(.peer) | .peer.port' | head -12); do
		selected ".peer and .peer.port == $port" "peer=:$port"
	done
	selected ".peer and (.peer.address | $in4)" peer=127.0.0.0/8
	selected ".peer.port as \$p | \$p == $PGPORT or \$p == $REDIS" peer=:$PGPORT,:$REDIS
	selected ".local.port >= 5000 and .local.port <= 7500" local=:5000-7500
	selected '.local.address == "::1"' 'local=[::1]:1-65535'
	[ $count -ge 15 ]
}
