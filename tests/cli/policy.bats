# SPDX-License-Identifier: MIT
# tcpkeep policy: apply, status and remove in a cgroup of the test's own; check is in policy-check.bats. In a room
# (helpers/room): what is pinned, and which sockets are open, is the whole machine's otherwise.

load common
load holder
load ../helpers/processes

setup() {
	cd "$BATS_TEST_TMPDIR"
	# A umask of others must not add warnings.
	umask 022
}

teardown() {
	if [ -n "${HOLDER-}" ]; then
		kill "$HOLDER" 2>/dev/null || true
		wait "$HOLDER" 2>/dev/null || true
	fi
	[ -z "${GROUP-}" ] || {
		"$TCPKEEP" policy remove --cgroup "$GROUP" >/dev/null 2>&1 || true
		rmdir "$GROUP"
	}
}

# A cgroup beneath the mount of cgroup2, or skip: never the root, which is everybody's.
own_cgroup() {
	local mount
	[ "$(id -u)" = 0 ] || skip "not root"
	[ -n "${ROOM_USERS-}" ] || skip "not in a room: bpffs would be the machine's"
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	[ -n "$mount" ] || skip "no cgroup2"
	# Not by the number of the process: a room counts its own.
	GROUP=$(mktemp -d "$mount/tcpkeep-bats-XXXXXXXX") || skip "cgroup2 is not writable"
	printf 'rule "probe" { on }\n' >probe.conf
	run "$TCPKEEP" policy apply probe.conf --cgroup "$GROUP"
	[ "$status" -ne 4 ] || skip "${lines[0]}"
	"$TCPKEEP" policy remove --cgroup "$GROUP"
}

@test "verbs, options and operands that do not go together are refused" {
	run "$TCPKEEP" policy
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: policy: say what to do: check, apply, status or remove" ]
	run "$TCPKEEP" policy aply
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: policy: 'aply' is not known; did you mean 'apply'?" ]
	for words in "check --cgroup /" "check a b" "remove file" "status --dry-run" "status --existing" "apply --force" "apply --all" "remove --all --cgroup /x"; do
		run "$TCPKEEP" policy $words
		[ "$status" -eq 2 ]
		[[ $output == "tcpkeep: policy ${words%% *}: "* ]]
	done
}

# ------------------------------------------------------------------------------- the kernel

@test "a file with errors is not applied" {
	echo 'rule "a" { tmie = 3 }' >policy.conf
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup /no-such-cgroup-here
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${stderr_lines[0]}" = "policy.conf:1: tmie: is not a key of a rule; did you mean 'time'?" ]
	[[ $stderr == *"tcpkeep: policy apply: policy.conf has errors; nothing was changed" ]]
}

@test "a kernel that lacks it: status 4, and what works without, whatever it answers" {
	command -v strace >/dev/null || skip "needs strace"
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	for error in ENOSYS EINVAL E2BIG; do
		run --separate-stderr env ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e inject=bpf:error=$error \
			"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		[ "$status" -eq 4 ]
		[[ $stderr == "tcpkeep: policy apply: this kernel lacks what it takes "*"'tcpkeep run' and 'tcpkeep sysctl' work without" ]]
	done
}

@test "without the privilege: status 4, and what works without" {
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	run --separate-stderr setpriv --bounding-set=-all --inh-caps=-all -- \
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	[ "$status" -eq 4 ]
	[[ $stderr == "tcpkeep: policy apply: not permitted; run it as root (sudo), or with CAP_BPF"* ]]
	[[ $stderr == *"'tcpkeep run'"*"'tcpkeep sysctl'"* ]]
	# Somebody without any, and a directory that only root may look into.
	chmod 755 . policy.conf
	for words in "apply policy.conf --cgroup $GROUP" "remove --cgroup $GROUP"; do
		run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups -- "$TCPKEEP" policy $words
		[ "$status" -eq 4 ]
		[[ $stderr == *": not permitted; run it as root (sudo), "* ]]
	done
	# Refused, it names the cgroup that was asked for.
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups -- \
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --json
	[ "$status" -eq 4 ]
	[ "$(jq -c '[.applied, .cgroup]' <<<"$output")" = "[false,\"$GROUP\"]" ]
	run --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups -- "$TCPKEEP" policy apply policy.conf --json
	[ "$(jq -r .cgroup <<<"$output")" = / ]
}

# with_caps CAPABILITIES COMMAND...: as root without any other; user_with_caps: as somebody else.
with_caps() {
	setpriv --bounding-set="-all$1" --inh-caps="-all$1" -- "${@:2}"
}
user_with_caps() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps="-all$1" --ambient-caps="-all$1" -- "${@:2}"
}

@test "each verb takes the capabilities that the manual page tells" {
	own_cgroup
	local on=(--cgroup "$GROUP") three=,+bpf,+perfmon,+net_admin
	echo 'rule "a" { program = x on mode = enforce }' >policy.conf
	chmod 755 . && chmod 644 policy.conf
	# The first one; then, with a policy in force, it is to be read.
	with_caps "$three" "$TCPKEEP" policy apply policy.conf "${on[@]}"
	for words in "apply policy.conf" "apply policy.conf --dry-run" status; do
		run --separate-stderr with_caps "$three" "$TCPKEEP" policy $words "${on[@]}"
		[ "$status" -eq 4 ]
		[[ $stderr == *": not permitted; "*"CAP_SYS_ADMIN"* ]]
	done
	with_caps ,+net_admin,+sys_admin "$TCPKEEP" policy status "${on[@]}"
	with_caps "$three,+sys_admin" "$TCPKEEP" policy apply policy.conf "${on[@]}"
	# CAP_BPF: for kernels before 5.19.
	run with_caps ,+bpf "$TCPKEEP" policy remove "${on[@]}"
	[ "${lines[0]}" = "The policy (1 rule) for new connections of cgroup /${GROUP##*/} was removed." ] ||
		[ "${lines[0]}" = "The policy for new connections of cgroup /${GROUP##*/} was removed." ]
	[ ! -e /sys/fs/bpf/tcpkeep ]
	for without in bpf perfmon net_admin; do
		run --separate-stderr with_caps "${three/,+$without/}" "$TCPKEEP" policy apply policy.conf "${on[@]}"
		[ "$status" -eq 4 ]
		[ ! -e /sys/fs/bpf/tcpkeep ]
	done
	# Root's files.
	"$TCPKEEP" policy apply policy.conf "${on[@]}"
	for words in "apply policy.conf" status remove; do
		run --separate-stderr user_with_caps "$three,+sys_admin" "$TCPKEEP" policy $words "${on[@]}"
		[ "$status" -eq 4 ]
		[[ $stderr == *": not permitted; "*"CAP_DAC_OVERRIDE; without them "* ]]
		user_with_caps "$three,+sys_admin,+dac_override" "$TCPKEEP" policy $words "${on[@]}"
	done
}

