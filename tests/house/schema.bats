# SPDX-License-Identifier: MIT
# What --json prints is what docs/schema says: no member too many, none missing.

# shellcheck disable=SC2016,SC2086,SC2153 # told expands it; words; the environment has it

# valid SCHEMA: each line of stdin against docs/schema/SCHEMA. Members that the schema does not name are refused here,
# though a reader must allow for them: the schema is the documentation.
valid() {
	/usr/bin/python3 -c '
import json, sys
from jsonschema import Draft7Validator
def closed(node):
    if isinstance(node, dict):
        if "properties" in node:
            node["additionalProperties"] = False
        for child in node.values():
            closed(child)
    elif isinstance(node, list):
        for child in node:
            closed(child)
    return node
validator = Draft7Validator(closed(json.load(open(sys.argv[1]))))
lines = [json.loads(line) for line in sys.stdin]
assert lines, "no line"
for line in lines:
    for error in validator.iter_errors(line):
        sys.exit(f"{list(error.path)}: {error.message}")
' "$SOURCE/docs/schema/$1"
}

setup_file() {
	/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || skip "no python3-jsonschema"
}

@test "explain" {
	for settings in "time=60 intvl=10 probes=6" "off" "user-timeout=30s" "time=5 intvl=9 probes=1"; do
		"$TCPKEEP" explain $settings --json 2>/dev/null | valid tcpkeep.explain-1.schema.json
	done
	"$TCPKEEP" explain --json | valid tcpkeep.explain-1.schema.json
}

@test "sysctl" {
	"$TCPKEEP" sysctl --json | valid tcpkeep.sysctl-1.schema.json
	"$TCPKEEP" sysctl --all-netns --json 2>/dev/null | valid tcpkeep.sysctl-1.schema.json
	unshare --net -- "$TCPKEEP" sysctl time=600 probes=5 --json | valid tcpkeep.sysctl-1.schema.json
}

@test "set" {
	export STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
	# shellcheck disable=SC2016
	unshare --net -- sh -c 'ip link set lo up && exec /usr/bin/python3 -c "$0" "$@"' '
import socket, subprocess, sys
l = socket.create_server(("127.0.0.1", 5432))
c = socket.create_connection(("127.0.0.1", 5432))
l.accept()[0].close()
many = [(socket.create_connection(l.getsockname()), l.accept()[0]) for _ in range(400)]
for words in sys.argv[2:]:
    subprocess.run([sys.argv[1], "set", *words.split(), "--json"])
' "$TCPKEEP" "all time=60 -n" "all time=60 -v" "peer=:5432 off" "--undo" "--history" \
		"all time=11 intvl=3 probes=1 --rate 100000000" >"$BATS_TEST_TMPDIR/out" 2>/dev/null
	# The last one is refused.
	tail -1 "$BATS_TEST_TMPDIR/out" | jq -e '.refusal.without_rate and .changed == 0'
	for schema in set set-summary set-history; do
		grep "\"tcpkeep.$schema/1\"" "$BATS_TEST_TMPDIR/out" | valid tcpkeep.$schema-1.schema.json
	done
}

@test "run --report" {
	"$TCPKEEP" run --report --json -- true 2>"$BATS_TEST_TMPDIR/report"
	valid tcpkeep.run-report-1.schema.json <"$BATS_TEST_TMPDIR/report"
}

@test "prove" {
	"$TCPKEEP" prove --json 2>/dev/null | valid tcpkeep.prove-1.schema.json
}

# Members of list that only their own column prints.
ONLY_BY_NAME='["fd", "pid", "program", "processes", "timer_in_s", "probes_out", "retransmits", "next_in_s"]'

# told COMMAND: what a shell command prints in a network with a listener and connections, in which
# $HOLDER:$FD is one of them. It has to succeed: what follows in a pipe would not notice.
told() {
	unshare --net --mount-proc --pid --kill-child -- /usr/bin/python3 -c '
import fcntl, os, socket, struct, subprocess, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x9, b""))
listener = socket.create_server(("127.0.0.1", 0))
kept = [socket.create_connection(listener.getsockname()) for _ in range(3)]
kept[0].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
kept[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
kept[1].send(b"closed with data unread")
listener.accept()[0].close()
os.environ.update(HOLDER=str(os.getpid()), FD=str(kept[0].fileno()))
sys.exit(subprocess.run(["bash", "-eo", "pipefail", "-c", sys.argv[1]]).returncode)' "$1" \
		>"$BATS_TEST_TMPDIR/told"
}

# is_valid SCHEMA: what told has printed.
is_valid() {
	valid "$1" <"$BATS_TEST_TMPDIR/told"
}

needs_root() {
	[ "$(id -u)" = 0 ] || skip "needs root: a network namespace"
}

@test "list" {
	needs_root
	for source in bpf diag-fd diag; do
		"$TCPKEEP" list --source $source >/dev/null 2>&1 || continue
		told "\"\$TCPKEEP\" list --source $source --json"
		is_valid tcpkeep.list-1.schema.json
		# Whatever the source cannot tell is null, not absent.
		jq -es --argjson only "$ONLY_BY_NAME" --slurpfile schema \
			"$SOURCE/docs/schema/tcpkeep.list-1.schema.json" \
			'all(keys == ($schema[0].properties | keys) - $only)' "$BATS_TEST_TMPDIR/told"
		for by in program unit user netns; do
			told "\"\$TCPKEEP\" list --source $source --summary $by --json"
			is_valid tcpkeep.list-summary-1.schema.json
		done
	done
}

