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
