# SPDX-License-Identifier: MIT
# The programs of clients.bats: servers, and who connects to them. Only `after` makes one wait for
# another.
# shellcheck disable=SC2034,SC2086 # ports: used by clients.bats, and numbers

PGPORT=5432 REDIS=6379 REDIS_ZERO=6380 REDIS_ENFORCED=6381 SSHD=2222
NGINX=8080 PYTHON_HTTP=8081 NODE_HTTP=8082 JAVA=8083 JAVA_ENFORCED=8084 HAPROXY=8085
# Where nothing is ever said; several, to tell the sockets of one program apart.
SILENT=7000 SILENT2=7001 SILENT3=7002 BEHIND_NGINX=7003 BEHIND_HAPROXY=7004

CLIENTS=$SOURCE/tests/net/clients

# ----------------------------------------------------------------------------------- servers

# Debian keeps its server out of PATH.
postgres_path() {
	find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1
}

# PostgreSQL refuses root. Its own tcp_keepalives_* stay at 0: the system's values.
serve_postgres() {
	nobodys_directory "$STAGE/postgres"
	cd "$STAGE/postgres" || return
	(as_nobody initdb -D data -N -A trust -U postgres --no-locale -E UTF8)
	run_as_nobody postgres -D data -p "$PGPORT" -c listen_addresses=127.0.0.1 \
		-c unix_socket_directories= -c fsync=off
}

# Workers are forked after the listener exists; one, or NGINX_WORKERS. Its upstream never answers.
serve_nginx() {
	local kind
	mkdir -m 777 "$STAGE/nginx"
	{
		echo "daemon off; worker_processes ${NGINX_WORKERS:-1}; pid $STAGE/nginx/pid; error_log stderr notice;"
		echo "events { worker_connections 64; } http { access_log off;"
		for kind in client_body proxy fastcgi uwsgi scgi; do
			echo "${kind}_temp_path $STAGE/nginx/$kind;"
		done
		echo "server { listen 127.0.0.1:$NGINX; location / {"
		echo "	proxy_pass http://127.0.0.1:$BEHIND_NGINX; } } }"
	} >"$STAGE/nginx/conf"
	as_daemon "${RUN[@]}" nginx -e stderr -p "$STAGE/nginx" -c "$STAGE/nginx/conf"
}

# sshd of a user that can become nobody else. It executes itself for each connection.
serve_sshd() {
	nobodys_directory "$STAGE/sshd"
	ssh-keygen -q -t ed25519 -N "" -f "$STAGE/ssh-key"
	(as_nobody ssh-keygen -q -t ed25519 -N "" -f "$STAGE/sshd/host-key")
	printf '%s\n' "ListenAddress 127.0.0.1:$SSHD" "HostKey $STAGE/sshd/host-key" "PidFile none" \
		"AuthorizedKeysFile $STAGE/ssh-key.pub" "StrictModes no" "UsePAM no" >"$STAGE/sshd.conf"
	run_as_nobody "$(command -v sshd)" -D -e -f "$STAGE/sshd.conf"
}

serve_haproxy() {
	printf '%s\n' defaults "mode tcp" "timeout connect 5s" "timeout client 1h" "timeout server 1h" \
		"listen one" "bind 127.0.0.1:$HAPROXY" \
		"server silent 127.0.0.1:$BEHIND_HAPROXY" >"$STAGE/haproxy.conf"
	exec "${RUN[@]}" haproxy -db -f "$STAGE/haproxy.conf"
}

# The same sockets twice: the program's own choices stand, and do not.
run_java() {
	javac -J-XX:-UsePerfData -d "$STAGE/java" "$CLIENTS/Sockets.java"
	: >"$STAGE/java.compiled"
	java_sockets "$JAVA" "${RUN[@]}"
}

java_sockets() {
	exec "${@:2}" java -XX:-UsePerfData -XX:TieredStopAtLevel=1 -cp "$STAGE/java" \
		Sockets $SILENT $SILENT2 $SILENT3 $PYTHON_HTTP "$1"
}

run_java_enforced() {
	until_true java-compiled test -e "$STAGE/java.compiled"
	java_sockets "$JAVA_ENFORCED" "${ENFORCE[@]}"
}

