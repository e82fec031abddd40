#!/bin/bash
# SPDX-License-Identifier: MIT
# pass.bash METHOD MODE: all programs once, in a room of their own; what was seen goes to standard output, as JSON.
#
# MODE alone: each program has its own `tcpkeep run`; enforce: with --enforce; nobody: by a user without privilege;
# tree: this script is below one `tcpkeep run` already, and with it all that it starts; METHOD bare: without.
set -u

METHOD=$1 MODE=$2
HERE=$SOURCE/tests/outside
PROGRAMS=$HERE/programs
# Where every user inside finds what was built: helpers/room.
BUILT=/run/build/tests/outside
STAGE=/run/tmp/stage
STARTED=$EPOCHSECONDS

# shellcheck source=tests/helpers/stage.bash
. "$SOURCE/tests/helpers/stage.bash"
# shellcheck source=tests/helpers/servers.bash
. "$SOURCE/tests/helpers/servers.bash"
# shellcheck disable=SC2034 # the file above uses it
case $METHOD-$MODE in
bare-* | *-tree) RUN=() ;;
*-alone | *-nobody) RUN=("$TCPKEEP" run --method "$METHOD" "${SETTINGS[@]}" --) ;;
*-enforce) RUN=("$TCPKEEP" run --method "$METHOD" --enforce "${SETTINGS[@]}" --) ;;
esac
# Whom the programs run as.
AS=()
if [ "$MODE" = nobody ]; then
	AS=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
fi
WAIT_S=60

mkdir -m 755 "$STAGE"
mkfifo "$STAGE/stdin"
exec 8<>"$STAGE/stdin"
export HOME=$STAGE
PATH=$PATH:/usr/sbin:/sbin:$(postgres_path)
PYTHON3=$(python3 -c 'import sys; print(sys.executable)' || echo python3)
# A version manager's own is in the home of who installed it. By a shell: setpriv passes where nobody would not.
# shellcheck disable=SC2016 # the inner shell expands it
if ! (as_nobody sh -c '"$0" -c ""; exit $?' "$PYTHON3") 2>/dev/null && [ -x /usr/bin/python3 ]; then
	PYTHON3=/usr/bin/python3
fi
REDIS=6379 FILES=8081 NODE=8082 JAVA=8083 GO=8086 TCP=8090 STATIC=8091 MUSL=8092 MUSL_STATIC=8093

# ------------------------------------------------------------------------------------------- the gates

gates=()
next_gate=9001

# gate NAME SERVER PORT: sets `port` to where the client of that name goes to reach the server.
gate() {
	port=$next_gate
	next_gate=$((next_gate + 1))
	gates+=("$1:$port:$2:$3")
}

# ----------------------------------------------------------------------------------------- the clients

# client NAME SERVER-NAME PROGRAM COMMAND...: once its server is ready, through a gate of its own.
client() {
	start "$1" "$3" "" after "$2" work "$1" "${AS[@]}" "${RUN[@]}" "${@:4}"
}

# What it says and how it ends is kept.
work() {
	local name=$1
	shift
	until_true gates grep -q ready "$STAGE/gates.log"
	timeout "$WAIT_S" "$@" </dev/null >"$STAGE/$name.out" 2>"$STAGE/$name.err"
	echo $? >"$STAGE/$name.status.new"
	mv "$STAGE/$name.status.new" "$STAGE/$name.status"
}

git_server_files() {
	mkdir "$STAGE/www"
	echo "what the file says" >"$STAGE/www/page"
	git -c init.defaultBranch=main init -q "$STAGE/repository"
	git -C "$STAGE/repository" -c user.name=x -c user.email=x@localhost commit -q --allow-empty -m first
	git clone -q --bare "$STAGE/repository" "$STAGE/www/repository.git"
	git -C "$STAGE/www/repository.git" update-server-info
}

plain_client=$BUILT/tcp-dynamic

# shellcheck disable=SC2317 # `start` calls it
serve_haproxy_as() {
	RUN=("${AS[@]}" "${RUN[@]}")
	serve_haproxy
}

start_servers() {
	local listening="Ready to accept connections" kind
	git_server_files >"$STAGE/git.log" 2>&1
	if [ "$MODE" = nobody ]; then
		as_daemon() { as_nobody "$@"; }
	fi
	start files python3 "Serving HTTP" "${AS[@]}" "${RUN[@]}" "$PYTHON3" -u -m http.server $FILES --bind 127.0.0.1 \
		--directory "$STAGE/www"
	start haproxy haproxy :$HAPROXY serve_haproxy_as
	start nginx nginx "start worker process " serve_nginx
	start sshd sshd "Server listening" serve_sshd
	start postgres initdb "ready to accept connections" serve_postgres
	start redis redis-server "$listening" "${AS[@]}" "${RUN[@]}" redis-server --save "" --bind 127.0.0.1 --port $REDIS
	start node-server node ready "${AS[@]}" "${RUN[@]}" node "$PROGRAMS/web.mjs" server $NODE
	start java-server java ready "${AS[@]}" "${RUN[@]}" java -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$BUILT" Web server $JAVA
	start go-server "$BUILT/web-go" ready "${AS[@]}" "${RUN[@]}" "$BUILT/web-go" server $GO
	for kind in dynamic:$TCP static:$STATIC musl:$MUSL musl-static:$MUSL_STATIC; do
		start "tcp-${kind%:*}-server" "$BUILT/tcp-${kind%:*}" ready "${AS[@]}" "${RUN[@]}" \
			"$BUILT/tcp-${kind%:*}" server "${kind#*:}"
	done
}

