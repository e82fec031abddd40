# SPDX-License-Identifier: MIT
# tcpkeep list, and explain PID:FD, over real sockets in a network namespace of their own. What a source knows is
# held against the kernel in tests/net; here it is what the command makes of it.

load common

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root: other processes' sockets in another network namespace"
	command -v python3 >/dev/null || skip "needs python3"
	# A version manager's python3 is a script that would be the process.
	python=$(python3 -c 'import sys; print(sys.executable)')
	mkfifo "$BATS_FILE_TMPDIR/ready"
	unshare --net -- "$python" -c "$(sockets)" >"$BATS_FILE_TMPDIR/ready" 3>&- 2>/dev/null &
	export HOLDER=$!
	read -t 20 -r FDS <"$BATS_FILE_TMPDIR/ready"
	export FDS
	# unshare(1) without --fork becomes the program: its pid is the holder's.
	[ "$(readlink "/proc/$HOLDER/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

teardown_file() {
	[ -z "${HOLDER:-}" ] || kill "$HOLDER"
}

# Prints the descriptors of the interesting sockets, and keeps them.
sockets() {
	cat <<'END'
import ctypes, fcntl, os, socket, struct, subprocess, sys, time
s = socket.socket()
fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x8, b""))
s.close()
ctypes.CDLL(None).prctl(15, b"ev\x1b[1m,\"x", 0, 0, 0)

def listener(family, address):
    l = socket.socket(family)
    l.bind(address)
    l.listen()
    return l

keep, named = [], {}
l4 = listener(socket.AF_INET, ("127.0.0.1", 5432))
l6 = listener(socket.AF_INET6, ("::", 5433))

def connect(name, l, family, address, on=None, ut=0):
    c = socket.socket(family)
    if on is not None:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in zip((4, 5, 6), on):
            c.setsockopt(socket.IPPROTO_TCP, option, value)
    if ut:
        c.setsockopt(socket.IPPROTO_TCP, 18, ut)
    c.connect(address)
    keep.append((c, l.accept()[0]))
    named[name] = c
    return c

v4 = (l4, socket.AF_INET, ("127.0.0.1", 5432))
connect("off", *v4)
connect("own", *v4, on=(60, 10, 6))
connect("sysctl", *v4, on=(), ut=120000)
connect("v6", l6, socket.AF_INET6, ("::1", 5433), on=(30, 5, 3))
connect("mapped", l6, socket.AF_INET6, ("::ffff:127.0.0.1", 5433))
full = connect("full", *v4)
full.setblocking(False)
try:
    while True:
        full.send(b"x" * 65536)
except BlockingIOError:
    pass
# Until the window is closed: ss calls the timer of its probes persist.
while b"(persist" not in subprocess.run(["ss", "-tnoH"], stdout=subprocess.PIPE).stdout:
    time.sleep(0.05)
named["listener"] = l4
named["udp"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
named["unbound"] = socket.socket()
print(" ".join("%s=%d" % (k, v.fileno()) for k, v in named.items()), flush=True)
os.close(1)
time.sleep(600)
END
}

list() {
	run --separate-stderr nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" list "$@"
}

fd_of() {
	tr ' ' '\n' <<<"$FDS" | sed -n "s/^$1=//p"
}

# The row of one of the named sockets, as JSON.
row_of() {
	jq -c --argjson fd "$(fd_of "$1")" 'select(.owners[0].fd == $fd)' <<<"$output"
}

@test "the default view: what is on, with which values, and what happens next; 100 columns" {
	list
	[ "$status" -eq 0 ]
	echo "$output"
	head -1 <<<"$output" | grep -qE '^LOCAL +PEER +OWNER +KEEPALIVE +NEXT$'
	grep -qE '^127\.0\.0\.1:[0-9]+ +127\.0\.0\.1:5432 .* off +! never notices$' <<<"$output"
	grep -qE ' 60/10/6 +first probe in (5[0-9]|60) s$' <<<"$output"
	grep -qE ' 7200/75/9 ut=2m +first probe in ' <<<"$output"
	grep -qE '^\[::1\]:[0-9]+ +\[::1\]:5433 .* 30/5/3 +first probe in ([12]?[0-9]|30) s$' <<<"$output"
	# The IPv6 socket with IPv4 in it.
	grep -qE '^127\.0\.0\.1:[0-9]+ +127\.0\.0\.1:5433 ' <<<"$output"
	grep -qE ' off +peer reads nothing; dead in 1[0-9]m [0-9]+s if gone$' <<<"$output"
	grep -qE '^127\.0\.0\.1:5432 +LISTEN .* off +-$' <<<"$output"
	[ "$(tail -1 <<<"$output")" = "14 sockets: 3 on, 9 off (never notice a dead peer), 2 listening; worst detection time 2h 3m 29s" ]
	# Two IPv6 addresses and a name like this one take more; what is typical does not.
	list peer=:5432
	[ "${#lines[@]}" -eq 6 ]
	[ -z "$(grep -v 'reads nothing' <<<"$output" | awk 'length > 100')" ]
}

