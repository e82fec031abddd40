# SPDX-License-Identifier: MIT
"""unittests.py NOT MODULE PART/OF | TEST...: runs a part of a module of Python's own test suite, or some tests of it;
none with NOT in its name.

A line for each test goes to standard output, as "passed test.test_socket.Class.test_x"; subtests count as their
test. What the tests say themselves goes to standard error. Exit status 0, whatever the tests say.
"""
import os
import sys
import time
import unittest

# Before test.support asks: the tests' own output must not come between.
lines = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


class Result(unittest.TestResult):
    """The worst that befell a test is its outcome."""

    ORDER = ["passed", "skipped", "expected-failure", "unexpected-success", "failed"]

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "passed"
        self.started = time.monotonic()

    def note(self, outcome):
        self.outcome = max(self.outcome, outcome, key=self.ORDER.index)

    def stopTest(self, test):
        super().stopTest(test)
        print(self.outcome, test.id(), f"{time.monotonic() - self.started:.2f}", file=lines)

    def outside(self, test, outcome):
        """setUpClass() and setUpModule() belong to no test."""
        if hasattr(test, "_testMethodName"):
            self.note(outcome)
        else:
            print(outcome, test.id().replace(" ", "_"), "0", file=lines)

    def addSkip(self, test, reason):
        self.outside(test, "skipped")

    def addExpectedFailure(self, test, err):
        self.note("expected-failure")

    def addUnexpectedSuccess(self, test):
        self.note("unexpected-success")

    def addFailure(self, test, err):
        print(self._exc_info_to_string(err, test), file=sys.stderr)
        self.outside(test, "failed")

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            print(subtest.id(), self._exc_info_to_string(err, test), file=sys.stderr)
            self.note("failed")


def tests_in(suite):
    if isinstance(suite, unittest.TestSuite):
        for member in suite:
            yield from tests_in(member)
    else:
        yield suite


def main():
    unwanted, module, which = sys.argv[1], sys.argv[2], sys.argv[3:]
    loader = unittest.defaultTestLoader
    if "/" in which[0]:
        part, of = map(int, which[0].split("/"))
        found = list(tests_in(loader.loadTestsFromName(module)))[part::of]
    else:
        found = tests_in(loader.loadTestsFromNames(which))
    unittest.TestSuite(test for test in found if unwanted not in test.id()).run(Result())
    # Threads that a test has left behind do not matter any more.
    lines.flush()
    os._exit(0)


main()
