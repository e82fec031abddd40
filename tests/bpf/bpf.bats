# SPDX-License-Identifier: MIT
# What is the bpf method's own; what it shares with seccomp is in helpers/programs.bats.

load common

@test "MPTCP: the connections that it is made of, as ss sees them" {
	[ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || skip "no MPTCP"
	inside "$TCPKEEP" run --method bpf time=30 -- python3 -c '
import socket, subprocess
l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(l.getsockname()); a, _ = l.accept()
print(subprocess.run(["ss", "-tnoH", "state", "established"], capture_output=True, text=True).stdout)'
	[ "$(grep -cE 'timer:\(keepalive,(2[0-9]sec|30sec)' <<<"$output")" -eq 2 ]
}

@test "io_uring" {
	inside "$URING_PROGRAM"
	[ "$status" -ne 77 ] || skip "no io_uring"
	all_are "$NONE"
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- "$URING_PROGRAM"
	all_are "$OURS"
	inside "$TCPKEEP" run "${SETTINGS[@]}" -- "$URING_PROGRAM"
	all_are "$OURS"
}

@test "what the program turned on before connect is given the values that it left off" {
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.socket(); c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1); c.connect(l.getsockname())
print("on", *[c.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6))])'
	all_are "$OURS"
}

@test "options larger than a page pass through the hook" {
	inside "$TCPKEEP" run --method bpf --enforce -- python3 -c '
import socket, struct
s = socket.socket()
# More source filters than fit in a page: refused for their number or taken, never EFAULT.
try:
    s.setsockopt(socket.SOL_SOCKET, 25, b"lo\0" + bytes(9000))
except OSError as e:
    assert e.errno != 14, e
print("passed")'
	[ "$output" = passed ]
}

@test "a setuid program is reached and keeps its power" {
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
	cp "$SECCOMP_PROGRAM" "$BATS_TEST_TMPDIR/setuid"
	chown 65534 "$BATS_TEST_TMPDIR/setuid"
	chmod 4755 "$BATS_TEST_TMPDIR/setuid"
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- "$BATS_TEST_TMPDIR/setuid" connect4
	all_are "$OURS"
	cp "$(command -v id)" "$BATS_TEST_TMPDIR/id"
	chmod 4755 "$BATS_TEST_TMPDIR/id"
	inside "$TCPKEEP" run --method bpf -- setpriv --reuid 65534 --regid 65534 --clear-groups "$BATS_TEST_TMPDIR/id"
	[[ $output == *"uid=65534"*"euid=0"* ]]
	inside "$TCPKEEP" run --method bpf -- grep NoNewPrivs /proc/self/status
	[ "$output" = $'NoNewPrivs:\t0' ]
}

@test "few descriptors: it runs, or says why not" {
	for n in 64 20 18 16 14 12 10 9 8 7 6 5; do
		run --separate-stderr in_place sh -c "ulimit -n $n; exec \"\$TCPKEEP\" run --method bpf -- echo ran"
		if [ "$status" -eq 0 ]; then
			[ "$output" = ran ]
		else
			[ "$status" -eq 4 ]
			[ -z "$output" ]
			[[ $stderr == "tcpkeep: run: method bpf: no descriptors: "*"raise the limit (ulimit -n)" ]]
		fi
		run --separate-stderr in_place env ASAN_OPTIONS=detect_leaks=0 sh -c "ulimit -n $n; exec \"\$TCPKEEP\" run --report -- echo ran"
		if [ "$status" -eq 0 ]; then
			[ "$output" = ran ]
		else
			[ "$status" -eq 126 ] || [ "$status" -eq 4 ]
			[ -z "$output" ]
			[[ $stderr == *"ulimit -n"* ]]
		fi
	done
	# What was made before the descriptors ran out is gone.
	until_true no_runs
}

@test "the report, by the kernel's count: seen, set, left alone, withheld" {
	under --report --json -- own
	jq -e '.method == "bpf" and .seen == 4 and .set == 4 and .listening == 1 and .tried == 1 and .connected == 1 and .accepted == 2 and
		.left_alone == 1 and .refused == 0 and .withheld == 0' <<<"$stderr"
	under --report --json -- off-before
	jq -e '.seen == 2 and .set == 2 and .listening == 1 and .accepted == 1 and .left_alone == 1' <<<"$stderr"
	under --enforce --report --json -- enforce
	jq -e '.withheld > 0 and .mode == "enforce"' <<<"$stderr"
	under --report -- children
	[[ $stderr == *"12 sockets set (on time=61 intvl=11 probes=7): tried 4 (connected 4), accepted 4, listening 4, inherited 0"* ]]
}

@test "the report: connections that came about are the kernel's count" {
	inside "$TCPKEEP" run --method bpf --report --json -- python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
for i in range(3):
    socket.socket().connect_ex(closed.getsockname())
own = socket.socket()
for name, value in ((4, 5), (5, 6), (6, 7)):
    own.setsockopt(6, name, value)
own.setsockopt(1, 9, 1)
own.connect(l.getsockname())'
	[ "$status" -eq 0 ]
	tail -1 <<<"$stderr" | jq -e '.tried == 4 and .connected == 1 and .left_alone == 1'
}