@test "a program's name cannot break the terminal, the JSON or the CSV" {
	list
	[[ $output != *$'\033'* ]]
	[[ $output == *'ev\x1b[1m,"x:'"$HOLDER"* ]]
	list --json
	jq -es 'all(.owners[0].program == "ev\u001b[1m,\"x")' <<<"$output"
	list -o program,pid --csv state=listen
	[ "${lines[1]}" = "\"ev\\x1b[1m,\"\"x\",$HOLDER"$'\r' ]
}

@test "--json tells the same as the sockets' own options" {
	list --json
	[ "$status" -eq 0 ] && [ -z "$stderr" ]
	jq -es 'length == 14 and all(.schema == "tcpkeep.list/1")' <<<"$output"
	row_of own | jq -e '.keepalive and .time_s == 60 and .intvl_s == 10 and .probes == 6
		and .time_origin == "socket" and .user_timeout_ms == 0 and .direction == "out"
		and .peer == {address: "127.0.0.1", port: 5432} and .state == "ESTABLISHED"
		and .timer.kind == "keepalive" and .timer.in_s <= 60 and .detection.idle_s > 120
		and .next.event == "first-probe" and .uid == 0 and .user == "root"'
	row_of sysctl | jq -e '.keepalive and .time_s == 7200 and .time_origin == "sysctl" and .user_timeout_ms == 120000'
	row_of off | jq -e '.keepalive == false and .detection.idle_s == null and .next == {event: "never-notices", in_s: null, if_gone_s: null}'
	row_of v6 | jq -e '.family == "ipv6" and .local.address == "::1" and .peer.address == "::1"'
	row_of mapped | jq -e '.family == "ipv6" and .peer.address == "::ffff:127.0.0.1"'
	row_of full | jq -e '.unsent_bytes > 0 and .next.event == "dead-unless-read" and .next.in_s == null
		and .next.if_gone_s > 800'
	row_of listener | jq -e '.peer == null and .direction == "listen" and .not_accepted == 0 and .detection == null'
	inode=$(readlink "/proc/$HOLDER/fd/$(fd_of own)")
	[ "socket:[$(row_of own | jq .inode)]" = "$inode" ]
}

@test "-o replaces and adds columns, an unknown one is answered with the nearest" {
	list -o time,intvl,probes,time-origin keepalive=on peer=:5433
	[ "${lines[0]}" = "TIME  INTVL  PROBES  TIME ORIGIN" ]
	[ "${lines[1]}" = "  30      5       3  socket" ]
	list -o +state,silence keepalive=on peer=:5433
	[[ ${lines[0]} == LOCAL*NEXT*STATE*SILENCE ]]
	list --output=state -otime keepalive=on peer=:5433
	[ "${lines[0]}" = TIME ]
	list -o tiem
	[ "$status" -eq 2 ]
	[ "$stderr" = "tcpkeep: list: --output: no column 'tiem'; did you mean 'time'?" ]
	list --sort silense
	[ "$status" -eq 2 ]
	[ "$stderr" = "tcpkeep: list: --sort: no column 'silense'; did you mean 'silence'?" ]
	list -o
	[ "$status" -eq 2 ]
}

@test "--columns names each column, and every one can be shown in every form" {
	list --columns
	[ "$status" -eq 0 ]
	all=$(awk '{ print $1 }' <<<"$output")
	[ "$(wc -l <<<"$all")" -ge 28 ]
	[ -z "$(awk 'length > 100' <<<"$output")" ]
	list -o "$(paste -sd, <<<"$all")" --csv
	[ "${#lines[@]}" -eq 15 ] && [ "${lines[0]}" = "$(paste -sd, <<<"$all")"$'\r' ]
	list -o "$(paste -sd, <<<"$all")" --json
	jq -es --argjson n "$(wc -l <<<"$all")" 'length == 14 and all(keys | length >= $n)' <<<"$output"
	for column in $all; do
		list -o "$column" --sort "-$column"
		[ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 16 ]
		grep -q "\*$column\*" <(sed 's/\\//g' "$SOURCE/man/tcpkeep-list.1.scd")
	done
}

