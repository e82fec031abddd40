# SPDX-License-Identifier: MIT
# Real programs under `tcpkeep run`, in a private network: each one's sockets are read back by ss,
# and by getsockopt() on a copy of the descriptor. TCPKEEP is the program, SOCKOPTS the reader,
# SOURCE the source tree; helpers/room has made the namespaces.
#
# All programs run side by side from the start; a case waits for its own.

# shellcheck disable=SC2034,SC2086 # the loaded files use them; ports are numbers
bats_require_minimum_version 1.5.0

load ../helpers/stage
load ../helpers/servers
load clients/programs

setup_file() {
	open_stage
	PATH=$PATH:$(postgres_path)
	start_servers
	start_visitors
	start_database_clients
	start_curl
	start_ssh
	start_interpreters
}

teardown_file() {
	end_all
}

# ----------------------------------------------------------------------------------- clients

@test "psql: libpq turns keepalive on and leaves the values to us" {
	client_is psql $PGPORT "$OURS"
}

@test "psql: keepalives_idle=33 of the connection string stands, the rest is ours" {
	client_is psql-own-idle $PGPORT "on=1 time=33 intvl=11 probes=7 user-timeout=0"
}

@test "psql: keepalives=0 asks the kernel for nothing: filled in" {
	client_is psql-off $PGPORT "$OURS"
}

@test "psql --enforce: keepalives_idle=33 is overruled" {
	client_is psql-enforced $PGPORT "$OURS"
}

@test "redis-cli: its own 15 s, 5 s and 3 probes stand" {
	client_is redis-cli $REDIS "on=1 time=15 intvl=5 probes=3 user-timeout=0"
}

@test "redis-cli --enforce: they do not" {
	client_is redis-cli-enforced $REDIS_ENFORCED "$OURS"
}

@test "curl: --keepalive-time 33 stands for time and intvl" {
	local probes=7
	# From 8.9.0 on curl sets the count as well.
	if curl --version | grep -qE '^curl (8\.(9|[1-9][0-9])|9|[1-9][0-9])\.'; then
		probes=9
	fi
	client_is curl $NGINX "on=1 time=33 intvl=33 probes=$probes user-timeout=0"
}

@test "curl --no-keepalive: it asks the kernel for nothing: filled in" {
	client_is curl-no-keepalive $NGINX "$OURS"
}

@test "curl --enforce: its 60 s are overruled" {
	client_is curl-enforced $NGINX "$OURS"
}

@test "python3: a blocking connect" {
	client_is python-blocking $SILENT "$OURS"
}

@test "python3: IPv6" {
	[ -e /proc/net/if_inet6 ] || skip "no IPv6"
	client_is python-ipv6 $SILENT "$OURS"
}

@test "python3: asyncio, a non-blocking connect" {
	client_is python-asyncio $SILENT "$OURS"
}

@test "python3: keepalive turned off before connect() is left alone" {
	client_is python-off-before $SILENT "on=0 time=7200 intvl=75 probes=9 user-timeout=0"
}

@test "python3: keepalive turned off after connect() is left alone" {
	client_is python-off-after $SILENT "on=0 time=61 intvl=11 probes=7 user-timeout=0"
}

@test "python3 --enforce: keepalive cannot be turned off, before connect() or after" {
	client_is python-off-before-enforced $SILENT "$OURS"
	client_is python-off-after-enforced $SILENT "$OURS"
}

@test "python3: a TCP_KEEPIDLE of its own stands" {
	client_is python-own-time $SILENT "on=1 time=33 intvl=11 probes=7 user-timeout=0"
}

@test "python3: values of its own stand although it starts programs in between" {
	client_is python-spawns $SILENT "on=1 time=61 intvl=22 probes=3 user-timeout=0"
}

@test "python3 --enforce: they do not, although it starts programs in between" {
	client_is python-spawns-enforced $SILENT "$OURS"
}

@test "node: net.connect()" {
	client_is node $SILENT "$OURS"
}

@test "node: setKeepAlive(true, 33000) stands; libuv sets all three" {
	client_is node-late $SILENT "on=1 time=33 intvl=1 probes=10 user-timeout=0"
}

@test "node --enforce: setKeepAlive() is overruled" {
	client_is node-late-enforced $SILENT "$OURS"
}

@test "java: Socket, SocketChannel and HttpClient" {
	client_is java $SILENT "$OURS"
	client_is java $SILENT3 "$OURS"
	client_is java $PYTHON_HTTP "$OURS"
}

@test "java: setKeepAlive(false) is left alone" {
	client_is java $SILENT2 "on=0 time=61 intvl=11 probes=7 user-timeout=0"
}

@test "java --enforce: setKeepAlive(false) is overruled" {
	client_is java-enforced $SILENT2 "$OURS"
	client_is java-enforced $SILENT3 "$OURS"
}

@test "bash: /dev/tcp" {
	client_is bash $SILENT "$OURS"
}

@test "perl: IO::Socket::INET" {
	client_is perl $SILENT "$OURS"
}

@test "nc, with a user timeout" {
	client_is nc $SILENT "on=1 time=61 intvl=11 probes=7 user-timeout=120000"
}

@test "ssh: it turns keepalive on and leaves the values to us" {
	client_is ssh $SSHD "$OURS"
}

# ----------------------------------------------------------------------------------- servers

@test "PostgreSQL: its backends turn keepalive on and take our values for the system's" {
	server_is postgres $PGPORT "$OURS"
	run psql -X -At -c "select current_setting('tcp_keepalives_idle')" \
		"host=127.0.0.1 port=$PGPORT user=postgres"
	[ "$status" -eq 0 ]
	[ "$output" = 61 ]
}

@test "redis-server: tcp-keepalive 300, its default, stands on what it accepts" {
	await redis-cli
	await redis
	sockets_are "$OURS" local=$REDIS state=listen
	sockets_are "on=1 time=300 intvl=100 probes=3 user-timeout=0" local=$REDIS state=established
}

@test "redis-server: with tcp-keepalive 0 it leaves keepalive to us" {
	await visit-redis-zero
	server_is redis-zero $REDIS_ZERO "$OURS"
}

@test "redis-server --enforce: tcp-keepalive 300 is overruled" {
	await redis-cli-enforced
	server_is redis-enforced $REDIS_ENFORCED "$OURS"
}

@test "nginx: what a forked worker accepts and what it connects" {
	await curl
	server_is nginx $NGINX "$OURS"
	sockets_are "$OURS" peer=$BEHIND_NGINX state=established
}

@test "python3: ThreadingHTTPServer" {
	await visit-python-server
	server_is python-server $PYTHON_HTTP "$OURS"
}

@test "node: an http server" {
	await visit-node-server
	server_is node-server $NODE_HTTP "$OURS"
}

@test "java: ServerSocket" {
	await visit-java
	server_is java $JAVA "$OURS"
}

@test "haproxy: both of its sides" {
	await visit-haproxy
	server_is haproxy $HAPROXY "$OURS"
	sockets_are "$OURS" peer=$BEHIND_HAPROXY state=established
}

@test "sshd: its child, executed anew, keeps what it inherits" {
	await ssh
	server_is sshd $SSHD "$OURS"
}

# ------------------------------------------------------------------------------- the fixture

@test "a program that tcpkeep did not run has no keepalive: the reader reads what is there" {
	await visit-python-server
	sockets_are "on=0 time=7200 intvl=75 probes=9 user-timeout=0" \
		"pid=$(pid_of visit-python-server)" state=established
	sockets_are "on=0 time=7200 intvl=75 probes=9 user-timeout=0" local=$SILENT state=established
}