start_servers() {
	local listening="Ready to accept connections"
	start silent python3 ready "$PYTHON3" "$CLIENTS/hold.py" listen $SILENT $SILENT2 $SILENT3 \
		$BEHIND_NGINX $BEHIND_HAPROXY
	start postgres initdb "ready to accept connections" serve_postgres
	start nginx nginx "start worker process " serve_nginx
	start sshd sshd "Server listening" serve_sshd
	start haproxy haproxy :$HAPROXY serve_haproxy
	start redis redis-server "$listening" "${RUN[@]}" \
		redis-server --save "" --bind 127.0.0.1 --port $REDIS
	start redis-zero redis-server "$listening" "${RUN[@]}" \
		redis-server --save "" --bind 127.0.0.1 --port $REDIS_ZERO --tcp-keepalive 0
	start redis-enforced redis-server "$listening" "${ENFORCE[@]}" \
		redis-server --save "" --bind 127.0.0.1 --port $REDIS_ENFORCED
	start python-server python3 ready "${RUN[@]}" "$PYTHON3" "$CLIENTS/server.py" $PYTHON_HTTP
	start node-server node ready "${RUN[@]}" node "$CLIENTS/server.js" $NODE_HTTP
	start java javac ready after silent run_java
	start java-enforced javac ready after silent run_java_enforced
}

# ----------------------------------------------------------------------------------- clients

# visit SERVER PORT: a connection from a program that tcpkeep has nothing to do with.
visit() {
	start "visit-$1" python3 ready after "$1" "$PYTHON3" "$CLIENTS/hold.py" connect "$2"
}

start_visitors() {
	visit python-server $PYTHON_HTTP
	visit node-server $NODE_HTTP
	visit java $JAVA
	visit java-enforced $JAVA_ENFORCED
	visit haproxy $HAPROXY
	visit redis-zero $REDIS_ZERO
}

psql_stays() {
	local name=$1 conninfo=$2
	shift 2
	start "$name" psql ready after postgres "$@" psql -X -At -c "select 'ready'" \
		-c "select pg_sleep(3600)" "host=127.0.0.1 port=$PGPORT user=postgres $conninfo"
}

start_database_clients() {
	psql_stays psql "" "${RUN[@]}"
	psql_stays psql-own-idle "keepalives_idle=33" "${RUN[@]}"
	psql_stays psql-off "keepalives=0" "${RUN[@]}"
	psql_stays psql-enforced "keepalives_idle=33" "${ENFORCE[@]}"
	start redis-cli redis-cli subscribe after redis "${RUN[@]}" redis-cli -p $REDIS subscribe x
	start redis-cli-enforced redis-cli subscribe after redis-enforced "${ENFORCE[@]}" \
		redis-cli -p $REDIS_ENFORCED subscribe x
}

start_curl() {
	local url=http://127.0.0.1:$NGINX/
	start curl curl "" after nginx "${RUN[@]}" curl -sS --keepalive-time 33 $url
	start curl-no-keepalive curl "" after nginx "${RUN[@]}" curl -sS --no-keepalive $url
	start curl-enforced curl "" after nginx "${ENFORCE[@]}" curl -sS $url
}

start_ssh() {
	local config=(-F none -i "$STAGE/ssh-key" -o StrictHostKeyChecking=no -o IdentitiesOnly=yes
		-o UserKnownHostsFile=/dev/null -p "$SSHD")
	start ssh ssh "Entering interactive session" after sshd "${RUN[@]}" \
		ssh -v -N "${config[@]}" "$(id -nu 65534)@127.0.0.1"
}

start_interpreters() {
	local kind
	for kind in blocking ipv6 asyncio off-before off-after own-time spawns; do
		start "python-$kind" python3 ready after silent "${RUN[@]}" \
			"$PYTHON3" "$CLIENTS/client.py" $kind $SILENT
	done
	for kind in off-before off-after spawns; do
		start "python-$kind-enforced" python3 ready after silent "${ENFORCE[@]}" \
			"$PYTHON3" "$CLIENTS/client.py" $kind $SILENT
	done
	start node node ready after silent "${RUN[@]}" node "$CLIENTS/client.js" plain $SILENT
	start node-late node ready after silent "${RUN[@]}" node "$CLIENTS/client.js" late $SILENT
	start node-late-enforced node ready after silent "${ENFORCE[@]}" \
		node "$CLIENTS/client.js" late $SILENT
	start bash bash ready after silent "${RUN[@]}" \
		bash -c "exec 5<>/dev/tcp/127.0.0.1/$SILENT; echo ready; read -r -u 5"
	start perl perl ready after silent "${RUN[@]}" perl -MIO::Socket::INET -e \
		"\$s = IO::Socket::INET->new('127.0.0.1:$SILENT') or die; \$| = 1; print 'ready'; <\$s>"
	start nc nc "" after silent "$TCPKEEP" run --method "${METHOD:-auto}" "${SETTINGS[@]}" user-timeout=2m -- \
		nc 127.0.0.1 $SILENT
}