@test "apply, status, apply again, remove" {
	own_cgroup
	printf 'rule "a" { peer = ":7001" time = 61 }\nrule "b" { peer = ":7002" mode = leave }\n' >policy.conf
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --dry-run
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "2 rules would be in force for new connections of cgroup $GROUP" ]
	[ "${lines[1]}" = '  + rule "a"  new' ]
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 1 ]
	[ "$output" = "No policy is in force for this cgroup." ]
	# What is named and is none is told also where there is nothing to hold it against.
	echo 'rule' >broken.conf
	for json in "" --json; do
		run --separate-stderr "$TCPKEEP" policy status nosuch.conf --cgroup "$GROUP" $json
		[ "$status" -eq 1 ]
		[ "$stderr" = "tcpkeep: policy status: nosuch.conf cannot be read: No such file or directory" ]
		run --separate-stderr "$TCPKEEP" policy status broken.conf --cgroup "$GROUP" $json
		[ "$stderr" = "tcpkeep: policy status: broken.conf has errors; 'tcpkeep policy check' tells them" ]
		run --separate-stderr "$TCPKEEP" policy status policy.conf --cgroup "$GROUP" $json
		[ "$status" -eq 1 ]
		[ -z "$stderr" ]
	done

	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "2 rules are in force for new connections of cgroup /"*"${GROUP##*/}" ]]
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ $output == *"$BATS_TEST_TMPDIR/policy.conf says the same."* ]]
	[[ $output =~ a\ +default\ +0\ +0\ +0\ +0$'\n'\ +"on time=61 for peer=:7001" ]]
	[[ $output =~ b\ +leave\ +0\ +0\ +0\ +0$'\n'\ +"nothing for peer=:7002" ]]

	printf 'rule "b" { peer = ":7002" mode = leave }\nrule "c" { on }\n' >policy.conf
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ $output == *"policy.conf DIFFERS; 'tcpkeep policy apply "*"policy.conf --cgroup "*"' would make these changes:"$'\n''  + rule "c"  new'$'\n''  - rule "a"  gone'* ]]
	run "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$(jq -c '[.compared, .changes.added, .changes.removed, [.rules[].name]]' <<<"$output")" = \
		'["differs",["c"],["a"],["a","b"]]' ]
	echo 'rule' >broken.conf
	run "$TCPKEEP" policy status broken.conf --cgroup "$GROUP"
	[[ $output == *"broken.conf HAS ERRORS now"* ]]

	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --json
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.applied, .replaced, .rules, .changes.added, .hooks]' <<<"$output")" = \
		'[true,true,2,["c"],["sock_ops"]]' ]
	run "$TCPKEEP" policy remove --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "The policy (2 rules) for new connections of cgroup /${GROUP##*/} was removed." ]
	[ "${lines[1]}" = "Open connections keep what they have." ]
	run "$TCPKEEP" policy remove --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[ "$output" = "No policy was in force for this cgroup." ]
}

