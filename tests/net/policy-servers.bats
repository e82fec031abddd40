# SPDX-License-Identifier: MIT
# A policy over real servers and their clients, in a private network and a cgroup of its own: none is changed or started
# again, and the servers run before there is a policy. What they got is seen in `tcpkeep list`, by getsockopt() past all
# code of ours (SOCKOPTS), and by ss. helpers/room has made the namespaces.

# shellcheck disable=SC2034,SC2086,SC2153 # the loaded files use them; ports are numbers
bats_require_minimum_version 1.5.0

load ../helpers/stage
load ../helpers/servers
load clients/programs

# Nothing stands in front of any program.
RUN=(env)
DEFAULTS="on=0 time=7200 intvl=75 probes=9 user-timeout=0"

setup_file() {
	local mount
	[ "$ROOM_USERS" = 1 ] || skip "not root"
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	{ [ -n "$mount" ] && GROUP=$(mktemp -d "$mount/tcpkeep-servers-XXXXXXXX"); } || skip "no cgroup2 that is writable"
	export GROUP
	open_stage
	PATH=$PATH:$(postgres_path)
	start_all
}

teardown_file() {
	[ -n "${GROUP-}" ] && [ -d "$GROUP" ] || return 0
	end_all
	"$TCPKEEP" policy remove --cgroup "$GROUP" >/dev/null
	until_true "$GROUP" rmdir "$GROUP"
}

# Becomes the command in the cgroup.
inside() {
	echo $BASHPID >"$GROUP/cgroup.procs"
	if [ "$(type -t "$1")" = function ]; then "$@"; else exec "$@"; fi
}

# Who would turn keepalive on itself, with its own values, is enforced; the others leave it off.
write_policy() {
	cat >"$STAGE/policy.conf" <<'END'
profile "ours" { time = 61 intvl = 11 probes = 7 }
rule "own values" { program = { "psql", "redis-*", "go-client" } profile = "ours" mode = "enforce" }
rule "the rest" { profile = "ours" }
END
}

build_go() {
	# Nothing is fetched: it has the standard library and no cgo.
	CGO_ENABLED=0 GO111MODULE=off go build -o "$STAGE/go-client" "$CLIENTS/dial.go" && exec "$STAGE/go-client" 127.0.0.1:$SILENT
}

run_java_plain() {
	javac -J-XX:-UsePerfData -d "$STAGE/java" "$CLIENTS/Sockets.java"
	exec java -XX:-UsePerfData -XX:TieredStopAtLevel=1 -cp "$STAGE/java" \
		Sockets $SILENT $SILENT2 $SILENT3 $BEHIND_NGINX $JAVA
}

applied() {
	until_true policy test -e "$STAGE/applied"
	inside "$@"
}

start_all() {
	start silent python3 ready "$PYTHON3" "$CLIENTS/hold.py" listen $SILENT $SILENT2 $SILENT3 $BEHIND_NGINX
	start postgres initdb "ready to accept connections" inside serve_postgres
	start nginx nginx "start worker process " after silent inside serve_nginx
	start redis redis-server "Ready to accept connections" \
		inside redis-server --save "" --bind 127.0.0.1 --port $REDIS
	start node-server node ready inside node "$CLIENTS/server.js" $NODE_HTTP
	start go go ready after silent applied build_go
	start java javac ready after silent applied run_java_plain
	for name in silent postgres nginx redis node-server; do
		[ -e "$STAGE/$name.absent" ] || until_true "$name" is_ready_or_ended "$name"
	done
	# Made before there is a policy.
	start old python3 ready inside "$PYTHON3" "$CLIENTS/client.py" blocking $SILENT
	until_true old is_ready_or_ended old
	write_policy
	status=0
	"$TCPKEEP" policy apply "$STAGE/policy.conf" --cgroup "$GROUP" || status=$?
	if [ $status = 4 ]; then
		end_all
		until_true "$GROUP" rmdir "$GROUP"
		skip "no privilege, or no BPF"
	fi
	[ $status = 0 ]
	: >"$STAGE/applied"
	start psql psql ready after postgres inside psql -X -At -c "select 'ready'" -c "select pg_sleep(3600)" \
		"host=127.0.0.1 port=$PGPORT user=postgres"
	start redis-cli redis-cli subscribe after redis inside redis-cli -p $REDIS subscribe x
	start curl curl "" after nginx inside curl -sS --no-keepalive http://127.0.0.1:$NGINX/
	start node node ready inside node "$CLIENTS/client.js" plain $SILENT
	visit node-server $NODE_HTTP
	visit java $JAVA
}

# listed PROGRAM SELECTOR...: all that tcpkeep finds of it is ours, and it finds some.
listed() {
	local program=$1
	shift
	"$TCPKEEP" list "program=$program" state=established "$@" --json | jq -se --arg p "$program" '
		map(select(.cookie)) | length > 0 and
		all(.keepalive and .time_s == 61 and .intvl_s == 11 and .probes == 7)' || {
		"$TCPKEEP" list "program=$program"
		return 1
	}
}

@test "PostgreSQL and psql" {
	await psql
	server_accepted postgres $PGPORT
	client_is psql $PGPORT "$OURS"
	listed postgres
	listed psql
}

# What it accepted; its listener, there before the policy, is as it was.
server_accepted() {
	await "$1"
	sockets_are "$OURS" "local=$2" state=established
}

@test "redis, which has values of its own, and its client" {
	await redis-cli
	server_accepted redis $REDIS
	client_is redis-cli $REDIS "$OURS"
	listed redis-server
	listed redis-cli
}

@test "nginx, to both sides, and curl" {
	client_is curl $NGINX "$OURS"
	server_accepted nginx $NGINX
	sockets_are "$OURS" "peer=$BEHIND_NGINX" state=established
	listed nginx
}

@test "a static Go program" {
	await go
	run ldd "$STAGE/go-client"
	[[ $output == *"not a dynamic executable"* ]]
	client_is go $SILENT "$OURS"
	listed go-client
}

@test "Java: what it left alone; what it chose itself stands in mode default" {
	await java
	client_is java $SILENT "$OURS"
	client_is java $BEHIND_NGINX "$OURS"
	client_is java $SILENT2 "on=0 time=61 intvl=11 probes=7 user-timeout=0"
	# ss tells two hours to the minute.
	"$SOCKOPTS" "pid=$(pid_of java)" peer=$SILENT3 state=established |
		grep -q " on=1 time=7200 intvl=75 probes=9 user-timeout=0$"
	await visit-java
	server_accepted java $JAVA
	listed java peer=:$SILENT,:$BEHIND_NGINX
}

@test "node, as client and as server" {
	client_is node $SILENT "$OURS"
	await visit-node-server
	server_accepted node-server $NODE_HTTP
	listed node
}

@test "a connection from before is as it was, until apply --existing" {
	local changed=1
	client_is old $SILENT "$DEFAULTS"
	if [ ! -e "$STAGE/java.absent" ]; then
		await java
		changed=2
	fi
	STATE_DIRECTORY=$BATS_TEST_TMPDIR run "$TCPKEEP" policy apply "$STAGE/policy.conf" --cgroup "$GROUP" --existing
	echo "$output"
	[ "$status" -eq 0 ]
	# The one, and Java's that is off: that its program has turned it off cannot be seen.
	[[ $output == *$'\n'"Open connections: $changed changed, "* ]]
	client_is old $SILENT "$OURS"
}

@test "status counts them, and nothing has failed" {
	run --separate-stderr "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.rules[].failed]' <<<"$output")" = '[0,0]' ]
}
