# SPDX-License-Identifier: MIT
# What --json prints is what docs/schema says: no member too many, none missing.

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

@test "run --report" {
	"$TCPKEEP" run --report --json -- true 2>"$BATS_TEST_TMPDIR/report"
	valid tcpkeep.run-report-1.schema.json <"$BATS_TEST_TMPDIR/report"
}

@test "prove" {
	"$TCPKEEP" prove --json 2>/dev/null | valid tcpkeep.prove-1.schema.json
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
	group=$mount/tcpkeep-schema-$BASHPID
	{ [ -n "$mount" ] && mkdir "$group"; } || skip "no cgroup2"
	printf 'rule "a" { peer = ":1" time = 60 mode = enforce }\nrule "b" { mode = leave }\n' >file
	lacking=0
	"$TCPKEEP" policy apply file --cgroup "$group" --json >applied || lacking=$?
	"$TCPKEEP" policy apply file --cgroup "$group" --json --dry-run >dry || true
	echo 'rule "a" { on }' >file
	"$TCPKEEP" policy status --cgroup "$group" --json >status || true
	"$TCPKEEP" policy remove --cgroup "$group" --json >removed || true
	rmdir "$group"
	[ "$lacking" -ne 4 ] || skip "no privilege or no BPF"
	valid tcpkeep.policy-apply-1.schema.json <applied
	valid tcpkeep.policy-apply-1.schema.json <dry
	valid tcpkeep.policy-status-1.schema.json <status
	valid tcpkeep.policy-remove-1.schema.json <removed
	[ "$(jq -c '[(.rules | length), .compared]' status)" = '[2,"differs"]' ]
	[ "$(jq .removed removed)" = 1 ]
}
