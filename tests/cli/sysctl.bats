# SPDX-License-Identifier: MIT
# tcpkeep sysctl, in network, mount and PID namespaces of its own.

load common

defaults="7200 75 9"

# Runs shell lines where the three variables, sysctl.d and /proc are private. v: the three values that hold.
alone() {
	local user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	run --separate-stderr unshare "${user[@]}" --net --mount --pid --fork --kill-child --mount-proc -- \
		bash -c '
		for dir in /etc/sysctl.d /usr/lib/sysctl.d /run; do
			[ ! -d $dir ] || mount -t tmpfs tmpfs $dir || exit 99
		done
		[ ! -d /usr/local/lib/sysctl.d ] || mount -t tmpfs tmpfs /usr/local/lib/sysctl.d || exit 99
		[ ! -e /etc/sysctl.conf ] || mount --bind /dev/null /etc/sysctl.conf || exit 99
		v() { (cd /proc/sys/net/ipv4 && echo $(cat tcp_keepalive_time tcp_keepalive_intvl tcp_keepalive_probes)); }
		ours=/etc/sysctl.d/90-tcpkeep.conf
		eval "$1"' - "$1"
	[ "$status" -ne 99 ]
}

# ------------------------------------------------------------------------------------- show

@test "shows the three, the defaults and what they mean" {
	alone '"$TCPKEEP" sysctl'
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ $output == *"  time            7200  2h          the default   silence until the first probe"* ]]
	[[ $output == *"  intvl             75  1m 15s      the default "* ]]
	[[ $output == *"  probes             9              the default "* ]]
	[[ $output == *"noticed after 2h 11m 15s (time + intvl x probes)"* ]]
	[[ $output == *"sockets that ask for keepalive (SO_KEEPALIVE)"* ]]
	[[ $output == *"does not move a timer that runs"* ]]
	[[ $output == *"At boot no file in sysctl.d sets them"* ]]
	[ "$(wc -L <<<"$output")" -le 100 ]
}

@test "says what deviates from the default" {
	alone 'echo 600 >/proc/sys/net/ipv4/tcp_keepalive_time; "$TCPKEEP" sysctl'
	[ "$status" -eq 0 ]
	[[ $output == *"  time             600  10m         default 7200 "* ]]
	[[ $output == *"  probes             9              the default "* ]]
}

@test "warns of values that kill or never probe" {
	alone 'cd /proc/sys/net/ipv4; echo 0 >tcp_keepalive_probes; "$TCPKEEP" sysctl'
	[ "$status" -eq 0 ]
	[[ $output == *"whether its peer lives or not"* ]]
	[[ $stderr == "tcpkeep: warning: probes=0: kills every idle connection"* ]]
	alone 'cd /proc/sys/net/ipv4; echo -1 >tcp_keepalive_time; "$TCPKEEP" sysctl'
	[[ $output == *"is never noticed"* ]]
	[[ $stderr == "tcpkeep: warning: time=-1: never probes"* ]]
	alone 'cd /proc/sys/net/ipv4; echo 0 >tcp_keepalive_intvl; "$TCPKEEP" sysctl'
	[[ $stderr == "tcpkeep: warning: intvl=0: "* ]]
}

@test "colour is for terminals alone" {
	alone '"$TCPKEEP" sysctl'
	[[ $output != *$'\033'* ]]
	command -v script >/dev/null || skip "no script(1)"
	alone 'TERM=xterm script -qec "$TCPKEEP sysctl" /dev/null'
	[[ $output == *$'\033['* ]]
	alone 'NO_COLOR=1 TERM=xterm script -qec "$TCPKEEP sysctl" /dev/null'
	[[ $output != *$'\033['* ]]
}

@test "--json is one valid object with the schema" {
	alone '"$TCPKEEP" sysctl --json'
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$output")" -eq 1 ]
	jq -e '.schema == "tcpkeep.sysctl/1" and .time == 7200 and .intvl == 75 and .probes == 9 and .default
		and .own and .error == null and .detection_s == 7875 and .detection_latest_s >= 7875
		and .warnings == [] and .boot == [] and (.netns | type) == "number"' <<<"$output"
}