@test "remove tells each policy that it takes away" {
	own_cgroup
	mkdir "$GROUP/in"
	printf 'rule "a" { on peer = ":1" }\nrule "b" { on }\n' >two.conf
	echo 'rule "a" { on }' >one.conf
	"$TCPKEEP" policy apply two.conf --cgroup "$GROUP"
	"$TCPKEEP" policy apply one.conf --cgroup "$GROUP/in"
	run "$TCPKEEP" policy remove --all
	[ "$status" -eq 0 ]
	[ "$(sort <<<"$output")" = "$(printf '%s\n' "Open connections keep what they have." \
		"The policy (1 rule) for new connections of cgroup /${GROUP##*/}/in was removed." \
		"The policy (2 rules) for new connections of cgroup /${GROUP##*/} was removed.")" ]
	"$TCPKEEP" policy apply two.conf --cgroup "$GROUP/in"
	run "$TCPKEEP" policy remove --cgroup "$GROUP/in" --json
	[ "$(jq -c '[.removed, .policies]' <<<"$output")" = "[1,[{\"cgroup\":\"/${GROUP##*/}/in\",\"rules\":2}]]" ]
	run "$TCPKEEP" policy remove --cgroup "$GROUP/in" --json
	[ "$(jq -c '[.removed, .policies, .error]' <<<"$output")" = '[0,[],null]' ]
	rmdir "$GROUP/in"
}

@test "what differs is told by rule and part, and not without end" {
	own_cgroup
	cat >policy.conf <<'END'
rule "matches" { peer = ":7001" on }
rule "settings" { peer = ":7002" time = 61 }
rule "mode" { peer = ":7003" on }
rule "same" { peer = ":7004" on }
END
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" 2>/dev/null
	sed -e 's/7001/7011/' -e 's/61/62/' -e '/mode/s/on }/on mode = enforce }/' policy.conf >other.conf
	run "$TCPKEEP" policy status other.conf --cgroup "$GROUP"
	diff - <(grep '^  . rule' <<<"$output") <<'END'
  ~ rule "matches"  changed: what it matches
  ~ rule "settings"  changed: settings
  ~ rule "mode"  changed: mode
END
	# A mode that sets nothing is two parts.
	sed -i '/same/s/on }/mode = leave }/' other.conf
	run "$TCPKEEP" policy status other.conf --cgroup "$GROUP"
	[[ $output == *'~ rule "same"  changed: settings, mode'* ]]
	tac policy.conf >other.conf
	run "$TCPKEEP" policy status other.conf --cgroup "$GROUP"
	[[ $output == *"would make these changes:"$'\n'"  the order of the rules is another"$'\n'* ]]
	for i in $(seq 1 30); do echo "rule \"new $i\" { peer = \":$i\" on }"; done >other.conf
	run "$TCPKEEP" policy status other.conf --cgroup "$GROUP"
	[ "$(grep -c '^  + rule' <<<"$output")" = 20 ]
	[[ $output == *$'\n'"  ... and 14 more; --json has all of them"$'\n'* ]]
	run "$TCPKEEP" policy status other.conf --cgroup "$GROUP" --json
	[ "$(jq -c '[(.changes.added | length), .changes.removed]' <<<"$output")" = '[30,["matches","settings","mode","same"]]' ]
}

@test "status fits the terminal, with what each rule matches, however long" {
	own_cgroup
	cat >policy.conf <<'END'
rule "postgres clients of the new cluster in Frankfurt, all its ports" {
	program = { "psql", "pg_*", "my prog" }
	peer = { ":5432", "10.0.0.0/8", "10.0.0.1:1-9", "[2001:db8::1]:443", "2001:db8::1", ":6001", ":6002", ":6003", ":6004" }
	user != { "root", "no-such-user-here" }
	time = 60 intvl = 10 probes = 6 user-timeout = 2m mode = "enforce"
}
rule "日本語日本語日本語日本語日本語日本語" { mode = leave }
END
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" 2>/dev/null
	for width in 80 100; do
		script -qec "stty cols $width; NO_COLOR=1 '$TCPKEEP' policy status --cgroup '$GROUP'" /dev/null >told </dev/null
		tr -d '\r' <told >all
		sed -n '/^RULE/,$p' all >table
		grep -q '^postgres clients of .*  enforce  *0  *0  *0  *0$' table
		[ "$width" = 100 ] || grep -q '^postgres clients of .*\.\.\.  enforce' table
		tr -d '\n' <table | grep -q 'user!=root, *(unknown)'
		python3 -c '
import sys, unicodedata
for line in open("all"):
    assert sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line.rstrip("\n")) <= int(sys.argv[1]), line' "$width"
	done
	# Into a pipe nothing is cut, and nothing broken.
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"postgres clients of the new cluster in Frankfurt, all its ports  enforce "* ]]
	[[ $output == *'    on time=60 intvl=10 probes=6 user-timeout=2m for program=psql,pg_*,"my prog" user!=root,(unknown) peer=:5432,10.0.0.0/8,10.0.0.1:1-9,[2001:db8::1]:443,[2001:db8::1],:6001,:6002,:6003,:6004'$'\n'* ]]
	[[ $output == *$'\n'"    nothing for every connection" ]]
}

@test "a policy above is known as one, the file that is named is held against its own, remove names the others" {
	own_cgroup
	mkdir "$GROUP/in"
	echo 'rule "outer" { on mode = enforce }' >outer.conf
	echo 'rule "inner" { on }' >inner.conf
	"$TCPKEEP" policy apply outer.conf --cgroup "$GROUP"
	"$TCPKEEP" policy apply inner.conf --cgroup "$GROUP/in"
	run "$TCPKEEP" policy status
	[ "$(grep -c 'says the same' <<<"$output")" = 2 ]
	[[ $output != *"Beside it"* ]]
	[ "$(grep -c "^What matches none of its rules goes on to the policy of cgroup /.*${GROUP##*/}, which is above" <<<"$output")" = 1 ]
	run "$TCPKEEP" policy status inner.conf
	[ "$(grep -c 'says the same' <<<"$output")" = 2 ]
	run "$TCPKEEP" policy status --cgroup "$GROUP/in" --json
	[ "$(jq -c '[.rules[0].selectors, (.others | length), ([.others[].policy] | unique | length)]' <<<"$output")" = '["",2,1]' ]
	run "$TCPKEEP" policy remove
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "No policy was in force for the whole machine." ]
	[ "$(grep -c "^There is one of cgroup /.*: 'tcpkeep policy remove --cgroup /" <<<"$output")" = 2 ]
	"$TCPKEEP" policy remove --cgroup "$GROUP/in"
	rmdir "$GROUP/in"
}

@test "a policy of a tcpkeep in another mount namespace is told as one" {
	own_cgroup
	mkdir "$GROUP/in"
	mkfifo applied over
	echo 'rule "a" { on }' >policy.conf
	unshare --mount bash -c 'mount -t bpf bpf /sys/fs/bpf && "$TCPKEEP" policy apply policy.conf --cgroup "$1" >/dev/null
		echo >applied; read -r _ <over; "$TCPKEEP" policy remove --cgroup "$1"' _ "$GROUP" >/dev/null 3>&- &
	read -t 20 -r _ <>applied
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP/in"
	run "$TCPKEEP" policy status --cgroup "$GROUP/in"
	echo >over
	wait
	"$TCPKEEP" policy remove --cgroup "$GROUP/in"
	rmdir "$GROUP/in"
	[[ $output =~ "Beside it on sock_ops: another tcpkeep (program "[0-9]+"), a run or a policy that is not pinned here." ]]
}

@test "a path that leads out of cgroup2, or to a file, is no cgroup" {
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	for path in /.. ../../.. "$GROUP/cgroup.procs" /no-such-cgroup-here; do
		run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$path"
		[ "$status" -eq 1 ]
		[[ $stderr == "tcpkeep: policy apply: cgroup '$path': there is none; accepted: a path below the mount of cgroup2, "* ]]
	done
}

@test "a policy file that is a link: status follows it where it leads by then" {
	own_cgroup
	mkdir versions
	echo 'rule "a" { on }' >versions/1.conf
	echo 'rule "b" { on }' >versions/2.conf
	ln -s versions/1.conf policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"$BATS_TEST_TMPDIR/policy.conf says the same."* ]]
	ln -sfn versions/2.conf policy.conf
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"$BATS_TEST_TMPDIR/policy.conf DIFFERS"* ]]
	# From standard input: of no file, and told rule by rule all the same.
	"$TCPKEEP" policy apply - --cgroup "$GROUP" <policy.conf
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"It came from standard input; 'tcpkeep policy status FILE' compares it with a file."*"on for every connection" ]]
	run "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$(jq -c '[.file, .compared]' <<<"$output")" = '["-","unknown"]' ]
	run "$TCPKEEP" policy status policy.conf --cgroup "$GROUP"
	[[ $output == *"policy.conf says the same."* ]]
}