@test "--sort orders, unknown last both ways, equal rows by the next column" {
	list --sort time,-local -o time,local --csv keepalive=on
	[ "$(cut -d, -f1 <<<"$output" | tr -d '\r' | tr '\n' ' ')" = "time 30 60 7200 " ]
	list --sort -time -o time --csv keepalive=on
	[ "$(tr -d '\r' <<<"$output" | tr '\n' ' ')" = "time 7200 60 30 " ]
	for order in peer -peer; do
		list --sort $order -o state --csv
		[ "$(tail -2 <<<"$output" | tr -d '\r' | tr '\n' ' ')" = "LISTEN LISTEN " ]
	done
	list --sort local --json
	jq -es '[.[] | select(.family == "ipv4") | .local.port] | . == sort' <<<"$output"
}

@test "--summary counts for each program, user and namespace" {
	list --summary program
	[ "$status" -eq 0 ]
	[[ ${lines[0]} =~ ^PROGRAM\ +SOCKETS\ +ON\ +OFF\ +UNKNOWN\ +LISTENING\ +OTHER\ +WORST\ DETECTION$ ]]
	[[ ${lines[1]} =~ ^'ev\x1b[1m,"x'\ +14\ +3\ +9\ +0\ +2\ +0\ +2h\ 3m\ 29s$ ]]
	[[ ${lines[2]} == "14 sockets: "* ]]
	list --summary user --json
	jq -e '.schema == "tcpkeep.list-summary/1" and .name == "root" and .sockets == 14 and .off == 9
		and .worst_detection_s > 7409 - 1 and .worst_detection_at_least_s == .worst_detection_s
		and .detection_unknown == 0 and .peer_closed == 0' <<<"$output"
	run "$TCPKEEP" list --all-netns --summary netns --csv
	grep -qE "^net:\[$(stat -Lc %i "/proc/$HOLDER/ns/net")\],14,3,9,0,2,0," <<<"$output"
	list --summary planet
	[ "$status" -eq 2 ]
	[ "$stderr" = "tcpkeep: list: --summary: 'planet' is not one of: program, unit, user, netns" ]
}

@test "selectors choose, and what is none is refused with words" {
	list keepalive=off state=established peer=:5432 --csv -o peer
	[ "${#lines[@]}" -eq 3 ]
	list "pid!=$HOLDER"
	[ "$output" = "0 sockets match in this network namespace; --all-netns looks into all of them" ]
	[ -z "$stderr" ]
	list peer=::1:5433
	[ "$status" -eq 0 ]
	[ "$stderr" = "tcpkeep: warning: list: peer=::1:5433 is an address without a port; write peer=[::1]:5433 for port 5433" ]
	list 'peer=[::1]:5433'
	[ "${#lines[@]}" -eq 3 ] && [ -z "$stderr" ]
	list time=60
	[ "$status" -eq 2 ]
	[[ $stderr == "tcpkeep: list: 'time' is not a selector"* ]]
	while IFS='|' read -r word message; do
		list "$word"
		[ "$status" -eq 2 ]
		[[ $stderr == "tcpkeep: list: "$message ]] || {
			echo "$word: $stderr"
			return 1
		}
	done <<'END'
nginx|'nginx' lacks its key; write program=nginx for a program, or one of *
5432|'5432' lacks its key; write peer=:5432 or local=:5432 for a port, pid=5432 for a process
prog=x|'prog' is not a selector; did you mean 'program'?
stat=x|'stat' is not a selector; did you mean 'state'?
10.0.0.1|'10.0.0.1' lacks its side; write peer=10.0.0.1 or local=10.0.0.1
END
}

@test "where there is nothing, a line says so and no heading" {
	run --separate-stderr unshare --net -- "$TCPKEEP" list
	[ "$output" = "0 sockets in this network namespace; --all-netns looks into all of them" ]
	run --separate-stderr unshare --net -- "$TCPKEEP" list --summary program
	[ "$output" = "0 sockets in this network namespace; --all-netns looks into all of them" ]
	run --separate-stderr unshare --net -- "$TCPKEEP" list --summary netns --csv
	[[ ${lines[1]} =~ ^net:\[[0-9]+\],0,0,0,0,0,0,,0,0$'\r'$ ]]
	run --separate-stderr unshare --net -- "$TCPKEEP" list --csv -o pid
	[ "$output" = pid$'\r' ]
	run --separate-stderr unshare --net -- "$TCPKEEP" list --json
	[ -z "$output" ]
	run --separate-stderr "$TCPKEEP" list --all-netns pid=4194304
	[ "$output" = "0 sockets match" ]
}