# -------------------------------------------------------------------------------------- set

@test "sets, reads back and says before and after" {
	alone '"$TCPKEEP" sysctl time=10m intvl=30 probes=9; echo "now $(v)"'
	[[ $output == *"  time     7200 -> 600  10m "* ]]
	[[ $output == *"  intvl       75 -> 30  30 s "* ]]
	[[ $output == *"  probes             9              unchanged "* ]]
	[[ $output == *"now 600 30 9" ]]
}

@test "--dry-run shows the same and writes nothing" {
	alone '"$TCPKEEP" sysctl time=10m probes=5 --persist --dry-run; echo "now $(v)"; ls /etc/sysctl.d'
	[[ $output == *"A dry run: nothing is written."* ]]
	[[ $output == *"7200 -> 600"* ]]
	[[ $output == *"90-tcpkeep.conf: would be written."* ]]
	[[ $output == *"now $defaults" ]]
}

@test "what is set has its JSON" {
	alone '"$TCPKEEP" sysctl time=60 probes=1 --json'
	[ "$status" -eq 0 ]
	jq -e '.before == {time: 7200, intvl: 75, probes: 9} and .after == {time: 60, intvl: 75, probes: 1}
		and .time == 60 and .changed and (.dry_run | not) and (.warnings | length) == 2' <<<"$output"
	alone '"$TCPKEEP" sysctl time=60 --json --dry-run'
	jq -e '.time == 7200 and .after.time == 60 and .dry_run and .changed' <<<"$output"
	alone '"$TCPKEEP" sysctl time=7200 --json'
	jq -e '.changed | not' <<<"$output"
}

@test "dangerous and legal values are set with a warning" {
	alone '"$TCPKEEP" sysctl probes=1'
	[ "$status" -eq 0 ]
	[[ $stderr == "tcpkeep: warning: probes=1: a single lost packet kills"* ]]
}

@test "bad values are refused with what, where and the range, and change nothing" {
	local word
	for word in time=abc time=12x time=-1 time=1e9 time= time=99999999999999999999 time=10ms time=5m1h \
		time=0 time=2147484 intvl=0 intvl=-5 intvl=1h1h probes=0 probes=256 probes=-1 probes=1s probes= \
		probes=99999999999999999999 time on off user-timeout=5s ' ' 'time=5,,probes=x'; do
		alone '"$TCPKEEP" sysctl intvl=33 '"'$word'"'; s=$?; echo "now $(v)"; exit $s'
		[ "$status" -eq 2 ] || { echo "accepted: $word"; false; }
		[ "$output" = "now $defaults" ]
		[[ $stderr == "tcpkeep: sysctl: "* ]]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
	done
	alone '"$TCPKEEP" sysctl probes=300'
	[ "$stderr" = "tcpkeep: sysctl: probes: 300 is out of range; accepted: 1 to 255" ]
}

@test "unknown words are answered with the nearest one" {
	run "$TCPKEEP" sysctl tiem=60
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: sysctl: 'tiem' is not a setting; did you mean 'time'?" ]
	run "$TCPKEEP" sysctl --all-nets
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: sysctl: unknown option '--all-nets'; did you mean '--all-netns'?" ]
	run "$TCPKEEP" sysctl time=60 time=70
	[ "$status" -eq 2 ]
}

@test "options that contradict each other are a usage error" {
	local options
	for options in "--pid 1 --netns a" "--pid 1 --all-netns" "--netns a --all-netns" "--persist" "--dry-run" \
		"time=60 --persist --pid 1" "time=60 --persist --netns a" "time=60 --persist --all-netns" \
		"--pid x" "--pid 0" "--pid -1" "--pid 1.5" "--pid 99999999999" "--netns" "-- true"; do
		run "$TCPKEEP" sysctl $options
		[ "$status" -eq 2 ] || { echo "accepted: $options"; false; }
		[[ $output == "tcpkeep: sysctl: "* ]]
	done
}

