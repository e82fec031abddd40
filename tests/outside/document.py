# SPDX-License-Identifier: MIT
"""docs/run-matrix.md: how it is written, and read back."""

# (role, name in pass.bash): what the reader knows it by. The order is the document's.
TITLES = {
    ("client", "tcp-dynamic"): "C client",
    ("server", "tcp-dynamic-server"): "C server",
    ("client", "tcp-static"): "C client, static",
    ("server", "tcp-static-server"): "C server, static",
    ("client", "tcp-musl"): "C client, musl",
    ("server", "tcp-musl-server"): "C server, musl",
    ("client", "tcp-musl-static"): "C client, musl, static",
    ("server", "tcp-musl-static-server"): "C server, musl, static",
    ("client", "uring-connect"): "io_uring: connect",
    ("client", "uring-socket"): "io_uring: socket and connect",
    ("client", "go"): "Go net/http client, static",
    ("server", "go-server"): "Go net/http server, static",
    ("client", "java"): "java HttpClient",
    ("server", "java-server"): "java ServerSocket",
    ("client", "node"): "node http client, keepAlive",
    ("server", "node-server"): "node http server",
    ("client", "python3"): "python3 urllib",
    ("server", "files"): "python3 http.server",
    ("client", "perl"): "perl IO::Socket",
    ("client", "bash"): "bash /dev/tcp",
    ("client", "curl"): "curl",
    ("client", "git"): "git clone over http",
    ("client", "psql"): "psql",
    ("server", "postgres"): "PostgreSQL",
    ("client", "redis-cli"): "redis-cli",
    ("server", "redis"): "redis-server",
    ("client", "ssh"): "ssh",
    ("server", "sshd"): "sshd",
    ("client", "sshd-forward"): "sshd, forwarding",
    ("server", "nginx"): "nginx",
    ("client", "nginx-upstream"): "nginx, to its upstream",
    ("server", "haproxy"): "HAProxy",
    ("client", "haproxy-backend"): "HAProxy, to its backend",
    ("client", "script"): "sh script: C client",
    ("client", "script-static"): "sh script: static C client",
    ("client", "env-static"): "env: static C client",
    ("client", "wrapped"): "env, nice, timeout, sh -c: C client",
    ("client", "setpriv"): "setpriv to another user: C client",
    ("client", "sudo"): "sudo to another user: C client",
    ("client", "su"): "su to another user: C client",
    ("client", "setuid"): "C client, setuid to another user",
}

HEAD = """# What `tcpkeep run` reaches

Made by the test `outside-matrix`, which runs each program and looks at its sockets; not written by hand
(`meson compile -C build run-matrix` writes it, the test fails where it is not what was seen). Each program did real
work, ended as it ends without tcpkeep and said what it says without tcpkeep. Its sockets were read with `getsockopt()`
on a copy of the descriptor, and `ss` had to show the timer that belongs to it.

On Debian 12 on x86-64, with the settings `time=61 intvl=11 probes=7`.

| word | means |
|---|---|
| reached | the socket has all of these settings |
| own | the program sets some values itself, which stand; all others are these |
| missed | the socket has not got what the program left to the system |
| refused | tcpkeep says before the start that it would miss the program, and ends with 4 |
| - | this user cannot do it without tcpkeep, either |

*bare*: what the program does without tcpkeep: keepalive off, on with the system's values, or with own values.
*alone*: `tcpkeep run --method M -- PROGRAM`, by root as all others but *as nobody*: the same by a user without any
privilege. *in a tree*: a bash script below one `tcpkeep run` starts all of these programs. *why* has tcpkeep's own
words before the start, where it had any; "not said": tcpkeep gave no word of it. That a program used io_uring is told
at its end by `--report`, with seccomp.
"""
COLUMNS = ["program", "bare", "alone", "in a tree", "--enforce", "as nobody", "why"]

# In the place of a cell: nobody has looked.
UNTRIED = "?"


def same(written, row):
    """What was not tried here may be anything there."""
    return (
        written is not None
        and len(written) == len(row)
        and all(there == here or here == UNTRIED for there, here in zip(written, row))
    )


def line(cells):
    return "| " + " | ".join(cells) + " |"


def write(path, methods):
    """methods: {method: [row]}. A method that could not be tried keeps what is there."""
    kept = {method: list(rows.values()) for method, rows in read(path).items()}
    parts = [HEAD]
    for method, rows in {**kept, **methods}.items():
        parts.append(f"## {method}\n")
        parts.append("\n".join([line(COLUMNS), "|" + "---|" * len(COLUMNS), *map(line, rows)]) + "\n")
    with open(path, "w") as file:
        file.write("\n".join(parts))


def read(path):
    """{method: {title: row}}"""
    found, rows = {}, None
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return found
    for text in lines:
        if text.startswith("## "):
            rows = found.setdefault(text[3:], {})
        elif rows is not None and text.startswith("| ") and not text.startswith("| program |"):
            row = [cell.strip() for cell in text.strip("|").split(" | ")]
            rows[row[0]] = row
    return found