@test "one socket is one, and never notices" {
	list "peer=:5432" "silent<49d" keepalive=off state=established --sort unsent
	grep -q '^2 sockets: 2 off (never notice a dead peer)$' <<<"$output"
	list "local=:5432" "peer=:$(row_port off)"
	[ "${lines[-1]}" = "1 socket: 1 off (never notices a dead peer)" ]
}

row_port() {
	nsenter --net="/proc/$HOLDER/ns/net" "$TCPKEEP" list --json |
		jq --argjson fd "$(fd_of "$1")" 'select(.owners[0].fd == $fd).local.port'
}

@test "what is on with unknown values: the worst detection time is one at least" {
	list --source diag
	[[ ${lines[-1]} == *" on, "*"; worst detection time unknown" ]]
	list --source diag --summary program --json
	jq -e '.on == 3 and .detection_unknown == 3 and .worst_detection_s == null
		and .worst_detection_at_least_s == null' <<<"$output"
}

@test "the CSV is for programs: numbers, words of JSON, and no cell is a formula" {
	list --csv
	[ "$(tr -d '\r' <<<"${lines[0]}")" = "$("$TCPKEEP" list --columns | awk '$1 != "owner" { print $1 }' | paste -sd,)" ]
	"$(python3 -c 'import sys; print(sys.executable)')" - <<-END
		import csv, io
		rows = list(csv.DictReader(io.StringIO("""${output//\\/\\\\}""", newline="")))
		assert len(rows) == 14, rows
		numbers = ("pid", "fd", "processes", "time", "intvl", "probes", "user-timeout", "timer-in",
		           "probes-out", "retransmits", "in-flight", "unsent", "silence", "detection",
		           "next-in", "cookie", "inode")
		for row in rows:
		    assert row["keepalive"] in ("on", "off"), row
		    assert row["pid"] == "$HOLDER" and row["processes"] == "1", row
		    assert row["timer"] in ("none", "keepalive", "window-probe"), row
		    assert row["next"] in ("none", "never-notices", "first-probe", "dead-unless-read"), row
		    assert (row["next"] == "never-notices") <= (row["detection"] == "inf"), row
		    for name in numbers:
		        assert row[name] == "" or float(row[name]) >= 0, (name, row)
		assert sum(row["peer"].startswith("[::ffff:127.0.0.1]:") for row in rows) == 2
	END
	hold 'import ctypes, signal, socket
ctypes.CDLL(None).prctl(15, b"=1+1", 0, 0, 0)
s = socket.create_server(("127.0.0.1", 0))
print("ready", flush=True)
signal.pause()'
	in_its_netns list --csv -o program
	[ "${lines[1]}" = '\x3d1+1'$'\r' ]
	in_its_netns list --csv --summary program
	[[ ${lines[1]} == '\x3d1+1,1,'* ]]
	in_its_netns list -o program
	[ "${lines[1]}" = "=1+1" ]
	let_go
}

@test "a name of wide characters shifts no column, in whatever locale" {
	hold 'import ctypes, os, signal, socket
prctl = ctypes.CDLL(None).prctl
prctl(15, "网络代理".encode(), 0, 0, 0)
s = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    prctl(1, 9, 0, 0, 0)
    prctl(15, b"plain", 0, 0, 0)
    t = socket.create_server(("127.0.0.1", 0))
    s.close()
    print("ready", flush=True)
signal.pause()'
	for locale in C C.UTF-8; do
		LC_ALL=$locale in_its_netns list -o program,state
		# In columns of the terminal: LISTEN begins in one place.
		[ "$(python3 -c '
import sys, unicodedata
for line in sys.stdin:
    at = line.find("LISTEN")
    if at > 0:
        print(sum(1 + (unicodedata.east_asian_width(c) == "W") for c in line[:at]))' \
			<<<"$output" | sort -u)" = 10 ]
	done
	let_go
}

@test "a peer that has closed is not one that is never noticed" {
	hold 'import fcntl, signal, socket, struct
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x9, b""))
l = socket.create_server(("127.0.0.1", 5432))
kept = []
for close in (False, True):
    c = socket.create_connection(("127.0.0.1", 5432))
    kept.append((c, l.accept()[0]))
kept[1][0].shutdown(socket.SHUT_WR)
kept[1][1].recv(1)
print("ready", flush=True)
signal.pause()'
	in_its_netns list state=close-wait
	[[ ${lines[1]} == *" off "*" peer has closed; the program has not" ]]
	[ "${lines[-1]}" = "1 socket: 1 off (the peer has closed)" ]
	in_its_netns list
	[[ ${lines[-1]} == "5 sockets: 4 off (3 never notice a dead peer, the peer of 1 has closed), 1 listening" ]]
	in_its_netns list --summary program --json
	jq -e '.off == 4 and .peer_closed == 1' <<<"$output"
	let_go
}