@test "raises are written before reductions" {
	command -v strace >/dev/null || skip "no strace"
	alone 'strace -qq -f -e trace=pwrite64 "$TCPKEEP" sysctl time=60 intvl=100 probes=5 2>&1 >/dev/null |
		sed -n "s/.*pwrite64([0-9]*, \"\([0-9]*\).*/\1/p" | xargs'
	[ "$output" = "100 60 5" ]
}

@test "a refusal in the middle leaves what was there, and exits 1" {
	alone 'cd /proc/sys/net/ipv4; mount --bind ip_default_ttl tcp_keepalive_intvl
		"$TCPKEEP" sysctl time=9000 intvl=1000 probes=3; s=$?; umount tcp_keepalive_intvl; v; exit $s'
	[ "$status" -eq 1 ]
	[ "$output" = "$defaults" ]
	[[ $stderr == *"net.ipv4.tcp_keepalive_intvl: the kernel refuses 1000: Invalid argument"* ]]
}

# -------------------------------------------------------------------------------- what bars

@test "each wall has its words and exit 4" {
	alone 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && "$TCPKEEP" sysctl time=60'
	[ "$status" -eq 4 ]
	[[ $stderr == *"/proc/sys is mounted read-only, as in containers; "*"docker run --sysctl"*"tcpkeep run"* ]]
	# What a sanitizer reads of its own process stays reachable.
	local no_procfs='mkdir /run/p; mount --bind /proc /run/p; mount -t tmpfs x /proc
		ln -s /run/p/{self,{1..99}} /proc; '
	alone "$no_procfs"'"$TCPKEEP" sysctl'
	[ "$status" -eq 4 ]
	[[ $stderr == *"procfs is not mounted at /proc; mount it: mount -t proc proc /proc"* ]]
	alone "$no_procfs"'"$TCPKEEP" sysctl --all-netns'
	[ "$status" -eq 4 ]
	[[ $stderr == *"procfs is not mounted at /proc"* ]]
	alone 'mount --bind /proc/sys/kernel /proc/sys/net; "$TCPKEEP" sysctl'
	[ "$status" -eq 4 ]
	[[ $stderr == *"this kernel has no IPv4"* ]]
	alone 'unshare --pid --fork "$TCPKEEP" sysctl --pid 1'
	[ "$status" -eq 4 ]
	[[ $stderr == *"/proc belongs to another PID namespace"* ]]
}

@test "without privilege: showing works, setting is exit 4 and says what works" {
	[ "$(id -u)" = 0 ] || skip "needs root to give up"
	# The build tree may lie where nobody may not go: the program is opened before privilege is given up.
	alone 'exec 9<"$TCPKEEP"; setpriv --reuid 65534 --clear-groups /proc/self/fd/9 sysctl'
	[ "$status" -eq 0 ]
	alone 'exec 9<"$TCPKEEP"; setpriv --reuid 65534 --clear-groups /proc/self/fd/9 sysctl time=60; s=$?; v; exit $s'
	[ "$status" -eq 4 ]
	[ "$output" = "$defaults" ]
	[[ $stderr == *"needs root, or CAP_NET_ADMIN in this network namespace; "*"'tcpkeep run'"* ]]
	alone 'exec 9<"$TCPKEEP"; setpriv --reuid 65534 --clear-groups /proc/self/fd/9 sysctl --all-netns'
	[ "$status" -eq 0 ]
	[[ $output == *"(own)"* ]]
	[[ $stderr == *"hide"*"run as root to see all"* ]]
	alone 'unshare -n sleep 60 & p=$!; until [ "$(readlink /proc/$p/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
		exec 9<"$TCPKEEP"; setpriv --reuid 65534 --clear-groups /proc/self/fd/9 sysctl --pid $p'
	[ "$status" -eq 4 ]
	[[ $stderr == *"run as root"* ]]
}

