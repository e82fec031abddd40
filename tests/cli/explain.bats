# SPDX-License-Identifier: MIT
# tcpkeep explain. The model itself is tested in tests/unit and, against the kernel, in tests/net.

load common

@test "the timeline names every probe and the death" {
	run "$TCPKEEP" explain time=60 intvl=10 probes=6
	[ "$status" -eq 0 ]
	[ "$(grep -cE '^ .* probe [0-9]$' <<<"$output")" -ge 6 ]
	[[ $output == *"dead: the program gets ETIMEDOUT"* ]]
	[[ $output == *"60.0 probes an hour"* ]]
	[ -z "$(awk 'length > 100' <<<"$output")" ]
}

@test "the numbers in JSON follow from the settings" {
	run --separate-stderr "$TCPKEEP" explain time=60 intvl=10 probes=6 --json
	[ "$status" -eq 0 ]
	jq -e '.schema == "tcpkeep.explain/1"
		and .settings.time_s == 60 and .settings.time_origin == "argument"
		and (.idle.events | length) == 6
		and (.idle.events[0].earliest_s >= 60)
		and (.idle.death_earliest_s >= 120 and .idle.death_earliest_s < 121)
		and (.idle.death_latest_s <= 136)
		and .idle.error == "ETIMEDOUT"
		and .detection.zero_window_answered_s == null
		and .probe_period_s == 60' <<<"$output"
}

@test "what is left open comes from the sysctls of this namespace" {
	in_netns sh -c 'echo 1234 >/proc/sys/net/ipv4/tcp_keepalive_time; "$TCPKEEP" explain intvl=5 --json'
	[ "$status" -eq 0 ]
	jq -e '.settings.time_s == 1234 and .settings.time_origin == "sysctl"
		and .settings.intvl_s == 5 and .settings.intvl_origin == "argument"
		and .settings.probes == 9 and .settings.probes_origin == "sysctl"' <<<"$output"
}

@test "off is never noticed, a user timeout bounds all three" {
	run --separate-stderr "$TCPKEEP" explain off --json
	jq -e '.detection.idle_s == null and .idle.error == null and .probe_period_s == null' <<<"$output"
	run --separate-stderr "$TCPKEEP" explain time=60 intvl=10 probes=6 user-timeout=2m --json
	jq -e '[.detection[]] | all(. != null and . >= 120 and . < 140)' <<<"$output"
}

@test "dangerous settings are warned of, on stderr and in JSON" {
	run --separate-stderr "$TCPKEEP" explain time=60 intvl=10 probes=1
	[ "$status" -eq 0 ]
	[[ $stderr == *"warning: probes=1: a single lost packet kills"* ]]
	run --separate-stderr "$TCPKEEP" explain time=60 intvl=10 probes=6 user-timeout=70s --json
	jq -e '.warnings | length == 1 and (.[0] | contains("time+intvl"))' <<<"$output"
}

@test "bad texts are refused with what was wrong and the range" {
	while IFS='|' read -r text message; do
		run "$TCPKEEP" explain "$text"
		[ "$status" -eq 2 ]
		[ "$output" = "tcpkeep: explain: $message" ] || {
			echo "$text: $output"
			return 1
		}
	done <<'END'
abc|'abc' is not a setting; the settings are time, intvl, probes, user-timeout, on and off
tiem=60|'tiem' is not a setting; did you mean 'time'?
time=12x|time: '12x' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds
time=-1|time: '-1' is negative; accepted: 1 to 32767 seconds
time=1e9|time: '1e9' has a unit other than d, h, m or s; accepted: 1 to 32767 seconds
time=|time: '' is empty; accepted: 1 to 32767 seconds
time=500ms|time: '500ms' is in milliseconds, which only user-timeout takes; accepted: 1 to 32767 seconds
time=0|time: 0 is out of range; accepted: 1 to 32767 seconds
probes=0|probes: 0 is out of range; accepted: 1 to 127
probes=99999999999999999999|probes: '99999999999999999999' is too large a number; accepted: 1 to 127
END
	run "$TCPKEEP" explain time=60 idle=61
	[ "$status" -eq 2 ]
}

@test "the picture is well-formed and can be drawn" {
	command -v rsvg-convert >/dev/null || skip "no rsvg-convert"
	for settings in "time=60 intvl=10 probes=6" "off" "time=32767 intvl=32767 probes=127" \
		"time=1 intvl=1 probes=127 user-timeout=100s"; do
		run "$TCPKEEP" explain $settings --svg "$BATS_TEST_TMPDIR/a.svg"
		[ "$status" -eq 0 ]
		rsvg-convert "$BATS_TEST_TMPDIR/a.svg" -o "$BATS_TEST_TMPDIR/a.png"
		[ -s "$BATS_TEST_TMPDIR/a.png" ]
	done
	grep -q 'TCP keepalive with time=1 intvl=1 probes=127' "$BATS_TEST_TMPDIR/a.svg"
}

@test "a picture that cannot be written is said" {
	run "$TCPKEEP" explain --svg -
	[ "$status" -eq 0 ]
	[[ $output == "<"*"</svg>" ]]
	run "$TCPKEEP" explain --svg /nonexistent/a.svg
	[ "$status" -eq 1 ]
	[[ $output == *"cannot write '/nonexistent/a.svg': No such file or directory"* ]]
	run "$TCPKEEP" explain --svg /dev/full
	[ "$status" -eq 1 ]
	[[ $output == *"No space left on device"* ]]
}