@test "a policy whose hook somebody has detached: told by status and by a dry run, mended by apply" {
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	bpftool link detach pinned /sys/fs/bpf/tcpkeep/*/sock_ops_link || skip "no bpftool"
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 3 ]
	[[ $output == *"DETACHED"* ]]
	run "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$(jq -c '[.detached, .hooks]' <<<"$output")" = '[true,[]]' ]
	run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --dry-run
	[ "$status" -eq 0 ]
	[[ $output == *"The policy before had been detached by somebody, and did not hold as it should; applied, this one would." ]]
	run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --json
	[ "$(jq -c '[.applied, .replaced_detached]' <<<"$output")" = "[true,true]" ]
	"$TCPKEEP" policy status --cgroup "$GROUP"
}

# In the place of a pin, a map of somebody else's.
replace_pin() {
	rm -r "$1"
	bpftool map create "$1" type array key 4 value 4096 entries 1 name somebodys
}

replace_pin_by_folder() {
	rm -r "$1"
	mkdir "$1"
}

@test "pins that are missing or somebody else's: told, and the next apply makes the policy anew" {
	own_cgroup
	command -v bpftool || skip "no bpftool"
	local folder=/sys/fs/bpf/tcpkeep pin
	echo 'rule "a" { program = "x" on mode = "enforce" }' >policy.conf
	for pin in sets meta counts control sock_ops setsockopt tag_listeners; do
		for damage in rm replace_pin replace_pin_by_folder; do
			"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" >/dev/null 2>&1
			$damage "$folder"/*/"$pin"
			# It is told, and no more: what still is attached is not taken away by a look.
			for again in 1 2; do
				run "$TCPKEEP" policy status --cgroup "$GROUP"
				[ "$status" -eq 3 ]
				[[ $output == *"Its pins are DAMAGED: "*"'tcpkeep policy apply' makes it anew"* ]]
			done
			bpftool link show pinned "$folder"/*/sock_ops_link | grep -q 'attach_type .*sock_ops'
		done
		run "$TCPKEEP" policy status --cgroup "$GROUP" --json
		[ "$(jq -c '[.damaged, .readable]' <<<"$output")" = '[true,false]' ]
		run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		[ "$status" -eq 0 ]
		[[ $stderr == *"warning: policy apply: pins of the policy before were missing"* ]]
		"$TCPKEEP" policy status --cgroup "$GROUP"
		[ "$(ls "$folder" | wc -l)" = 1 ]
	done
	# Removed, it is told as any other.
	rm "$folder"/*/sets
	run "$TCPKEEP" policy remove --cgroup "$GROUP"
	[ "${lines[0]}" = "The policy for new connections of cgroup /${GROUP##*/} was removed." ]
	[ ! -e "$folder" ]
	# What is not attached and has no slot is what a kill has left.
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	bpftool link detach pinned "$folder"/*/sock_ops_link
	replace_pin "$folder"/*/sets
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 1 ]
	[ ! -e "$folder" ]
	# Without its link it is detached; with more that is missing, damaged.
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	rm "$folder"/*/sock_ops_link
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 3 ]
	[[ $output == *"DETACHED"* ]]
	rm "$folder"/*/counts
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 3 ]
	[[ $output == *"DAMAGED"* ]]
}

@test "a policy whose text is lost acts, and is told to be applied again" {
	own_cgroup
	command -v bpftool || skip "no bpftool"
	local folder=/sys/fs/bpf/tcpkeep
	echo 'rule "a" { peer = ":7001" time = 61 intvl = 21 probes = 4 }' >policy.conf
	for damage in rm replace_pin replace_pin_by_folder; do
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		$damage "$folder"/*/blob-?
		run connection 7001
		[ "${lines[0]}" = "1 61 21 4" ]
		run "$TCPKEEP" policy status --cgroup "$GROUP"
		[ "$status" -eq 3 ]
		[[ $output == *"Its text is LOST: "*"The rules act as before; "*"until it is applied again: 'tcpkeep policy apply FILE --cgroup /${GROUP##*/}'."* ]]
		[[ $output =~ a\ +default\ +1\ +1\ +0\ +0$'\n'\ +"on time=61 intvl=21 probes=4 for connections that cannot be told any more" ]]
		run "$TCPKEEP" policy status --cgroup "$GROUP" --json
		[ "$status" -eq 3 ]
		[ "$(jq -c '[.damaged, .readable, .text_lost, .compared, .rules[0].text]' <<<"$output")" = '[false,true,true,"unknown",null]' ]
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		run "$TCPKEEP" policy status --cgroup "$GROUP" --json
		[ "$status" -eq 0 ]
		[ "$(jq -c '[.text_lost, .compared]' <<<"$output")" = '[false,"same"]' ]
	done
	"$TCPKEEP" policy remove --cgroup "$GROUP"
	rm -rf "$folder"
}

