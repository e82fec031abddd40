# SPDX-License-Identifier: MIT
# What holds for every command: help, versions, bad words, completions, man pages.

load common

# Those of the overview.
all_commands() {
	"$TCPKEEP" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'
}

@test "without arguments the overview is shown, and it is a usage error" {
	run "$TCPKEEP"
	[ "$status" -eq 2 ]
	[[ $output == *"Usage: tcpkeep COMMAND"* ]]
}

@test "--help and --version" {
	run "$TCPKEEP" --help
	[ "$status" -eq 0 ]
	[ -z "$(awk 'length > 80' <<<"$output")" ]
	[ "$(all_commands | wc -l)" -ge 5 ]
	run "$TCPKEEP" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^tcpkeep\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "an unknown command or option is answered with the nearest one" {
	run "$TCPKEEP" sysclt
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: unknown command 'sysclt'; did you mean 'sysctl'?" ]
	run "$TCPKEEP" LIST
	[ "$output" = "tcpkeep: unknown command 'LIST'; did you mean 'list'?" ]
	run "$TCPKEEP" frobnicate
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: unknown command 'frobnicate'; see 'tcpkeep --help'" ]
	run "$TCPKEEP" explain --jsno
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: explain: unknown option '--jsno'; did you mean '--json'?" ]
	run "$TCPKEEP" --hlep
	[ "$status" -eq 2 ]
}

@test "-h and help are --help, and flags of one letter go together" {
	help=$("$TCPKEEP" set --help)
	for words in "set -h" "help set" "set all -nvh"; do
		# shellcheck disable=SC2086
		[ "$("$TCPKEEP" $words)" = "$help" ]
	done
	[ "$("$TCPKEEP" help)" = "$("$TCPKEEP" --help)" ]
	[ "$("$TCPKEEP" -h)" = "$("$TCPKEEP" --help)" ]
	run "$TCPKEEP" help lsit
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: unknown command 'lsit'; did you mean 'list'?" ]
	# The last letter may be one that takes a value.
	run "$TCPKEEP" set -hx
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: set: unknown option '-x' in '-hx'; see 'tcpkeep set --help'" ]
}

@test "options are not abbreviated, and a hostile word is shown escaped" {
	run "$TCPKEEP" explain --js
	[ "$status" -eq 2 ]
	run "$TCPKEEP" $'\033[31mx'
	[ "$status" -eq 2 ]
	[[ $output == *'\x1b[31mx'* ]]
	[[ $output != *$'\033'* ]]
}

@test "an option without its value, or with one too many" {
	run "$TCPKEEP" explain --svg
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: explain: --svg needs a value; write --svg FILE" ]
	run "$TCPKEEP" explain --json=yes
	[ "$status" -eq 2 ]
	[ "$output" = "tcpkeep: explain: --json takes no value" ]
	run "$TCPKEEP" explain -- true
	[ "$status" -eq 2 ]
}

@test "--json says what it prints: not everywhere is there a row" {
	for words in "list:one JSON object per row" "policy:one JSON object; status: one for each policy" "run:--report: as one JSON object"; do
		"$TCPKEEP" "${words%%:*}" --help | grep -qx -- "  --json  *${words#*:}"
		"$TCPKEEP" --completion fish | grep "__fish_seen_subcommand_from ${words%%:*}'.* -l json " | grep -q -- "${words#*:}"
	done
}

@test "every command has help of at most 80 columns and a man page that names each option" {
	for command in $(all_commands); do
		run "$TCPKEEP" "$command" --help
		[ "$status" -eq 0 ]
		awk 'length > 80 { print; wide = 1 } END { exit wide }' <<<"$output"
		page=$SOURCE/man/tcpkeep-$command.1.scd
		[ -e "$page" ]
		for option in $(grep -oE '^  (-[a-z], )?--[a-z-]+' <<<"$output" | grep -oE -- '--.*'); do
			grep -qF -- "$option" "$page" || {
				echo "$page does not name $option"
				return 1
			}
		done
	done
}

@test "the completion scripts are accepted by their shells" {
	"$TCPKEEP" --completion bash | bash -n
	if command -v zsh >/dev/null; then "$TCPKEEP" --completion zsh | zsh -n; else skip "no zsh"; fi
	if command -v fish >/dev/null; then "$TCPKEEP" --completion fish | fish -n; else skip "no fish"; fi
	run "$TCPKEEP" --completion csh
	[ "$status" -eq 2 ]
}

# What bash offers for the words given; the last one is being typed.
bash_offers() {
	bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_tcpkeep tcpkeep "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}"' _ "$BATS_TEST_TMPDIR/completion" "$@"
}

@test "bash completes commands, options and settings" {
	"$TCPKEEP" --completion bash >"$BATS_TEST_TMPDIR/completion"
	[ "$(bash_offers tcpkeep ex)" = explain ]
	[ "$(bash_offers tcpkeep explain --s)" = --svg ]
	[ "$(bash_offers tcpkeep explain ti)" = time= ]
	[ "$(bash_offers tcpkeep sysctl --all)" = --all-netns ]
	[ -z "$(bash_offers tcpkeep sysctl user)" ]
	[ "$(bash_offers tcpkeep run --method "" | sort | xargs)" = "auto bpf preload seccomp" ]
	[ "$(bash_offers tcpkeep policy st)" = status ]
	[ "$(bash_offers tcpkeep policy apply --dry)" = --dry-run ]
	cd "$BATS_TEST_TMPDIR"
	touch some.conf
	[ "$(bash_offers tcpkeep policy check so)" = some.conf ]
	[ "$(bash_offers tcpkeep set al)" = all ]
	[ -z "$(bash_offers tcpkeep list al)" ]
}

@test "fish completes commands, options and settings" {
	command -v fish >/dev/null || skip "no fish"
	"$TCPKEEP" --completion fish >"$BATS_TEST_TMPDIR/tcpkeep.fish"
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep ex'"
	[[ $output == explain* ]]
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep explain --s'"
	[[ $output == --svg* ]]
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep explain ti'"
	[[ $output == time=* ]]
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep run time=60 -- mkfif'"
	[[ $output == mkfifo* ]]
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep policy st'"
	[[ $output == status* ]]
	cd "$BATS_TEST_TMPDIR"
	touch some.conf
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep policy check so'"
	[[ $output == some.conf* ]]
	run fish --no-config -c "source $BATS_TEST_TMPDIR/tcpkeep.fish; complete -C 'tcpkeep set al'"
	[[ $output == all* ]]
}

@test "output that cannot be written is a failure, a closed pipe is a quiet one" {
	run bash -c '"$TCPKEEP" explain >/dev/full'
	[ "$status" -eq 1 ]
	[[ $output == *"cannot write the output: No space left on device"* ]]
	run bash -c '"$TCPKEEP" explain | true'
	[ "$output" = "" ]
}