@test "the report: a socket that connects at the third try is one" {
	for enforce in "" --enforce; do
		inside "$TCPKEEP" run --method bpf --report --json $enforce -- python3 -c '
import socket
l = socket.socket()
l.bind(("127.0.0.1", 0))
s = socket.socket()
while s.connect_ex(l.getsockname()):
    refused = s.connect_ex(l.getsockname())
    assert refused
    l.listen()'
		jq -e '.tried == 1 and .connected == 1 and .left_alone == 0' <<<"$stderr"
	done
}

@test "a user timeout counts once the connection stands" {
	inside "$TCPKEEP" run --method bpf user-timeout=2m -- python3 -c '
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname()); a, _ = l.accept()
print(*[s.getsockopt(6, 18) for s in (c, a)])'
	[ "$output" = "120000 120000" ]
}

@test "other readers: ss, sockopts and tcpkeep list" {
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- python3 -c '
import os, socket, subprocess
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname()); a, _ = l.accept()
print("me", os.getpid())
for command in (["ss", "-tnoH", "state", "established"], [os.environ["SOCKOPTS"], "state=established"]):
    print(subprocess.run(command, capture_output=True, text=True).stdout)'
	[ "$(grep -cE 'timer:\(keepalive,(59sec|1min|1min1sec)' <<<"$output")" -eq 2 ]
	# sockopts looks into every process: others may be under test as well.
	[ "$(grep -c "^pid=$(sed -n 's/^me //p' <<<"$output") .*on=1 time=61 intvl=11 probes=7" <<<"$output")" -eq 2 ]
}

@test "bash, python3, curl, perl, static C in one tree" {
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" --report --json -- bash -c "
		\"$SECCOMP_PROGRAM\" connect4
		python3 -c 'import socket; l = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(l.getsockname())'
		exec 3<>/dev/tcp/127.0.0.1/1
		curl -s http://127.0.0.1:1/
		true"
	[[ $output == $'client 1 61 11 7\naccepted 1 61 11 7' ]]
	tail -1 <<<"$stderr" | jq -e '.set >= 4 and .refused == 0'
}

@test "a static Go program: client and server" {
	command -v go >/dev/null || skip "no Go"
	mkdir "$BATS_TEST_TMPDIR/go"
	cat >"$BATS_TEST_TMPDIR/go/main.go" <<'END'
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
)

func main() {
	fmt.Println("me", os.Getpid())
	listen := net.ListenConfig{KeepAlive: -1}
	l, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, _ := exec.Command(os.Getenv("SOCKOPTS"), "state=established").CombinedOutput()
		w.Write(out)
	}))
	dialer := net.Dialer{KeepAlive: -1}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	r, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Print(string(body))
}
END
	(cd "$BATS_TEST_TMPDIR/go" && CGO_ENABLED=0 GOCACHE="$BATS_TEST_TMPDIR/cache" GOFLAGS=-mod=mod go build -o program main.go)
	inside "$TCPKEEP" run --method bpf "${SETTINGS[@]}" -- "$BATS_TEST_TMPDIR/go/program"
	[ "$status" -eq 0 ]
	# sockopts looks into every process: others may be under test as well.
	[ "$(grep -c "^pid=$(sed -n 's/^me //p' <<<"$output") .*on=1 time=61 intvl=11 probes=7" <<<"$output")" -eq 2 ]
}

@test "a program of 32 bits: reached; refused by the others, and let through below them" {
	[ "$(uname -m)" = x86_64 ] || skip "not x86-64"
	cat >"$BATS_TEST_TMPDIR/small.c" <<'END'
/* i386's own numbers. Exits with the time of a connection that has keepalive, with 1 without. */
static int call(int number, int a, const void *b, int c, void *d, int *e)
{
	int r;
	register int *fifth __asm__("edi") = e;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "r"(fifth) : "memory");
	return r;
}
void _start(void)
{
	unsigned char address[16] = {0};
	int len = sizeof(address), on = 0, time = 0;
	int l = call(359, 2, (void *)1, 0, 0, 0), s = call(359, 2, (void *)1, 0, 0, 0);

	call(363, l, (void *)1, 0, 0, 0);
	call(367, l, address, (int)&len, 0, 0);
	call(362, s, address, sizeof(address), 0, 0);
	len = sizeof(int);
	call(365, s, (void *)1, 9, &on, &len);
	call(365, s, (void *)6, 4, &time, &len);
	call(1, on ? time : 1, 0, 0, 0, 0);
}
END
	cc -m32 -O1 -fno-stack-protector -fno-pie -nostdlib -static -o "$BATS_TEST_TMPDIR/small" "$BATS_TEST_TMPDIR/small.c"
	inside "$BATS_TEST_TMPDIR/small"
	[ "$status" -eq 1 ]
	for method in bpf auto; do
		inside "$TCPKEEP" run --method $method --report time=61 -- "$BATS_TEST_TMPDIR/small"
		[ "$status" -eq 61 ]
		[[ $stderr == *"tried 1 (connected 1)"* ]]
	done
	for method in seccomp preload; do
		inside "$TCPKEEP" run --method $method time=61 -- "$BATS_TEST_TMPDIR/small"
		[ "$status" -eq 4 ]
		[[ $stderr == *"is for another processor or word size"* ]]
		inside "$TCPKEEP" run --method $method time=61 -- sh -c '"$0"' "$BATS_TEST_TMPDIR/small"
		[ "$status" -eq 1 ]
	done
}