@test "an IPv6 address with all its digits shifts its own row alone" {
	command -v ip >/dev/null || skip "no ip"
	# The address is there before its route, which a worker of the kernel adds, and may take back and add again:
	# until then there is no way (101).
	hold 'import signal, socket, subprocess, time
subprocess.run("ip link set lo up; ip address add 2001:db8:1234:5678:9abc:def0:1234:5678/128 dev lo nodad", shell=True, check=True)
deadline = time.monotonic() + 15
kept = [socket.create_server(("127.0.0.1", 5432))]
kept.append(socket.create_server(("2001:db8:1234:5678:9abc:def0:1234:5678", 5432), family=socket.AF_INET6))
for server in kept[:]:
    kept.append(socket.socket(server.family))
    while kept[-1].connect_ex(server.getsockname()) == 101:
        assert time.monotonic() < deadline
        time.sleep(0.02)
print("ready", flush=True)
signal.pause()'
	in_its_netns list
	[ "$status" -eq 0 ]
	[ "$(awk 'length > 100' <<<"$output" | wc -l)" -eq 2 ]
	[ -z "$(grep '^127' <<<"$output" | awk 'length > 80')" ]
	[ "$(grep -cE '^127\.0\.0\.1:[0-9]+ +127\.0\.0\.1:5432 +python' <<<"$output")" -eq 1 ]
	let_go
}