# ---------------------------------------------------------------------------------- persist

@test "--persist writes the file once, and says so the second time" {
	alone '"$TCPKEEP" sysctl time=60 intvl=10 --persist && stat -c %i.%Y $ours && cat $ours
		"$TCPKEEP" sysctl time=60 intvl=10 --persist && stat -c %i.%Y $ours; ls -A /etc/sysctl.d'
	[ "$status" -eq 0 ]
	[[ $output == *"90-tcpkeep.conf: written."*"net.ipv4.tcp_keepalive_time = 60"*"net.ipv4.tcp_keepalive_intvl = 10"* ]]
	[[ $output == *"90-tcpkeep.conf: says so already."* ]]
	[[ $output == *$'\n90-tcpkeep.conf' ]]
	[ "$(grep -cE '^[0-9]+\.[0-9]+$' <<<"$output")" -eq 2 ]
	[ "$(grep -E '^[0-9]+\.[0-9]+$' <<<"$output" | sort -u | wc -l)" -eq 1 ]
}

@test "what overrides it at boot is shown and warned of" {
	alone 'echo "net.ipv4.tcp_keepalive_time = 7200" >/etc/sysctl.d/99-other.conf
		echo "net.ipv4.tcp_keepalive_* = 5" >/etc/sysctl.d/95-glob.conf
		"$TCPKEEP" sysctl time=60 intvl=10 --persist'
	[ "$status" -eq 0 ]
	[[ $output == *"/etc/sysctl.d/90-tcpkeep.conf:2 "*"time = 60 "*"overridden"* ]]
	[[ $output == *"/etc/sysctl.d/90-tcpkeep.conf:3 "*"intvl = 10 "*"holds"* ]]
	[ "$stderr" = "tcpkeep: warning: /etc/sysctl.d/99-other.conf:1 overrides /etc/sysctl.d/90-tcpkeep.conf at boot: net.ipv4.tcp_keepalive_time = 7200; remove that line" ]
}

@test "/etc/sysctl.conf is known to come last" {
	[ -e /etc/sysctl.conf ] || skip "this system has no /etc/sysctl.conf to cover"
	alone 'umount /etc/sysctl.conf; echo "net.ipv4.tcp_keepalive_time=5" >/run/s; mount --bind /run/s /etc/sysctl.conf
		"$TCPKEEP" sysctl time=60 --persist'
	[ "$status" -eq 0 ]
	[[ $output == *"/etc/sysctl.conf:1 "*"applied last by 'sysctl --system'"* ]]
	[[ $stderr == *"/etc/sysctl.conf:1 sets net.ipv4.tcp_keepalive_time = 5, which 'sysctl --system' applies last; remove that line"* ]]
}

@test "when only the file fails, it is partly done: exit 3" {
	alone 'ln -s /dev/null $ours; "$TCPKEEP" sysctl time=60 --persist; s=$?; echo "now $(v)"; exit $s'
	[ "$status" -eq 3 ]
	[[ $output == *"now 60 75 9" ]]
	[[ $stderr == *"90-tcpkeep.conf: is a symbolic link"* ]]
}

@test "hostile names and values from files are shown escaped" {
	alone 'printf "net.ipv4.tcp_keepalive_time=\033[31m5\n" >"/etc/sysctl.d/$(printf "a\033]0;x.conf")"
		"$TCPKEEP" sysctl; "$TCPKEEP" sysctl --json | jq -e ".boot[0].wins"'
	[ "$status" -eq 0 ]
	[[ $output != *$'\033'* ]]
	[[ $output == *'a\x1b]0;x.conf:1'* ]]
	[[ $output == *'\x1b[31m5'* ]]
}