@test "what is not ours in our folder stays, and is in nobody's way; a newer tcpkeep's policy is told" {
	own_cgroup
	command -v bpftool || skip "no bpftool"
	local folder=/sys/fs/bpf/tcpkeep meta
	echo 'rule "a" { on }' >policy.conf
	mkdir -p "$folder/theirs"
	bpftool map create "$folder/0000000000000001-0000000000000002" type array key 4 value 4 entries 1 name somebodys
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	"$TCPKEEP" policy status --cgroup "$GROUP"
	for place in "$folder"/*-*/; do mkdir -p "$place/sub/sub"; done
	"$TCPKEEP" policy remove --cgroup "$GROUP"
	[ -d "$folder/theirs" ]
	[ -e "$folder/0000000000000001-0000000000000002" ]
	rm -r "$folder"

	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	meta=$(echo "$folder"/*/meta)
	# The layout: four bytes behind the first eight.
	bpftool map update pinned "$meta" key 0 0 0 0 value hex $(bpftool -j map dump pinned "$meta" |
		jq -r '.[0].value | map(ltrimstr("0x")) | .[8] = "63" | join(" ")')
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ $output == *"It is that of a newer tcpkeep (layout 99), which can read it; 'tcpkeep policy remove' takes it away." ]]
	for dry in "" --dry-run; do
		run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" $dry
		[ "$status" -eq 1 ]
		[[ $stderr == "tcpkeep: policy apply: a newer tcpkeep's policy is in force here (layout 99"* ]]
	done
	run "$TCPKEEP" policy remove --cgroup "$GROUP"
	[ "${lines[0]}" = "The policy for new connections of cgroup /${GROUP##*/} was removed." ]

	bpftool map create "$folder" type array key 4 value 4 entries 1 name somebodys
	for words in "status" "remove" "apply policy.conf --cgroup $GROUP"; do
		run --separate-stderr "$TCPKEEP" policy $words
		[ "$status" -eq 1 ]
		[[ $stderr == *": $folder is no directory: something else is pinned there; unlink it" ]]
	done
	rm "$folder"
}

@test "a long policy is compared rule by rule" {
	own_cgroup
	for i in $(seq 1 250); do echo "rule \"a rule with a long name, number $i\" { peer = \"10.0.0.0/8:$i\" time = 60 intvl = 10 }"; done >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ $output == *"policy.conf says the same."* ]]
	[[ $output == *"number 250 "* ]]
	sed -i '1s/60/61/' policy.conf
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"policy.conf DIFFERS"*$'\n''  ~ rule "a rule with a long name, number 1"  changed: settings'$'\n'"Attached"* ]]
	run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *", in place of the policy before" ]]
	[ "${lines[1]}" = '  ~ rule "a rule with a long name, number 1"  changed: settings' ]
	[ "${lines[2]}" = "The counts of all rules begin anew." ]
}

# In the cgroup and a network of its own: both ends of a connection to a port, as ss sees them.
connection() {
	bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec unshare --net -- bash -c "ip link set lo up; exec \"\$@\"" _ "$@"' _ "$GROUP" \
		python3 -c '
import socket, subprocess, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(server.getsockname())
accepted = server.accept()[0]
if len(sys.argv) > 2:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(sys.argv[2]))
for s in client, accepted:
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *[s.getsockopt(socket.IPPROTO_TCP, o) for o in
          (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)])
print(subprocess.run(["ss", "-Htno", "state", "established"], capture_output=True, text=True).stdout.count("keepalive"))
' "$@"
}

@test "connections get what the rules say, and status counts them" {
	own_cgroup
	cat >policy.conf <<'END'
rule "leave" { peer = ":7001" mode = "leave" }
rule "in" { direction = "in" local = ":7002" time = 62 intvl = 22 probes = 5 }
rule "out" { direction = "out" peer = { ":7002", ":7003" } time = 61 intvl = 21 probes = 4 }
END
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	run connection 7001
	[ "${lines[0]}" = "0 7200 75 9" ]
	run connection 7002
	[ "${lines[0]}" = "1 61 21 4" ]
	[ "${lines[1]}" = "1 62 22 5" ]
	[ "${lines[2]}" = 2 ]
	run connection 7003
	[ "${lines[0]}" = "1 61 21 4" ]
	[ "${lines[1]}" = "0 7200 75 9" ]
	run "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$(jq -c '[.rules[] | [.name, .set, .failed]]' <<<"$output")" = '[["leave",0,0],["in",1,0],["out",2,0]]' ]
	[ "$(jq -c '[.rules[].matched]' <<<"$output")" = '[1,1,2]' ]
	# It counts what was given, also where the program has changed it since.
	run connection 7003 500
	[ "${lines[0]}" = "1 500 21 4" ]
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output =~ out\ +default\ +3\ +3\ +0\ +0 ]]
	[ "${lines[-1]}" = "SET: given when the connection was made; in mode default the program may have changed it since: 'tcpkeep list' shows what holds." ]
	sed -i 's/ }$/ mode = enforce }/' policy.conf
	sed -i '1d' policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	connection 7003
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output != *"SET:"* ]]
}

# counts: what the rules have matched, and since when they count.
counts() {
	"$TCPKEEP" policy status --cgroup "$GROUP" --json | jq -c '[.applied_at_s, [.rules[].matched]]'
}