# in_terminal COLUMNS WORDS...: the list in the namespace that is held, on a terminal of so many columns.
in_terminal() {
	local columns=$1
	shift
	run script -qec "stty cols $columns; exec env NO_COLOR=1 nsenter --net=/proc/$held/ns/net \"$TCPKEEP\" list $*" \
		/dev/null </dev/null
	output=${output//$'\r'/}
	mapfile -t lines <<<"$output"
}

longest() {
	awk '{ if (length > max) max = length } END { print max }' <<<"$output"
}

@test "on a narrow terminal no row is broken: what matters least is shortened" {
	command -v script >/dev/null || skip "needs script"
	command -v ip >/dev/null || skip "no ip"
	hold 'import ctypes, signal, socket, subprocess, time
subprocess.run("ip link set lo up; ip address add 192.168.100.200/32 dev lo; ip address add 2001:db8:1234:5678:9abc:def0:1234:5678/128 dev lo nodad", shell=True, check=True)
deadline = time.monotonic() + 15
ctypes.CDLL(None).prctl(15, b"longprogramname", 0, 0, 0)
kept = [socket.create_server(("0.0.0.0", 15432)), socket.create_server(("::", 15433), family=socket.AF_INET6)]
def connect(l, address, *options):
    c = socket.socket(l.family)
    for option in options:
        c.setsockopt(*option)
    # The route comes after the address, and may come and go.
    while c.connect_ex(address) == 101:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kept.extend((c, l.accept()[0]))
    return c, kept[-1]
# Each column at its longest.
connect(kept[0], ("192.168.100.200", 15432), (1, 9, 1), (6, 4, 7200), (6, 5, 75), (6, 6, 9), (6, 18, 120000))
connect(kept[1], ("2001:db8:1234:5678:9abc:def0:1234:5678", 15433))
c, s = connect(kept[0], ("127.0.0.1", 15432))
c.shutdown(socket.SHUT_WR)
s.recv(1)
print("ready", flush=True)
signal.pause()'
	in_its_netns list
	whole=$output
	in_terminal 200
	[ "$(tr -s ' ' <<<"$output")" = "$(tr -s ' ' <<<"$whole")" ]
	for columns in 100 90 80; do
		in_terminal $columns
		echo "$output"
		[ "$(longest)" -le $columns ]
		[[ ${lines[0]} =~ ^LOCAL\ +PEER\ +OWNER\ +KEEPALIVE\ +NEXT$ ]]
		# Addresses of IPv4, processes and settings are whole.
		[ "$(grep -cE " (192\.168\.100\.200|127\.0\.0\.1):[0-9]+ .*:$held " <<<"$output")" -eq 4 ]
		grep -qE ' 192\.168\.100\.200:15432 .* 7200/75/9 ut=2m +probe in 1h 59m$' <<<"$output"
		grep -qE ' \[2001:db8:1.*\.\.\.\]:15433 .* ! never notices$' <<<"$output"
		grep -qE ' off +peer has closed$' <<<"$output"
		grep -qE ' +long[a-z]*\.\.\.:[0-9]+ ' <<<"$output"
		# The last line, which is longer, is broken at blanks.
		[ "$(sed -n '/ sockets: /,$p' <<<"$output" | tr -d '\n' | tr -s ' ')" = "$(tail -1 <<<"$whole")" ]
	done
	grep -qE '^:[0-9]+ +192\.168\.100\.200:15432 ' <<<"$output"
	in_terminal 64
	[ "$(longest)" -le 64 ]
	[[ ${lines[0]} =~ ^LOCAL\ +PEER\ +KEEPALIVE\ +NEXT$ ]]
	# What is asked for by name is there, if need be in broken rows.
	in_terminal 64 -o local,peer,owner,keepalive,next
	[ "$(tr -s ' ' <<<"${lines[0]}")" = "LOCAL PEER OWNER KEEPALIVE NEXT" ]
	grep -qF '[2001:db8:1234:5678:9abc:def0:1234:5678]:15433' <<<"$output"
	# The longest rows of all, with their namespace.
	in_terminal 80 --all-netns "pid=$held"
	echo "$output"
	[ "$(longest)" -le 80 ]
	[[ ${lines[0]} =~ ^NETNS\ +LOCAL\ +PEER\ +KEEPALIVE\ +NEXT$ ]]
	grep -qE "^$(stat -Lc %i "/proc/$held/ns/net") +:[0-9]+ +192\.168\.100\.200:15432 " <<<"$output"
	in_terminal 80 --summary program
	[ "$(longest)" -le 80 ]
	let_go
}

@test "notes on a terminal are broken at blanks, their lines after the first indented" {
	command -v script >/dev/null || skip "needs script"
	# Nobody is root of this terminal, so that something is missing.
	run script -qec "stty cols 60; exec unshare --net -- setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all -- \"$TCPKEEP\" list" /dev/null </dev/null
	output=${output//$'\r'/}
	note=$(sed -n '/^tcpkeep: warning: /,$p' <<<"$output")
	echo "$note"
	[ "$(wc -l <<<"$note")" -gt 1 ]
	[ -z "$(awk 'length > 60' <<<"$note")" ]
	[ -z "$(tail -n +2 <<<"$note" | grep -v '^  [^ ]')" ]
	[[ $(tr -d '\n' <<<"$note" | tr -s ' ') == "tcpkeep: warning: list: "*"; root sees all" ]]
}

@test "--all-netns and --netns reach the sockets from outside" {
	run --separate-stderr "$TCPKEEP" list --all-netns "pid=$HOLDER"
	[[ ${lines[0]} == NETNS* ]]
	[[ ${lines[-1]} == "14 sockets: "* ]]
	run --separate-stderr "$TCPKEEP" list --netns "/proc/$HOLDER/ns/net" --json
	jq -es 'length == 14 and all(.netns.own | not)' <<<"$output"
	run --separate-stderr "$TCPKEEP" list --netns no-such-netns
	[ "$status" -eq 1 ]
	run --separate-stderr "$TCPKEEP" list --netns 1
	[[ $stderr == "tcpkeep: list: there is no network namespace '1' in "*"; for that of a process write /proc/1/ns/net" ]]
	# Who names one looks into all, and a name that is none is no empty answer.
	inode=$(stat -Lc %i "/proc/$HOLDER/ns/net")
	run --separate-stderr "$TCPKEEP" list "netns=$inode"
	[[ ${lines[0]} == NETNS* ]]
	[[ ${lines[-1]} == "14 sockets: "* ]]
	run --separate-stderr "$TCPKEEP" list netns=no-such-netns
	[ "$status" -eq 1 ] && [ -z "$output" ]
	[[ $stderr == "tcpkeep: list: netns: there is no network namespace 'no-such-netns' in "* ]]
	run --separate-stderr "$TCPKEEP" list 'netns=no-such-n*'
	[ "$output" = "0 sockets match" ]
	run --separate-stderr "$TCPKEEP" list --netns "/proc/$HOLDER/ns/net" "netns=$inode"
	[ "$status" -eq 2 ]
}

@test "each source; the one that knows no settings says unknown, and never guesses" {
	for source in bpf diag-fd; do
		list --source "$source" --json
		[ "$status" -eq 0 ] || skip "no $source on this kernel"
		row_of own | jq -e '.keepalive and .time_s == 60'
		row_of full | jq -e '.keepalive == false'
	done
	list --source diag --json
	row_of own | jq -e '.keepalive and .time_s == null and .time_origin == null and .detection == null'
	row_of full | jq -e '.keepalive == null'
	list --source diag
	[[ $output == *" ? "* ]]
	list --source ss
	[ "$status" -eq 2 ]
	[ "$stderr" = "tcpkeep: list: --source: 'ss' is not one of: bpf, diag-fd, diag" ]
}

@test "a reader that goes away ends it quietly" {
	run --separate-stderr bash -c "nsenter --net=/proc/$HOLDER/ns/net '$TCPKEEP' list --json | head -c 1"
	[ "$output" = "{" ] && [ -z "$stderr" ]
	run --separate-stderr bash -c "trap '' PIPE; { nsenter --net=/proc/$HOLDER/ns/net '$TCPKEEP' list; echo \$? >&2; } | true"
	[ "$stderr" = 1 ] || [ "$stderr" = 0 ]
	run --separate-stderr bash -c "nsenter --net=/proc/$HOLDER/ns/net '$TCPKEEP' list >/dev/full"
	[ "$status" -eq 1 ]
	[[ $stderr == "tcpkeep: cannot write the output: No space left on device" ]]
}

@test "who may not see all is told what is missing, in one line" {
	run --separate-stderr unshare --net -- setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all -- "$TCPKEEP" list
	[ "$status" -eq 0 ]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ $stderr == "tcpkeep: warning: list: "*"root sees all" ]]
	run --separate-stderr unshare --net -- setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all --bounding-set=-all -- "$TCPKEEP" list --all-netns
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ $stderr == *"hide their network namespaces, which"*"root sees all" ]]
}