@test "our idea of a boot is systemd-sysctl's" {
	local systemd=/lib/systemd/systemd-sysctl
	[ -x $systemd ] || skip "no systemd-sysctl"
	alone 'systemd='$systemd'
		words=(net.ipv4.tcp_keepalive_{time,intvl,probes} net/ipv4/tcp_keepalive_{time,intvl,probes}
			"net.ipv4.tcp_keepalive_*" "net.ipv4.tcp_keepalive_[tp]*" "net.*.tcp_keepalive_intvl"
			"net/ipv4/tcp_keep*" "net/./ipv4//tcp_keepalive_time/" "net.*" net/ipv4.tcp_keepalive_time)
		names=(10-a.conf 50-b.conf 90-tcpkeep.conf B.conf a.conf .x.conf y.conf~)
		mkdir -p /run/sysctl.d
		RANDOM=${SEED:-1}
		for round in {1..40}; do
			rm -rf /etc/sysctl.d/{*,.x*} /run/sysctl.d/{*,.x*} /usr/lib/sysctl.d/{*,.x*}
			for i in {1..5}; do
				dirs=(/etc /run /usr/lib)
				file=${dirs[RANDOM % 3]}/sysctl.d/${names[RANDOM % 7]}
				[ -L "$file" ] && continue
				if ((RANDOM % 12 == 0)); then ln -sf /dev/null "$file"; continue; fi
				for j in {1..3}; do
					word=${words[RANDOM % ${#words[@]}]}
					case $((RANDOM % 8)) in
					0) echo "-$word" ;;
					1) echo "# $word = 5" ;;
					2) echo " - $word=$((RANDOM % 4 * 10 + 10))" ;;
					*) echo "$word = $((RANDOM % 4 * 10 + 10))" ;;
					esac
				done >>"$file"
			done
			cd /proc/sys/net/ipv4
			echo 7200 >tcp_keepalive_time; echo 75 >tcp_keepalive_intvl; echo 9 >tcp_keepalive_probes
			said=$("$TCPKEEP" sysctl --json | jq -r "
				[.boot[] | select(.wins) | {(.key | sub(\".*_\"; \"\")): .value}] | add as \$b |
				\"\(\$b.time // 7200) \(\$b.intvl // 75) \(\$b.probes // 9)\"")
			$systemd 2>/dev/null
			if [ "$said" != "$(v)" ]; then
				echo "said $said, systemd-sysctl made it $(v):"
				head -n 20 /{etc,run,usr/lib}/sysctl.d/{*,.x*} 2>/dev/null
				exit 1
			fi
		done'
	[ "$status" -eq 0 ] || { echo "$output"; false; }
}

# ------------------------------------------------------------------------------- namespaces

# Lines that make two more namespaces: one named "blue" without a process, one of process $p.
two_more='mkdir /run/netns; touch /run/netns/blue
	unshare --net=/run/netns/blue true
	unshare --net sleep 1000 & p=$!
	until [ "$(readlink /proc/$p/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
	time_of() { nsenter --net=$1 cat /proc/sys/net/ipv4/tcp_keepalive_time; }
'

@test "--netns and --pid show and set another namespace, and only that" {
	alone "$two_more"'"$TCPKEEP" sysctl --netns blue time=60 >/dev/null && "$TCPKEEP" sysctl --pid $p time=61 >/dev/null &&
		echo "$(time_of /run/netns/blue) $(time_of /proc/$p/ns/net) $(v)"; "$TCPKEEP" sysctl --netns blue
		"$TCPKEEP" sysctl --netns /proc/$p/ns/net --json | jq -e ".time == 61 and (.own | not)"'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "60 61 $defaults" ]
	[[ $output == *"in network namespace blue (net:["*"  time              60  1m "* ]]
	[[ $output != *"At boot"* ]]
}

@test "a namespace or process that is not there is exit 1, with the nearest name" {
	alone "$two_more"'"$TCPKEEP" sysctl --netns bleu'
	[ "$status" -eq 1 ]
	[ "$stderr" = "tcpkeep: sysctl: there is no network namespace 'bleu' in /run/netns; did you mean 'blue'?" ]
	alone '"$TCPKEEP" sysctl --pid 4000000'
	[ "$status" -eq 1 ]
	[ "$stderr" = "tcpkeep: sysctl: there is no process 4000000" ]
	alone 'mkdir /run/netns; mkfifo /run/netns/f; timeout 10 "$TCPKEEP" sysctl --netns f'
	[ "$status" -eq 1 ]
}

@test "--all-netns: a row each, own first, names, processes" {
	alone "$two_more"'"$TCPKEEP" sysctl --netns blue time=60 probes=2 >/dev/null; "$TCPKEEP" sysctl --all-netns; echo p=$p'
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 5 ]
	[[ ${lines[0]} =~ ^NAMESPACE\ +TIME\ +INTVL\ +PROBES\ +DETECTION\ +PROCESSES$ ]]
	[[ ${lines[1]} =~ ^net:\[[0-9]+\]\ \(own\)\ +7200\ +75\ +9\ .*1\ bash ]]
	local p=${lines[4]#p=}
	grep -qE '^blue +60 +75 +2 +3m [0-9]+s *$' <<<"$output"
	grep -qE "^net:\[[0-9]+\] +7200 +75 +9 .* $p sleep\$" <<<"$output"
	[ "$(wc -L <<<"$output")" -le 100 ]
}

@test "--all-netns --json: one object a row" {
	alone "$two_more"'"$TCPKEEP" sysctl --all-netns --json'
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$output")" -eq 3 ]
	jq -es 'length == 3 and all(.schema == "tcpkeep.sysctl/1") and .[0].own and ([.[] | select(.own)] | length) == 1
		and ([.[] | select(.name == "blue" and .processes == [])] | length) == 1
		and ([.[].processes[] | select(.name == "sleep")] | length) == 1' <<<"$output"
}

@test "--all-netns: many processes fit the width, names are escaped" {
	alone 'cp "$(command -v sleep)" "$(printf "/run/e\033[31mvil")"
		for i in {1..40}; do "$(printf "/run/e\033[31mvil")" 1000 & done
		"$TCPKEEP" sysctl --all-netns'
	[ "$status" -eq 0 ]
	[[ $output != *$'\033'* ]]
	[[ $output == *"more" ]]
	[ "$(wc -L <<<"$output")" -le 100 ]
}

@test "--all-netns sets everywhere, dry and for real, and says what was unchanged" {
	alone "$two_more"'"$TCPKEEP" sysctl --netns blue time=60 >/dev/null
		"$TCPKEEP" sysctl --all-netns time=60 --dry-run; echo "dry $(time_of /proc/$p/ns/net) $(v)"
		"$TCPKEEP" sysctl --all-netns time=60; s=$?; echo "set $(time_of /proc/$p/ns/net) $(v)"; exit $s'
	[ "$status" -eq 0 ]
	[[ $output == *"would be set"* ]]
	[[ $output == *"dry 7200 $defaults"* ]]
	[[ $output == *"set 60 60 75 9" ]]
	grep -qE '^blue +60 +75 +9 .* unchanged' <<<"$output"
	grep -qE '^net:\[[0-9]+\] \(own\) +7200 -> 60 .* set ' <<<"$output"
}

@test "--all-netns: one that cannot be set makes it partly done, exit 3" {
	[ "$(id -u)" = 0 ] || skip "needs root to make a namespace that root inside may not enter"
	# Root of a child user namespace sees its own and its parent's namespace, and may set the first.
	alone 'sleep 1000 & exec 9<"$TCPKEEP"
		setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user --net \
			/proc/self/fd/9 sysctl --all-netns time=60; s=$?; echo "now $(v)"; exit $s'
	[ "$status" -eq 3 ]
	[[ $output == *"7200 -> 60"* ]]
	[[ $output == *"now $defaults" ]]
	[[ $stderr == *"hide"* ]]
}