@test "the same again changes nothing, and the counts go on; anything else, and they begin anew" {
	own_cgroup
	echo 'rule "a" { peer = ":7001" program = "python3*" time = 61 intvl = 21 mode = enforce }' >policy.conf
	echo 'rule "b" { peer = ":7002" on }' >>policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	connection 7001
	before=$(counts)
	[[ $before == *",[1,0]]" ]]
	echo '# a word more, and other blanks' >>policy.conf
	run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "2 rules are in force for new connections of cgroup /${GROUP##*/} already; nothing was changed, and the counts go on" ]
	[ "$(counts)" = "$before" ]
	run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --json
	[ "$(jq -c '[.applied, .replaced, .unchanged, .hooks]' <<<"$output")" = '[true,true,true,["sock_ops","setsockopt"]]' ]
	# The rules go on as well.
	run connection 7001 500
	[ "${lines[0]}" = "1 61 21 9" ]
	[ "$(counts)" = "${before/,[1,/,[2,}" ]

	# What somebody has detached is attached, and that is all.
	if command -v bpftool; then
		bpftool link detach pinned /sys/fs/bpf/tcpkeep/*/setsockopt_link
		run "$TCPKEEP" policy status --cgroup "$GROUP"
		[ "$status" -eq 3 ]
		run "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		[[ ${lines[0]} == *" as before; what somebody had detached is attached again, and the counts go on" ]]
		[ "$(counts)" = "${before/,[1,/,[2,}" ]
		run connection 7001 500
		[ "${lines[0]}" = "1 61 21 9" ]
	fi

	# From another file, then with another rule.
	"$TCPKEEP" policy apply - --cgroup "$GROUP" <policy.conf >told
	grep -q ', in place of the policy before, which says the same$' told
	grep -q '^The counts of all rules begin anew.$' told
	[[ $(counts) == *",[0,0]]" ]]
	connection 7001
	echo 'rule "c" { peer = ":7003" on }' >>policy.conf
	run "$TCPKEEP" policy apply - --cgroup "$GROUP" --json <policy.conf
	[ "$(jq -c '[.unchanged, .changes.added]' <<<"$output")" = '[false,["c"]]' ]
	[[ $(counts) == *",[0,0,0]]" ]]
}

@test "another namespace behind the same name is another policy" {
	own_cgroup
	echo 'rule "a" { netns = "tk-again" on }' >policy.conf
	# In the room's own /run. The old one is held, so that the new one has another number.
	ip netns add tk-again
	for turn in 1 2 3; do
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --json | jq -c "[.unchanged, .changes.changed]"
		[ $turn = 2 ] || continue
		exec 5</run/netns/tk-again
		ip netns del tk-again
		ip netns add tk-again
	done >told
	exec 5<&-
	ip netns del tk-again
	[ "$(paste -sd ' ' told)" = '[false,[]] [true,[]] [false,[]]' ]
}

@test "mode enforce holds against the program, mode default does not" {
	own_cgroup
	echo 'rule "a" { peer = ":7001" time = 61 intvl = 21 probes = 4 mode = "enforce" }' >policy.conf
	echo 'rule "b" { peer = ":7002" time = 61 intvl = 21 probes = 4 }' >>policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	run connection 7001 500
	[ "${lines[0]}" = "1 61 21 4" ]
	run connection 7002 500
	[ "${lines[0]}" = "1 500 21 4" ]
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"Attached to sock_ops and setsockopt."* ]]
}

@test "of nested policies the innermost whose rule matches decides" {
	own_cgroup
	mkdir "$GROUP/in"
	echo 'rule "outer" { peer = { ":7001", ":7002", ":7003" } time = 61 intvl = 21 probes = 5 mode = "enforce" }' >outer.conf
	cat >inner.conf <<'END'
rule "leave" { peer = ":7002" mode = "leave" }
rule "inner" { peer = ":7001" time = 31 intvl = 11 }
END
	"$TCPKEEP" policy apply outer.conf --cgroup "$GROUP"
	"$TCPKEEP" policy apply inner.conf --cgroup "$GROUP/in"
	outer=$GROUP
	GROUP=$outer/in
	run connection 7001 500
	[ "${lines[0]}" = "1 500 11 9" ]
	run connection 7002
	[ "${lines[0]}" = "0 7200 75 9" ]
	run connection 7003
	[ "${lines[0]}" = "1 61 21 5" ]
	GROUP=$outer
	run connection 7001 500
	[ "${lines[0]}" = "1 61 21 5" ]
	run "$TCPKEEP" policy status --cgroup "$GROUP" --json
	[ "$(jq -c '[.rules[0].matched, .rules[0].set]' <<<"$output")" = '[2,2]' ]
	"$TCPKEEP" policy remove --cgroup "$GROUP/in"
	rmdir "$GROUP/in"
}

@test "few descriptors: applied whole, or refused for that, with nothing left" {
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	for n in 40 30 25 20 18 16 14 12 10 8 7; do
		run --separate-stderr bash -c "exec 3>&- 4>&-; ulimit -n $n; exec \"\$@\"" _ env ASAN_OPTIONS=detect_leaks=0 "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
		if [ "$status" -eq 0 ]; then
			"$TCPKEEP" policy status --cgroup "$GROUP"
			"$TCPKEEP" policy remove --cgroup "$GROUP"
			applied=1
		else
			[ "$status" -eq 1 ]
			[ "$stderr" = "tcpkeep: policy apply: no descriptors: Too many open files; raise the limit (ulimit -n)" ]
			refused=1
		fi
		[ ! -e /sys/fs/bpf/tcpkeep ]
	done
	[ "$applied$refused" = 11 ]
}

@test "few descriptors: status and remove tell all, or are refused for that and leave all as it is" {
	own_cgroup
	echo 'rule "a" { on mode = enforce }' >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	for n in 40 30 25 20 18 16 14 12 11 10 9 8 7 6 5; do
		run --separate-stderr bash -c "exec 3>&- 4>&-; ulimit -n $n; exec \"\$@\"" _ env ASAN_OPTIONS=detect_leaks=0 "$TCPKEEP" policy status --cgroup "$GROUP"
		if [ "$status" -eq 0 ]; then
			[[ $output == *"policy.conf says the same."* ]]
			told=1
		else
			[ "$status" -eq 1 ]
			[[ $stderr == "tcpkeep: policy status: "*"Too many open files"* ]]
			refused=1
		fi
		"$TCPKEEP" policy status --cgroup "$GROUP"
	done
	[ "$told$refused" = 11 ]
	for n in 5 6 7 8 9 10 11 12 14 16 18 20 25; do
		run --separate-stderr bash -c "exec 3>&- 4>&-; ulimit -n $n; exec \"\$@\"" _ env ASAN_OPTIONS=detect_leaks=0 "$TCPKEEP" policy remove --cgroup "$GROUP"
		[ "$status" -ne 0 ] || break
		[[ $stderr == "tcpkeep: policy remove: "*"Too many open files"* ]]
		"$TCPKEEP" policy status --cgroup "$GROUP"
	done
	[[ ${lines[0]} == "The policy"*"was removed." ]]
	[ ! -e /sys/fs/bpf/tcpkeep ]
}

# ------------------------------------------------------------------------------ what is open

# hold MANY [PATH]: the holder in a network of its own, in the cgroup or one beneath it.
hold() {
	export STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	start_holder "$1" bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' _ "${2-$GROUP}" unshare --net --
}

@test "apply --existing: open connections get what the rules say, and set --undo gives it back" {
	own_cgroup
	hold 3
	echo "put many0 on 1" >&8 && read -t 20 -r _ <&9
	cat >policy.conf <<'END'
rule "leave" { local = ":5433" mode = "leave" }
rule "v6" { peer = ":5433" time = 61 intvl = 21 probes = 4 }
rule "program" { program = "python3*" peer = ":5432,:5435" time = 62 user-timeout = 2m }
rule "held" { peer = ":9" mode = "enforce" time = 9 }
END
	sed -i 's/":5432,:5435"/{ ":5432", ":5435" }/' policy.conf
	# many0: the program has turned it on.
	local kept='1 keeps values of its own: mode "default" leaves those, mode "enforce" changes them'

	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing --dry-run
	[ "$status" -eq 0 ]
	[ "${lines[-2]}" = "Open connections: 5 to change, 0 held already" ]
	[ "${lines[-1]}" = "$kept" ]
	expect v4 "0 7200 75 9 0 alive"
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 1 ]

	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	[ "$status" -eq 0 ]
	[ "${lines[-2]}" = "Open connections: 5 changed, 0 held already (tcpkeep set --undo 1)" ]
	[ "${lines[-1]}" = "$kept" ]
	expect v4 "1 62 75 9 120000 alive"
	expect v6 "1 61 21 4 0 alive"
	expect mapped "1 61 21 4 0 alive"
	expect many1 "1 62 75 9 120000 alive"
	# On already: the program's own business. A listener passes on what it has, and the policy rules what it accepts.
	expect many0 "1 7200 75 9 0 alive"
	expect l4 "0 7200 75 9 0 alive"
	nsenter --net="/proc/$HOLDER/ns/net" ss -Htno 'dport = :5433' | grep -q 'timer:(keepalive,'

	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing --json
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.applied, .existing.changed, .existing.matched, .existing.undo]' <<<"$output")" = '[true,0,0,null]' ]
	run --separate-stderr "$TCPKEEP" set --history
	[[ $output == *"policy apply policy.conf --existing"* ]]
	run --separate-stderr "$TCPKEEP" set --undo
	[ "$status" -eq 0 ]
	expect v4 "0 7200 75 9 0 alive"
	expect v6 "0 7200 75 9 0 alive"
}

@test "apply --existing leaves what the program has set, and enforce does not" {
	own_cgroup
	hold 2
	for order in "put many0 time 500" "put many0 user-timeout 7000" "put many1 on 1" "put many1 time 500"; do
		echo "$order" >&8 && read -t 20 -r _ <&9
	done
	echo 'rule "a" { peer = ":5435" time = 62 intvl = 22 user-timeout = 9s }' >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	expect many0 "1 500 22 9 7000 alive"
	expect many1 "1 500 75 9 0 alive"
	echo 'rule "a" { peer = ":5435" time = 62 intvl = 22 user-timeout = 90s mode = enforce }' >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	expect many0 "1 62 22 9 90000 alive"
	expect many1 "1 62 22 9 90000 alive"
}

@test "apply --existing tells how many keep values of their own: made under an earlier policy, or given back by an undo" {
	own_cgroup
	echo 'rule "a" { peer = ":5435" time = 250 intvl = 75 }' >policy.conf
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	hold 4
	expect many3 "1 250 75 9 0 alive"
	sed -i 's/250/60/; s/75/10/' policy.conf
	for dry in --dry-run ""; do
		run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing $dry
		[ "$status" -eq 0 ]
		[[ ${lines[-2]} == "Open connections: 0 "*", 0 held already" ]]
		[ "${lines[-1]}" = '4 keep values of their own: mode "default" leaves those, mode "enforce" changes them' ]
		expect many3 "1 250 75 9 0 alive"
	done
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing --json
	[ "$(jq -c '[.existing.matched, .existing.changed, .existing.kept]' <<<"$output")" = '[0,0,4]' ]
	# As the rule has it: nothing is left to tell. A program that goes its own way is one.
	for i in 0 1 2 3; do
		echo "put many$i time 60" >&8 && read -t 20 -r _ <&9
		echo "put many$i intvl 10" >&8 && read -t 20 -r _ <&9
	done
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	[ "${lines[-1]}" = "Open connections: 0 changed, 0 held already" ]
	echo "put many2 time 500" >&8 && read -t 20 -r _ <&9
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	[ "${lines[-1]}" = '1 keeps values of its own: mode "default" leaves those, mode "enforce" changes them' ]

	# The sysctl's values can be written back, and are the socket's own from then on.
	for i in 0 1 2 3; do echo "put many$i on 0" >&8 && read -t 20 -r _ <&9; done
	echo 'rule "a" { peer = ":5432" time = 60 intvl = 10 }' >policy.conf
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	[[ ${lines[-1]} == "Open connections: 1 changed, 0 held already (tcpkeep set --undo "* ]]
	"$TCPKEEP" set --undo
	expect v4 "0 7200 75 9 0 alive"
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing
	[[ ${lines[-2]} == "Open connections: 1 changed, 0 held already "* ]]
	[ "${lines[-1]}" = '1 keeps values of its own: mode "default" leaves those, mode "enforce" changes them' ]
	expect v4 "1 7200 75 9 0 alive"
	sed -i 's/time/mode = enforce time/' policy.conf
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing --json
	[ "$(jq -c '[.existing.changed, .existing.kept]' <<<"$output")" = '[1,0]' ]
	expect v4 "1 60 10 9 0 alive"
}

@test "apply --existing keeps to the cgroup and what is beneath it" {
	own_cgroup
	mkdir "$GROUP/a" "$GROUP/a/b" "$GROUP/ab"
	hold 0 "$GROUP/a/b"
	echo 'rule "a" { time = 62 }' >policy.conf
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP/ab" --existing
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "Open connections: 0 changed, 0 held already" ]
	expect v4 "0 7200 75 9 0 alive"
	run --separate-stderr "$TCPKEEP" policy apply policy.conf --cgroup "$GROUP/a" --existing
	[ "$status" -eq 0 ]
	expect v4 "1 62 75 9 0 alive"
	kill "$HOLDER" && wait "$HOLDER" || true
	for below in ab a; do "$TCPKEEP" policy remove --cgroup "$GROUP/$below"; done
	rmdir "$GROUP/a/b" "$GROUP/a" "$GROUP/ab"
}

@test "apply --existing: what would drown the machine is refused, and the rules are in force" {
	own_cgroup
	hold 700
	echo 'rule "a" { peer = ":5435" time = 2 intvl = 1 probes = 1 }' >policy.conf
	# So few connections overflow no queue but one that is as short as this.
	storm() {
		run --separate-stderr unshare --mount -- sh -c \
			'mount -t tmpfs tmpfs /proc/sys/net/core && echo 8 >/proc/sys/net/core/netdev_max_backlog && exec "$@"' _ \
			"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP" --existing "$@"
	}
	storm
	[ "$status" -eq 3 ]
	[[ $stderr == *"tcpkeep: policy apply: refused: the probes would overflow "*"--force"* ]]
	[ "${lines[-1]}" = "Connections that are open already keep what they have." ]
	expect many0 "0 7200 75 9 0 alive"
	"$TCPKEEP" policy status --cgroup "$GROUP"
	storm --json
	[ "$status" -eq 3 ]
	[ "$(jq -c '[.applied, .existing]' <<<"$output")" = '[true,null]' ]
	storm --force
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} == "Open connections: 700 changed, "* ]]
}

@test "bpffs is mounted where it is not, which is said" {
	own_cgroup
	echo 'rule "a" { on }' >policy.conf
	run --separate-stderr unshare --mount -- sh -c \
		'while umount /sys/fs/bpf 2>/dev/null; do :; done; "$@" && grep -q " /sys/fs/bpf .* - bpf " /proc/self/mountinfo' _ \
		"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	[ "$status" -eq 0 ]
	[[ $stderr == *"warning: policy apply: bpffs was not mounted; it is now, at /sys/fs/bpf"* ]]
	# What it pinned has gone with the mount.
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[ "$status" -eq 1 ]
}

one_policy() {
	[ "$("$TCPKEEP" policy status --json | wc -l)" = 1 ]
}

@test "a cgroup of a hostile name, that is removed under its policy" {
	own_cgroup
	# The kernel refuses a newline, and no more.
	local hostile=$GROUP/$'ev\e[31mil,peer=:1 "x" #\\'
	mkdir "$hostile"
	hold 0 "$hostile"
	echo 'rule "a" { peer = ":5432" time = 62 }' >policy.conf
	run "$TCPKEEP" policy apply policy.conf --cgroup "$hostile" --existing
	[ "$status" -eq 0 ]
	[ -z "$(tr -d '\n\040-\176' <<<"$output")" ]
	expect v4 "1 62 75 9 0 alive"
	run "$TCPKEEP" policy status --cgroup "$hostile"
	[ "$status" -eq 0 ]
	[ -z "$(tr -d '\n\040-\176' <<<"$output")" ]
	# Its sockets keep what is attached to a cgroup, also one that is gone.
	echo "$HOLDER" >"$GROUP/cgroup.procs"
	rmdir "$hostile"
	run "$TCPKEEP" policy status
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "A policy for a cgroup that was removed: it goes by itself, with the last socket of that cgroup" ]
	"$TCPKEEP" policy apply policy.conf --cgroup "$GROUP"
	run "$TCPKEEP" policy status --json
	[ "$(jq -sc 'map(.cgroup) | sort' <<<"$output")" = "[null,\"/${GROUP##*/}\"]" ]
	# Then the kernel lets go of it, in its own time, and the next one who looks clears up.
	kill "$HOLDER" && wait "$HOLDER" || true
	until_true one_policy
	run "$TCPKEEP" policy status
	[[ $output != *"that was removed"* ]]
	[ "$(ls /sys/fs/bpf/tcpkeep | wc -l)" = 1 ]
}

@test "two applies, a remove and a status at once: each does its work, and what is left is whole" {
	own_cgroup
	for i in $(seq 1 256); do echo "rule \"a name as long as may be, of sixty-three bytes: rule no. $i\" { peer = \":$i\" time = 61 intvl = 5 }"; done >one.conf
	sed "s/time = 61/time = 62/" one.conf >two.conf
	churn() {
		local i result
		for i in $(seq 8); do
			result=0
			"$TCPKEEP" policy "$@" --cgroup "$GROUP" >/dev/null 2>>said || result=$?
			echo "$1 $result" >>results
		done
	}
	churn apply one.conf & churn apply two.conf --existing & churn remove & churn status &
	wait
	cat said
	[ ! -s said ]
	# A status may find none.
	[ "$(grep -cvE '^(apply 0|remove 0|status [01])$' results)" -eq 0 ]
	[ "$(wc -l <results)" -eq 32 ]
	"$TCPKEEP" policy apply one.conf --cgroup "$GROUP"
	run "$TCPKEEP" policy status --cgroup "$GROUP"
	[[ $output == *"one.conf says the same."* ]]
	"$TCPKEEP" policy remove --cgroup "$GROUP"
	[ ! -e /sys/fs/bpf/tcpkeep ]
}