# A program in a network namespace of its own, until the end of its standard input; with what it prints first.
hold() {
	local python
	python=$(python3 -c 'import sys; print(sys.executable)')
	coproc HELD { exec unshare --net -- "$python" -c "$1" 3>&-; }
	held=$HELD_PID
	read -t 20 -r said <&"${HELD[0]}"
}

let_go() {
	kill "$held"
	wait "$held" || :
}

in_its_netns() {
	run --separate-stderr nsenter --net="/proc/$held/ns/net" "$TCPKEEP" "$@"
}

@test "as many selectors as there can be, in the kernel; one more is refused" {
	many=(state=listen,established)
	for i in $(seq 14); do
		many+=("peer!=192.0.2.$i:443")
	done
	list "${many[@]}" --csv
	[ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 15 ]
	list "${many[@]}" state=listen --csv
	[ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 3 ]
	list "${many[@]}" state=listen state=listen
	[ "$status" -eq 2 ]
	[[ $stderr == *"more than 16 selectors"* ]]
	list "local=$(seq -s , -f '10.0.0.%.0f' 63),127.0.0.1" --csv
	[ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 12 ]
	list "local=$(seq -s , -f '10.0.0.%.0f' 65)"
	[ "$status" -eq 2 ]
}

@test "a socket of several programs counts once in each, however many processes hold it" {
	hold 'import ctypes, os, signal, socket
prctl = ctypes.CDLL(None).prctl
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
r, w = os.pipe()
for name in (b"one", b"two", b"one", b"two", b"tw\xe2\x80\xaeo"):
    if os.fork() == 0:
        prctl(1, 9, 0, 0, 0)
        prctl(15, name, 0, 0, 0)
        os.write(w, b"x")
        signal.pause()
    os.read(r, 1)
prctl(15, b"three", 0, 0, 0)
print("ready", flush=True)
signal.pause()'
	in_its_netns list --summary program --csv
	[ "$(tail -n +2 <<<"$output" | cut -d, -f1,2 | sort | tr '\n' ' ')" = 'one,1 three,1 tw\xe2\x80\xaeo,1 two,1 ' ]
	# What turns the line around is escaped in a table as well.
	in_its_netns list --summary program
	[[ $output == *'tw\xe2\x80\xaeo '* ]]
	let_go
}

