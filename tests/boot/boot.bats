# SPDX-License-Identifier: MIT
# The unit, at a boot of systemd's own: is the policy in force before the first service connects? In namespaces and a
# cgroup of its own, over this machine's files.

setup() {
	[ "$(id -u)" = 0 ] || skip "not root"
	[ -x /lib/systemd/systemd ] || skip "no systemd"
	GROUP=
	MOUNT=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	[ -n "$MOUNT" ] || skip "no cgroup2"
	# tmpfs: an overlay's files cannot lie on another's.
	PLACE=$BATS_TEST_TMPDIR/machine
	UNITS=$PLACE/etc/systemd/system
	mkdir -p "$UNITS/sysinit.target.wants" "$PLACE/etc/tcpkeep" "$PLACE/bin" "$PLACE/told"
	cp "$TCPKEEP" "$PLACE/bin/tcpkeep"
	sed 's#=[^ ]*/tcpkeep policy#=/usr/local/bin/tcpkeep policy#; /^RequiresMountsFor/d' "$UNIT" \
		>"$UNITS/tcpkeep-policy.service"
	ln -s ../tcpkeep-policy.service "$UNITS/sysinit.target.wants/"
	printf '[Unit]\nRequires=tell.service\nAllowIsolate=yes\n' >"$UNITS/default.target"
	# Neither waits for the policy by name, nor for the network.
	printf '[Service]\nExecStart=/bin/nc -lk 127.0.0.1 9000\n' >"$UNITS/server.service"
	cat >"$UNITS/client.service" <<-'END'
		[Unit]
		Requires=server.service
		After=server.service
		[Service]
		ExecStart=/bin/sh -c 'until ss -Hltn sport = :9000 | grep -q .; do sleep 0.02; done; sleep 1000 | exec nc 127.0.0.1 9000'
	END
	cat >"$UNITS/tell.service" <<-'END'
		[Unit]
		Wants=client.service
		After=client.service
		[Service]
		Type=oneshot
		ExecStart=/bin/sh /etc/tcpkeep/tell
	END
	cp "$BATS_TEST_DIRNAME/tell" "$PLACE/etc/tcpkeep/tell"
	GROUP=$(mktemp -d "$MOUNT/tcpkeep-boot-XXXXXXXX")
}

teardown() {
	[ -z "${MACHINE-}" ] || kill -9 "$MACHINE" 2>/dev/null || true
	[ -n "$GROUP" ] || return 0
	echo 1 2>/dev/null >"$GROUP/cgroup.kill" || true
	# The last of them leaves a moment later.
	for _ in $(seq 200); do
		find "$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
		sleep 0.05
	done
}

# boot: until it has told, or has ended.
boot() {
	local deadline=$((SECONDS + 90))
	"$BATS_TEST_DIRNAME/machine" "$PLACE" "$GROUP" >"$PLACE/log" 2>&1 3>&- &
	MACHINE=$!
	until [ -e "$PLACE/told/done" ]; do
		if ((SECONDS > deadline)) || ! kill -0 "$MACHINE"; then
			cat "$PLACE/log"
			return 1
		fi
		sleep 0.05
	done
	cat "$PLACE/told/all"
}

@test "at boot the policy is in force before the first service connects" {
	echo 'rule "all" { time = 61 intvl = 11 probes = 7 }' >"$PLACE/etc/tcpkeep/policy.conf"
	boot
	grep -qx 'unit: active' "$PLACE/told/all"
	grep -q 'timer:(keepalive,\(5[0-9]sec\|1min\)' "$PLACE/told/all"
	# Both ends of the one connection that a service made at once.
	grep -qE '^policy: all .* 2 +2 +0 +0$' "$PLACE/told/all"
	# Stopped, it leaves nothing.
	grep -qx 'after stop: 0 pins' "$PLACE/told/all"
}

@test "a file with an error fails the unit and not the boot, and the journal has the line" {
	printf 'rule "all" {\n\ttmie = 61\n}\n' >"$PLACE/etc/tcpkeep/policy.conf"
	boot
	grep -qx 'unit: failed' "$PLACE/told/all"
	grep -q 'policy.conf:2:.*tmie' "$PLACE/told/all" "$PLACE/log"
	grep -q 'ESTAB' "$PLACE/told/all"
}

@test "a service whose command is tcpkeep run: in a cgroup below the unit's, which systemd ends with it" {
	echo 'rule "none" { peer = ":1" on }' >"$PLACE/etc/tcpkeep/policy.conf"
	sed -i 's#^ExecStart=#&/usr/local/bin/tcpkeep run --method bpf time=61 intvl=11 probes=7 -- #' "$UNITS/client.service"
	boot
	# One end of the connection: the server is another unit.
	[ "$(grep -c 'timer:(keepalive,\(5[0-9]sec\|1min\)' "$PLACE/told/all")" -eq 1 ]
	grep -qE '^run: /system.slice/client.service/tcpkeep-run-[0-9a-f-]+$' "$PLACE/told/all"
	grep -qx 'run after stop: 0' "$PLACE/told/all"
}