@test "list -o, each column by itself" {
	needs_root
	told '"$TCPKEEP" list --columns | while read -r column _; do
		"$TCPKEEP" list -o "$column" --json
	done'
	is_valid tcpkeep.list-1.schema.json
	# All that the schema names come of a column.
	jq -es --slurpfile schema "$SOURCE/docs/schema/tcpkeep.list-1.schema.json" \
		'(map(keys) | add | unique) == ($schema[0].properties | keys)' "$BATS_TEST_TMPDIR/told"
}

@test "list --all-netns" {
	needs_root
	told 'unshare --net "$TCPKEEP" list --all-netns --json'
	is_valid tcpkeep.list-1.schema.json
	told 'unshare --net "$TCPKEEP" list --all-netns --summary netns --json'
	is_valid tcpkeep.list-summary-1.schema.json
}

@test "explain PID:FD" {
	needs_root
	told '"$TCPKEEP" explain "$HOLDER:$FD" --json
		"$TCPKEEP" explain "$HOLDER:$((FD - 1))" --json
		"$TCPKEEP" explain "$HOLDER:$((FD + 1))" --json
		# Without BPF, through a copy of the descriptor.
		setpriv --bounding-set=-bpf,-perfmon,-sys_admin --inh-caps=-all -- \
			"$TCPKEEP" explain "$HOLDER:$FD" --json'
	is_valid tcpkeep.explain-1.schema.json
	[ "$(wc -l <"$BATS_TEST_TMPDIR/told")" -eq 4 ]
}

@test "policy check" {
	cd "$BATS_TEST_TMPDIR"
	printf 'rule "a" { peer = ":1" time = 60 }\nrule "b" { peer = ":1" mode = leave }\n' >good
	printf 'rule "a" { tmie = 1 }\n' >bad
	"$TCPKEEP" policy check good --json | valid tcpkeep.policy-check-1.schema.json
	for file in bad missing /dev/null; do
		! "$TCPKEEP" policy check "$file" --json 2>/dev/null >out || false
		valid tcpkeep.policy-check-1.schema.json <out
	done
}

# In a cgroup of its own: the machine's connections are not ours.
@test "policy apply, status, remove" {
	cd "$BATS_TEST_TMPDIR"
	[ "$(id -u)" = 0 ] || skip "not root"
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	group=$mount/tcpkeep-schema-$$-$RANDOM$RANDOM
	{ [ -n "$mount" ] && mkdir "$group"; } || skip "no cgroup2"
	printf 'rule "a" { peer = ":1" time = 60 mode = enforce }\nrule "b" { mode = leave }\n' >file
	lacking=0
	"$TCPKEEP" policy apply file --cgroup "$group" --json >applied || lacking=$?
	"$TCPKEEP" policy apply file --cgroup "$group" --json --dry-run >dry || true
	"$TCPKEEP" policy apply file --cgroup "$group" --json --dry-run --existing >existing || true
	echo 'rule "a" { on }' >file
	"$TCPKEEP" policy status --cgroup "$group" --json >status || true
	mkdir "$group/in"
	"$TCPKEEP" policy apply file --cgroup "$group/in" --json >/dev/null 2>&1 || true
	"$TCPKEEP" policy status --cgroup "$group/in" --json >nested || true
	"$TCPKEEP" policy remove --cgroup "$group/in" --json >/dev/null || true
	rmdir "$group/in"
	"$TCPKEEP" policy remove --cgroup "$group" --json >removed || true
	rmdir "$group"
	# Refusals: a file with errors, no file, no such cgroup any more.
	echo 'rule "a" { tmie = 3 }' >bad
	for words in "apply bad" "apply missing" "apply file --cgroup $group"; do
		! "$TCPKEEP" policy $words --json 2>/dev/null >refused || false
		valid tcpkeep.policy-apply-1.schema.json <refused
		[ "$(jq -c '[.applied, (.error | type)]' refused)" = '[false,"string"]' ]
	done
	! "$TCPKEEP" policy remove --cgroup "$group" --json 2>/dev/null >refused || false
	valid tcpkeep.policy-remove-1.schema.json <refused
	[ "$lacking" -ne 4 ] || skip "no privilege or no BPF"
	valid tcpkeep.policy-apply-1.schema.json <applied
	valid tcpkeep.policy-apply-1.schema.json <dry
	valid tcpkeep.policy-apply-1.schema.json <existing
	[ "$(jq .existing.changed existing)" = 0 ]
	valid tcpkeep.policy-status-1.schema.json <status
	valid tcpkeep.policy-status-1.schema.json <nested
	[ "$(jq -c '[.others[].policy] | unique' nested)" = "[\"/${group##*/}\"]" ]
	valid tcpkeep.policy-remove-1.schema.json <removed
	[ "$(jq -c '[(.rules | length), .compared]' status)" = '[2,"differs"]' ]
	[ "$(jq .removed removed)" = 1 ]
}