start_web_clients() {
	gate curl nginx $NGINX
	client curl nginx curl curl -sS "http://127.0.0.1:$port/page"
	gate python3 files $FILES
	client python3 files python3 "$PYTHON3" -c "import urllib.request as u
print(u.urlopen('http://127.0.0.1:$port/page').read())"
	gate git files $FILES
	mkdir -m 1777 "$STAGE/clones"
	client git files git git clone "http://127.0.0.1:$port/repository.git" "$STAGE/clones/one"
	gate node node-server $NODE
	client node node-server node node "$PROGRAMS/web.mjs" client "$port"
	gate java java-server $JAVA
	client java java-server java java -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$BUILT" Web client "$port"
	gate go go-server $GO
	client go go-server "$BUILT/web-go" "$BUILT/web-go" client "$port"
}

start_service_clients() {
	gate psql postgres $PGPORT
	client psql postgres psql psql -X -At -c "select sum(n) from generate_series(1, 1000) n" \
		"host=127.0.0.1 port=$port user=postgres"
	gate redis-cli redis $REDIS
	client redis-cli redis redis-cli redis-cli -p "$port" set key value
	gate ssh sshd $SSHD
	ssh_gate=$port
	gate sshd-forward tcp-dynamic-server $TCP
	start ssh ssh "" after sshd ssh_forwards "$port"
}

# No shell at the other end: the user there has none.
# shellcheck disable=SC2317 # `after` calls it
ssh_forwards() {
	ssh_options
	[ "$MODE" != nobody ] || chown 65534 "$STAGE/ssh-key"
	work ssh "${AS[@]}" "${RUN[@]}" bash -c 'echo hello | "$@"' bash ssh "${SSH[@]}" -p "$ssh_gate" \
		-W "127.0.0.1:$1" "$(id -nu 65534)@127.0.0.1"
}

# tcp_client NAME COMMAND...: with the port behind it.
tcp_client() {
	local name=$1 program=$2
	shift
	gate "$name" tcp-dynamic-server $TCP
	client "$name" tcp-dynamic-server "$program" "$@" "$port"
}

start_plain_clients() {
	local kind
	for kind in dynamic:$TCP static:$STATIC musl:$MUSL musl-static:$MUSL_STATIC; do
		gate "tcp-${kind%:*}" "tcp-${kind%:*}-server" "${kind#*:}"
		client "tcp-${kind%:*}" "tcp-${kind%:*}-server" "$BUILT/tcp-${kind%:*}" \
			"$BUILT/tcp-${kind%:*}" client "$port"
	done
	gate uring-connect tcp-dynamic-server $TCP
	client uring-connect tcp-dynamic-server "$BUILT/uring" "$BUILT/uring" connect "$port"
	gate uring-socket tcp-dynamic-server $TCP
	client uring-socket tcp-dynamic-server "$BUILT/uring" "$BUILT/uring" socket "$port"
	gate bash tcp-dynamic-server $TCP
	client bash tcp-dynamic-server bash \
		bash -c "exec 5<>/dev/tcp/127.0.0.1/$port; echo hello >&5; read -r -u 5 line; echo \"\$line\""
	gate perl tcp-dynamic-server $TCP
	client perl tcp-dynamic-server perl perl -MIO::Socket::INET -e \
		"\$s = IO::Socket::INET->new('127.0.0.1:$port') or die; print \$s 'hello', chr 10; print <\$s>"
}

# Those that start the client, or become somebody else on the way.
start_wrapped_clients() {
	printf '%s\n' '#!/bin/sh' "exec $plain_client client \"\$@\"" >"$STAGE/script"
	printf '%s\n' '#!/bin/sh' "$BUILT/tcp-static client \"\$@\"; exit \$?" >"$STAGE/script-static"
	chmod 755 "$STAGE/script" "$STAGE/script-static"
	tcp_client script "$STAGE/script"
	tcp_client script-static "$STAGE/script-static"
	tcp_client wrapped env env A=b nice -n 1 timeout 60 sh -c "$plain_client client \"\$1\"; exit \$?" sh
	tcp_client env-static env env A=b "$BUILT/tcp-static" client
	[ "$ROOM_USERS" = 1 ] || return 0
	cp "$plain_client" "$STAGE/setuid"
	# Neither root nor nobody.
	chown 1 "$STAGE/setuid"
	chmod 4755 "$STAGE/setuid"
	tcp_client setuid "$STAGE/setuid" client
	tcp_client sudo sudo -n -u "$(id -nu 65534)" "$plain_client" client
	tcp_client su su "$(id -nu 65534)" -s "$plain_client" -- client
	tcp_client setpriv setpriv --reuid=65534 --regid=65534 --clear-groups "$plain_client" client
}

# --------------------------------------------------------------------------------------------- the run

all_done() {
	local file name
	for file in "$STAGE"/*.work; do
		name=$(basename "$file" .work)
		[ -e "$STAGE/$name.absent" ] || [ -e "$STAGE/$name.status" ] || return 1
	done
}

start_servers
start_web_clients
start_service_clients
start_plain_clients
start_wrapped_clients
for gate in "${gates[@]}"; do
	case ${gate%%:*} in sshd-forward) ;; *) : >"$STAGE/${gate%%:*}.work" ;; esac
done
gates+=("nginx-upstream:$BEHIND_NGINX:haproxy:$HAPROXY" "haproxy-backend:$BEHIND_HAPROXY:files:$FILES")
: >"$STAGE/looks"
start gates python3 ready "$PYTHON3" "$HERE/gate.py" "$STAGE/looks" "${gates[@]}"
until_true "the clients" all_done >&2
end_all
exec "$PYTHON3" "$HERE/collect.py" "$STAGE"