@test "--sort netns: the own one first, though it has a name" {
	hold 'import os, signal, socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print("ready", flush=True)
signal.pause()'
	# Names of its own, and no processes but those inside.
	run --separate-stderr nsenter --net="/proc/$held/ns/net" unshare --mount --pid --fork --mount-proc -- bash -ec '
		mount -t tmpfs none /run
		mkdir /run/netns
		touch /run/netns/zebra /run/netns/ant
		mount --bind /proc/self/ns/net /run/netns/zebra
		unshare --net -- bash -ec "mount --bind /proc/self/ns/net /run/netns/ant"
		mkfifo /run/ready
		nsenter --net=/run/netns/ant python3 -c "
import socket, time
s = socket.socket()
s.bind((\"127.0.0.1\", 0))
s.listen()
open(\"/run/ready\", \"w\").close()
time.sleep(100)" 3>&- &
		cat /run/ready
		"$0" list --all-netns --sort netns -o netns --csv' "$TCPKEEP"
	[ "$status" -eq 0 ]
	[ "$(tr -d '\r' <<<"$output" | tr '\n' ' ')" = "netns zebra ant " ]
	let_go
}

@test "a thread's own descriptors are not taken for its process's" {
	hold 'import ctypes, os, signal, socket, threading
def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s
first, second = listener(), listener()
done = threading.Event()
def apart():
    ctypes.CDLL(None).unshare(0x400)
    os.dup2(second.fileno(), first.fileno())
    done.set()
    threading.Event().wait()
threading.Thread(target=apart, daemon=True).start()
done.wait()
print(first.fileno(), second.getsockname()[1], os.readlink("/proc/self/fd/%d" % first.fileno())[8:-1], flush=True)
signal.pause()'
	read -r fd other inode <<<"$said"
	in_its_netns list -o pid,fd,inode --csv
	[ "$(grep -c "^$held,$fd," <<<"$output")" -eq 1 ]
	[[ $output == *"$held,$fd,$inode"$'\r'* ]]
	run --separate-stderr "$TCPKEEP" explain "$held:$fd"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} != *":$other"* ]]
	let_go
}

@test "too few descriptors: all is told, or it is said with what to do" {
	for n in 20 8 7 6 5; do
		run --separate-stderr nsenter --net="/proc/$HOLDER/ns/net" bash -c \
			'ulimit -n "$1"; shift; exec "$0" "$@" 3>&-' "$TCPKEEP" $n list --source diag-fd --json
		echo "$n: $status $stderr"
		if [ "$status" -eq 0 ]; then
			jq -es 'length == 14 and all(.time_s != null)' <<<"$output"
		else
			[[ $stderr == *"oo many open files"* ]]
		fi
	done
}

@test "explain PID:FD: the timeline of a live socket, from where it stands" {
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of own)"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *"($HOLDER), descriptor $(fd_of own): 127.0.0.1:"*", peer 127.0.0.1:5432, ESTABLISHED" ]]
	[[ $output != *$'\033'* ]]
	[[ $output == *"From now on, if nothing more is heard from the peer"* ]]
	[ "$(grep -cE ' probe [1-6]$' <<<"$output")" -eq 6 ]
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of own)" --json
	# The time that has passed in silence is off the way to the first probe and to the death.
	jq -e '.schema == "tcpkeep.explain/1" and .settings.time_origin == "socket"
		and .now.events[0].earliest_s < 60 and (.now.events | length) == 6
		and (.now.events[0].earliest_s - (60 - .socket.silence_s) | fabs) < 0.1
		and (.now.death_earliest_s - .now.events[0].earliest_s) >= 60
		and .now.death_latest_s < .idle.death_latest_s + 1
		and .socket.owners[0].fd == '"$(fd_of own)" <<<"$output"
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of full)" --json
	jq -e '.now.events[0].event == "window-probe"' <<<"$output"
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of off)"
	[[ $output == *"never"*"nobody asks, nothing is noticed"* ]]
	[[ $output == *"last heard from"*" ago; no timer runs"* ]]
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of listener)"
	[[ ${lines[0]} == *"a listener: what it accepts inherits this" ]]
	run --separate-stderr "$TCPKEEP" explain "$HOLDER:$(fd_of own)" --svg "$BATS_TEST_TMPDIR/now.svg"
	[ "$status" -eq 0 ]
	grep -q 'From now on' "$BATS_TEST_TMPDIR/now.svg"
}

@test "explain PID:FD says why it is no TCP socket" {
	while IFS='|' read -r operand status_wanted message; do
		run "$TCPKEEP" explain "$operand"
		[ "$status" -eq "$status_wanted" ]
		[[ $output == "tcpkeep: explain: "$message ]] || {
			echo "$operand: $output"
			return 1
		}
	done <<END
$HOLDER:0|1|$HOLDER:0 is no socket: *
$HOLDER:999|1|process $HOLDER (*) has no descriptor 999
$HOLDER:$(fd_of udp)|1|$HOLDER:$(fd_of udp) is a UDP socket
$HOLDER:$(fd_of unbound)|1|$HOLDER:$(fd_of unbound) is a TCP socket that is neither bound nor connected*
4194304:3|1|there is no process 4194304
1:x|2|'1:x' is no socket; write PID:FD*
49|2|'49' is no setting; a socket is PID:FD, as tcpkeep list -o pid,fd shows them
END
	run "$TCPKEEP" explain "$HOLDER:3" time=60
	[ "$status" -eq 2 ]
}
