# SPDX-License-Identifier: MIT
"""The suites: which tests, how they are run, how their outcomes are read.

A suite has units, the cases of the report, each with pieces, which run side by side:

  lacks()                why it cannot run here, or None
  units()                [Unit]
  command(piece, tests)  runs a piece, or some tests of it
  directory(piece)       where it has to run, or None: anywhere
  probe(piece)           the same program, doing nothing, or connecting and printing the socket's time
  outcomes(text)         {test: outcome} of the output
  whole(test)            the test to ask for when this one is to be run again
"""
import collections
import glob
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
Unit = collections.namedtuple("Unit", "name pieces")


def outcome_lines(text):
    """"passed NAME ..." in a line each."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2:
            found[words[1]] = words[0]
    return found


class Python:
    """Modules of Python's test package. Tests mostly wait: their pieces are many, and run side by side."""

    PARALLEL = 16
    MODULES = {}
    # Not confined to a network namespace, and it hangs in some virtual machines.
    NOT = "VSOCK"

    def __init__(self):
        self.python = next(filter(self.has_tests, ["python3", "/usr/bin/python3"]), None)

    @staticmethod
    def has_tests(python):
        find = "import importlib.util as u; raise SystemExit(not u.find_spec('test.test_socket'))"
        done = subprocess.run([python, "-c", find + "; import _ssl"], capture_output=True)
        return done.returncode == 0

    def lacks(self):
        return None if self.python else "no test package of Python (libpython3.11-testsuite)"

    def units(self):
        return [Unit(m, [(m, i, n) for i in range(n)]) for m, n in self.MODULES.items()]

    def command(self, piece, tests):
        module, part, of = piece
        which = tests or [f"{part}/{of}"]
        return ["env", "-C", "/run/tmp", self.python, os.path.join(HERE, "unittests.py"), self.NOT, module, *which]

    def directory(self, piece):
        return None

    def probe(self, piece):
        return [
            self.python,
            "-c",
            "import socket as s; l = s.create_server(('127.0.0.1', 0)); c = s.create_connection(l.getsockname());"
            "print(c.getsockopt(s.IPPROTO_TCP, s.TCP_KEEPIDLE))",
        ]

    outcomes = staticmethod(outcome_lines)

    def whole(self, test):
        return test


class PythonSocket(Python):
    MODULES = {"test.test_socket": 4, "test.test_socketserver": 1, "test.test_httplib": 1}


class PythonSsl(Python):
    MODULES = {"test.test_ssl": 6}


class PythonAsyncio(Python):
    """Those modules of test_asyncio that open sockets or start programs."""

    MODULES = {
        "test.test_asyncio.test_base_events": 1,
        "test.test_asyncio.test_events": 2,
        "test.test_asyncio.test_selector_events": 1,
        "test.test_asyncio.test_sendfile": 1,
        "test.test_asyncio.test_server": 1,
        "test.test_asyncio.test_sock_lowlevel": 1,
        "test.test_asyncio.test_ssl": 2,
        "test.test_asyncio.test_sslproto": 1,
        "test.test_asyncio.test_streams": 1,
        "test.test_asyncio.test_subprocess": 3,
        "test.test_asyncio.test_unix_events": 1,
    }


class Go:
    """net/http and net of the standard library, built without cgo: static, past every C library."""

    PARALLEL = 4
    # They start the go tool, which wants a home and much time, and open no socket.
    NOT = ["TestOmitHTTP2Vet", "TestCmdGoNoHTTPServer"]
    PACKAGES = {"net/http": "http.test", "net": "net.test"}
    OUTCOME = re.compile(r"^\s*--- (PASS|FAIL|SKIP): (\S+) \(", re.MULTILINE)
    WORDS = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}

    def lacks(self):
        if not shutil.which("go"):
            return "no go"
        missing = [t for t in self.PACKAGES.values() if not os.path.exists(self.program(t))]
        return f"not built: {missing[0]}" if missing else None

    @staticmethod
    def program(name):
        return os.path.join(os.environ["BUILD"], "tests", "outside", name)

    def units(self):
        return [Unit(package, [package]) for package in self.PACKAGES]

    def command(self, piece, tests):
        program = self.program(self.PACKAGES[piece])
        if not tests:
            listed = subprocess.run([program, "-test.list", "."], capture_output=True, text=True, check=True)
            tests = [t for t in listed.stdout.split() if t.startswith("Test") and t not in self.NOT]
        return [program, "-test.v", "-test.short", "-test.run", f"^({'|'.join(tests)})$"]

    def directory(self, piece):
        goroot = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True)
        return os.path.join(goroot.stdout.strip(), "src", piece)

    def probe(self, piece):
        return [self.program(self.PACKAGES[piece]), "-test.list", "^$"]

    def outcomes(self, text):
        return {test: self.WORDS[word] for word, test in self.OUTCOME.findall(text)}

    def whole(self, test):
        return test.split("/")[0]


NODE_PROBE = """
const server = require("net").createServer().listen(0, "127.0.0.1", () => {
	const { port } = server.address();
	require("net").connect(port, "127.0.0.1", () => {
		console.log(String(require("child_process").execFileSync("ss", ["-Htno", `dport = :${port}`]))
			.replace(/.*keepalive,(1min[01]?|60sec|59sec)[^]*/, "61"));
		process.exit();
	});
});
"""


class Node:
    """Exercises of ours, beside node's own (NodeOwn): each file is a unit."""

    PARALLEL = 4

    def lacks(self):
        return None if shutil.which("node") else "no node"

    def units(self):
        return [Unit(os.path.basename(f), [f]) for f in sorted(glob.glob(os.path.join(HERE, "node", "*-test.mjs")))]

    def command(self, piece, tests):
        return ["env", "-C", "/run/tmp", "node", piece, *(tests or [])]

    def directory(self, piece):
        return None

    def probe(self, piece):
        # node cannot read an option: ss, a child of it, says what its timer is.
        return ["node", "-e", NODE_PROBE]

    outcomes = staticmethod(outcome_lines)

    def whole(self, test):
        return test


class NodeOwn(Node):
    """node's own tests of its net module, each file one test: build-aux/node-tests fetches them."""

    BATCH = 12
    # They look for what a busy machine does not give: memory back, or a time.
    NOT = {"test-net-connect-memleak.js"}
    TESTS = os.path.join(os.environ.get("NODE_TESTS", ""), "test", "parallel")

    def lacks(self):
        if not shutil.which("node"):
            return "no node"
        return None if os.path.isdir(self.TESTS) else "no tests of node's own: build-aux/node-tests build-node"

    def units(self):
        names = sorted(set(os.path.basename(f) for f in glob.glob(os.path.join(self.TESTS, "test-net-*.*js"))) - self.NOT)
        return [Unit("net", [tuple(names[i : i + self.BATCH]) for i in range(0, len(names), self.BATCH)])]

    def command(self, piece, tests):
        return ["env", "NODE_TEST_DIR=/run/tmp", "python3", os.path.join(HERE, "node_own.py"), *(tests or piece)]

    def directory(self, piece):
        return self.TESTS


SUITES = {
    "python-socket": PythonSocket,
    "python-ssl": PythonSsl,
    "python-asyncio": PythonAsyncio,
    "go": Go,
    "node": Node,
    "node-own": NodeOwn,
}
