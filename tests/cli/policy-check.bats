# SPDX-License-Identifier: MIT
# tcpkeep policy check: what it says of a file, line for line.

load common

setup() {
	cd "$BATS_TEST_TMPDIR"
	# A umask of others must not add warnings.
	umask 022
}

@test "check tells every error with its line, what is accepted and the nearest key" {
	cat >policy.conf <<'END'
rule "postgres clients" {
	program = "psql"
	pere = ":5432"
	time = 60x
	pid = 5
	probes = 0
}

rule "postgres clients" {
	peer = { ":5432", "10.0.0.1/8" }
	intvl 10
	mode = "enforced"
}
rule "no end" {
	profile = "wan"
profile "wna" { on }
END
	run --separate-stderr "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 1 ]
	[ -z "$stderr" ]
	diff - <(echo "$output") <<'END'
policy.conf:3: pere: is not a key of a rule; did you mean 'peer'?
policy.conf:4: time: '60x' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds
policy.conf:5: pid: a process number is gone with the next restart; rules go by program, user, unit or cgroup
policy.conf:6: probes: 0 is out of range; accepted: 1 to 127
policy.conf:9: rule "postgres clients": there is one of this name in policy.conf:1; each rule needs its own
policy.conf:10: peer: '10.0.0.1/8' has bits set beyond its length; write 10.0.0.0/8, or leave out the length for one address
policy.conf:11: intvl: lacks its '='; write intvl = 10
policy.conf:12: mode: 'enforced' is no mode; did you mean 'enforce'?
policy.conf:14: rule "no end": lacks its '}'
policy.conf:15: profile: there is none named 'wan'; did you mean 'wna'?
policy.conf: 10 errors, 0 warnings
END
}

@test "check of a clean file, of one with warnings, and over includes" {
	mkdir policy.d
	echo 'rule "a" { peer = "10.0.0.0/8" time = 60 intvl = 5 }' >policy.d/a.conf
	echo 'rule "b" { peer = "11.0.0.0/8" time = 60 intvl = 5 }' >policy.d/b.conf
	echo 'include "policy.d/*.conf"' >policy.conf
	run "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 0 ]
	[ "$output" = "policy.conf: 2 rules in 3 files, no error, 0 warnings" ]
	echo 'rule "c" { peer = "10.1.2.3:5432" time = 60 intvl = 5 probes = 1 }' >>policy.d/b.conf
	run "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 0 ]
	diff - <(echo "$output") <<'END'
policy.d/b.conf:2: warning: rule "c": never matches: rule "a" (policy.d/a.conf:1) takes all that it would; put it above that
policy.d/b.conf:2: warning: rule "c": probes=1: a single lost packet kills a healthy connection; use 3 or more
policy.conf: 3 rules in 3 files, no error, 2 warnings
END
}

@test "a file that everybody may write is warned of, one that is no file refused" {
	echo 'rule "a" { on }' >policy.conf
	chmod 666 policy.conf
	run "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "policy.conf: warning: the file is writable by everybody: "* ]]
	for file in /dev/zero /proc/self . missing; do
		run --separate-stderr "$TCPKEEP" policy check "$file"
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[[ $stderr == "tcpkeep: policy check: $file "* ]]
	done
}

@test "check - reads standard input, and what that includes is beside the caller" {
	echo 'rule "a" { peer = ":1" on }' >more.conf
	run --separate-stderr bash -c 'printf "include \"more.conf\"\nrule \"b\" { tmie = 3 }\n" | "$TCPKEEP" policy check -'
	[ "$status" -eq 1 ]
	[ "$output" = "stdin:2: tmie: is not a key of a rule; did you mean 'time'?"$'\n'"stdin: 1 error, 0 warnings" ]
	run "$TCPKEEP" policy check - <more.conf
	[ "$status" -eq 0 ]
	[ "$output" = "stdin: 1 rule, no error, 0 warnings" ]
	# A file of that name is ./-, also from an include.
	echo 'rule "c" { peer = ":2" on }' >-
	run "$TCPKEEP" policy check ./- </dev/null
	[ "$status" -eq 0 ]
	echo 'include "-"' >policy.conf
	run "$TCPKEEP" policy check policy.conf </dev/null
	[ "$output" = "policy.conf: 1 rule in 2 files, no error, 0 warnings" ]
	run --separate-stderr bash -c '"$TCPKEEP" policy check - <&-'
	[ "$status" -eq 1 ]
	[[ $stderr == "tcpkeep: policy check: stdin cannot be read: "* ]]
	run --separate-stderr bash -c 'echo | "$TCPKEEP" policy check /dev/stdin'
	[ "$stderr" = "tcpkeep: policy check: /dev/stdin is a pipe; what is piped in is named -" ]
}

@test "what the kernel side has no room for is an error of check" {
	for i in $(seq 1 100); do echo "rule \"r$i\" { program = { a$i, b$i, c$i, d$i, e$i, f$i } time = 60 intvl = 5 }"; done >policy.conf
	run "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == "policy.conf: rule 'r"*"': the policy names more than "*" programs and units; use globs, "* ]]
	[ "${lines[1]}" = "policy.conf: 1 error, 0 warnings" ]
}

@test "a hostile file is shown escaped" {
	printf 'rule "a\033[31m" { \001 = 3 on }\n\xff\n' >policy.conf
	run "$TCPKEEP" policy check policy.conf
	[ "$status" -eq 1 ]
	[ -z "$(tr -d '\n\040-\176' <<<"$output")" ]
}

@test "check --json is one object with all remarks" {
	printf 'rule "a" { peer = ":1" on }\nrule "b" { peer = ":1" on }\n' >policy.conf
	run --separate-stderr "$TCPKEEP" policy check policy.conf --json
	[ "$status" -eq 0 ]
	[ "$(jq -c '[.schema, .good, .errors, .warnings, .remarks[0].line, .remarks[0].level, .rules[1].name]' <<<"$output")" = \
		'["tcpkeep.policy-check/1",true,0,1,2,"warning","b"]' ]
	echo 'tmie = 3' >>policy.conf
	run --separate-stderr "$TCPKEEP" policy check policy.conf --json
	[ "$status" -eq 1 ]
	[ "$(jq -c '[.good, .errors, .remarks[-1].line, .rules]' <<<"$output")" = '[false,1,3,[]]' ]
}

@test "check --json names the files that were read, with errors or without; each remark has its own" {
	echo 'include "more.conf"' >policy.conf
	echo 'include "none.conf"' >>policy.conf
	echo 'rule "a" { tmie = 3 }' >more.conf
	run --separate-stderr "$TCPKEEP" policy check policy.conf --json
	[ "$status" -eq 1 ]
	[ "$(jq -c '[.files, [.remarks[] | [.path, .line]], .rules]' <<<"$output")" = \
		'[["policy.conf","more.conf"],[["policy.conf",2],["more.conf",1]],[]]' ]
	run --separate-stderr "$TCPKEEP" policy check - --json <more.conf
	[ "$(jq -c '[.file, .files, .remarks[0].path]' <<<"$output")" = '["-",["stdin"],"stdin"]' ]
	run --separate-stderr "$TCPKEEP" policy check none.conf --json
	[ "$(jq -c '[.files, .remarks]' <<<"$output")" = '[[],[]]' ]
	# What is well written, and more than there is room for.
	for i in $(seq 1 100); do echo "rule \"r$i\" { program = { a$i, b$i, c$i, d$i, e$i, f$i } on }"; done >many.conf
	run --separate-stderr "$TCPKEEP" policy check - --json <many.conf
	[ "$(jq -c '[.good, .files, .remarks[-1].path, .rules]' <<<"$output")" = '[false,["stdin"],"stdin",[]]' ]
}

@test "on a terminal the remarks are broken between words; a path stays whole" {
	long=$(printf 'd%.0s' $(seq 70))
	mkdir "$long"
	echo 'rule "a" { time = 60 }' >"$long/policy.conf"
	script -qec "stty cols 60; '$TCPKEEP' policy check '$long/policy.conf'" /dev/null </dev/null | tr -d '\r' >told
	grep -q "^$long/policy.conf:1:\$" told
	# But for the paths themselves, no line is longer.
	[ "$(grep -v "^$long" told | awk 'length > 60' | wc -l)" = 0 ]
	[ "$(grep -c '^    [^ ]' told)" -ge 3 ]
	# Nothing is lost by it.
	[ "$(tr -s ' \n' ' ' <told)" = "$("$TCPKEEP" policy check "$long/policy.conf" | tr -s ' \n' ' ')" ]
}

@test "the example that is installed is without a fault" {
	# The source tree may belong to anybody, which is warned of.
	cp "$SOURCE/data/policy.conf" example.conf
	run "$TCPKEEP" policy check example.conf
	[ "$status" -eq 0 ]
	[ "$output" = "example.conf: 4 rules, no error, 0 warnings" ]
}

@test "the examples of the manual page are without a fault" {
	# What stands between ``` and begins with rule, profile or include.
	awk '/^```/ { inside = !inside; next } inside' "$SOURCE/man/tcpkeep-policy.conf.5.scd" >all
	grep -q '^rule ' all
	run "$TCPKEEP" policy check all
	[ "$status" -eq 0 ]
	[[ $output == *"no error"* ]]
}
