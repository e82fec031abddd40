# SPDX-License-Identifier: MIT
# The library as others meet it: installed, found by pkg-config, linked shared and static.

setup_file() {
	export ROOT=$BATS_FILE_TMPDIR/root
	meson install -C "$BUILD" --no-rebuild --quiet --destdir "$ROOT"
	PC=$(dirname "$(find "$ROOT" -name libtcpkeep.pc)")
	LIBDIR=$(dirname "$(find "$ROOT" -name libtcpkeep.so)")
	export PKG_CONFIG_SYSROOT_DIR=$ROOT PKG_CONFIG_LIBDIR=$PC LIBDIR
	export LD_LIBRARY_PATH=$LIBDIR
}

# In a network of its own: a server that is silent, the program as its client, and what ss sees of it.
keepalive_of() {
	unshare --net -- bash -c '
		ip link set lo up
		coproc SERVER { exec python3 -c "
import socket, sys
s = socket.create_server((\"127.0.0.1\", 7000))
print(\"ready\", flush=True)
c = s.accept()[0]
print(\"connected\", flush=True)
sys.stdin.read()"; }
		read -r line <&"${SERVER[0]}"
		"$@" 127.0.0.1 7000 &
		read -r line <&"${SERVER[0]}"
		ss -Htno state established dport = :7000
		kill %2 "$SERVER_PID" 2>/dev/null; kill $!' _ "$@"
}

@test "the example is built against the installed library and its sockets have keepalive" {
	cc -Wall -Wextra -Werror -o "$BATS_TEST_TMPDIR/client" "$SOURCE/examples/client.c" \
		$(pkg-config --cflags --libs libtcpkeep)
	run keepalive_of "$BATS_TEST_TMPDIR/client"
	[[ $output =~ timer:\(keepalive,(59|60)sec ]] || [[ $output =~ timer:\(keepalive,1min ]]
}

@test "the same program without the library has keepalive, too" {
	cc -Wall -Wextra -Werror -o "$BATS_TEST_TMPDIR/plain" "$SOURCE/examples/client-plain.c"
	run keepalive_of "$BATS_TEST_TMPDIR/plain"
	[[ $output =~ timer:\(keepalive,(59|60)sec ]] || [[ $output =~ timer:\(keepalive,1min ]]
}

@test "the static library serves as well, from C++, too" {
	cat >"$BATS_TEST_TMPDIR/a.c" <<'END'
#include <stdio.h>
#include <tcpkeep.h>
int main(void)
{
	struct tcpkeep_settings s = TCPKEEP_SETTINGS(60, 10, 6);
	struct tcpkeep_timeline t;
	char text[TCPKEEP_SETTINGS_TEXT_MAX];
	(void)t;
	if (tcpkeep_settings_format(&s, text, sizeof(text)) < 0)
		return 1;
	puts(text);
	return 0;
}
END
	cc -Wall -Wextra -Werror -o "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/a.c" \
		$(pkg-config --cflags libtcpkeep) "$(find "$ROOT" -name libtcpkeep.a)" -lpthread
	run env -u LD_LIBRARY_PATH "$BATS_TEST_TMPDIR/a"
	[ "$output" = "on time=60 intvl=10 probes=6" ]
	command -v g++ >/dev/null || skip "no g++"
	g++ -fsyntax-only -Wall -Wextra -Werror -x c++ $(pkg-config --cflags libtcpkeep) - <<<'#include <tcpkeep.h>'
}

@test "the library exports its interface and nothing else" {
	run bash -c "nm -D --defined-only '$LIBDIR/libtcpkeep.so' | awk '{print \$3}' | sed 's/@.*//' | sort -u"
	[ -z "$(grep -v -e '^tcpkeep_' -e '^LIBTCPKEEP_0$' <<<"$output")" ]
	for function in $(grep -oE '\btcpkeep_[a-z_]+\(' "$SOURCE/include/tcpkeep.h" | tr -d '(' | sort -u); do
		grep -qx "$function" <<<"$output" || {
			echo "$function is declared and not exported"
			return 1
		}
	done
}

@test "everything is installed: program, preload library, man pages, completions" {
	for file in bin/tcpkeep tcpkeep/libtcpkeep-preload.so libexec/tcpkeep/tcpkeep-prove-client include/tcpkeep.h \
		man/man1/tcpkeep.1 man/man1/tcpkeep-run.1 man/man1/tcpkeep-sysctl.1 man/man1/tcpkeep-explain.1 \
		man/man1/tcpkeep-prove.1 man/man7/tcpkeep.7 man/man3/libtcpkeep.3 \
		man/man1/tcpkeep-policy.1 man/man5/tcpkeep-policy.conf.5 systemd/system/tcpkeep-policy.service \
		examples/policy.conf bash-completion/completions/tcpkeep site-functions/_tcpkeep vendor_completions.d/tcpkeep.fish; do
		[ -n "$(find "$ROOT" -path "*/$file" -o -path "*/$file.gz")" ] || {
			echo "$file is not installed"
			return 1
		}
	done
}
