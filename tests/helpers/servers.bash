# SPDX-License-Identifier: MIT
# Servers that want a directory, a user or a configuration of their own. RUN stands in front of each; BEHIND_NGINX
# and BEHIND_HAPROXY are what the two connect to.
# shellcheck disable=SC2034,SC2086 # ports: used by who loads this, and numbers

PGPORT=5432 SSHD=2222 NGINX=8080 HAPROXY=8085 BEHIND_NGINX=7003 BEHIND_HAPROXY=7004

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

# Sets SSH to the options with which ssh asks nobody and reads no configuration of the user's.
ssh_options() {
	SSH=(-F none -i "$STAGE/ssh-key" -o StrictHostKeyChecking=no -o IdentitiesOnly=yes
		-o UserKnownHostsFile=/dev/null)
}
