#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""suite.py NAME: a program's own test suite, bare and under each method of `tcpkeep run`, test by test.

The outcome of each test has to be the bare one's, whatever that is; what fails bare is listed. A test whose
outcomes differ is run again, alone: only one that differs every time counts as different. Each run is in
namespaces of its own.
"""
import collections
import concurrent.futures
import os
import subprocess
import sys

import methods
import suites

ROUNDS = 3
TIMEOUT_S = 120


class Runner:
    """Runs pieces of one suite."""

    def __init__(self, suite):
        self.suite = suite
        self.prefix = {}

    def start(self, method, piece, tests=None):
        """({test: outcome}, what was said)"""
        command = [*self.prefix[method], *self.suite.command(piece, tests)]
        cwd = self.suite.directory(piece)
        if cwd:
            command = ["env", "-C", cwd, *command]
        # In the room's own /run/tmp, which goes with it.
        try:
            done = subprocess.run(
                methods.in_room(command), cwd="/", capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired as late:
            # What has not come differs from what came elsewhere, and is run again.
            said = late.stdout or b""
            return self.suite.outcomes(said.decode(errors="replace")), f"no end after {TIMEOUT_S} s"
        return self.suite.outcomes(done.stdout), done.stderr[-2000:]

    def choose_prefix(self, tap, method, piece):
        """Says whether the method reaches the program. One that it refuses is run by a shell, which it does not."""
        self.prefix[method] = methods.prefix(method)
        if method == methods.BARE:
            return
        probe = methods.in_room([*self.prefix[method], *self.suite.probe(piece)])
        done = subprocess.run(probe, cwd="/", capture_output=True, text=True)
        if done.returncode == methods.LACKING:
            print(f"# {method}: below a shell, since alone it is refused: {done.stderr.strip()}")
            self.prefix[method] += ["sh", "-c", '"$@"; exit $?', "sh"]
        elif done.stdout or done.returncode:
            reached = done.stdout.strip() == "61"
            tap.case(reached, f"{method}: its sockets are reached", [] if reached else [done.stdout, done.stderr])


def differing(bare, other):
    return sorted(test for test in bare.keys() | other.keys() if bare.get(test) != other.get(test))


def settle(runner, method, piece, tests):
    """Those of the tests that differ in each of several further rounds, and the last words."""
    said = {}
    for _ in range(ROUNDS):
        whole = sorted({runner.suite.whole(test) for test in tests})
        bare, _ = runner.start(methods.BARE, piece, whole)
        other, words = runner.start(method, piece, whole)
        still = set(differing(bare, other))
        tests = [test for test in tests if test in still]
        said = {test: (bare.get(test), other.get(test), words) for test in tests}
        if not tests:
            break
    return said


def judge(tap, runner, method, unit, results):
    """One case: a unit (all its pieces) under a method."""
    notes, outcomes, different = [], collections.Counter(), 0
    for piece in unit.pieces:
        bare, other = results[methods.BARE, piece][0], results[method, piece][0]
        outcomes.update(other.values())
        unlike = differing(bare, other)
        lasting = settle(runner, method, piece, unlike) if unlike else {}
        for test in unlike:
            if test not in lasting:
                notes.append(f"not steady, and the same when run again: {test}")
                continue
            different += 1
            was, now, words = lasting[test]
            notes.append(f"{test}: {was} bare, {now} under {method}: {words}")
    counted = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items())) or "no test has run"
    tap.case(not different and outcomes["passed"] > 0, f"{method}: {unit.name}: as bare ({counted})", notes)


def main():
    suite = suites.SUITES[sys.argv[1]]()
    tap = methods.Tap()
    lack = suite.lacks()
    if lack:
        tap.skip(sys.argv[1], lack)
        return tap.end()
    runner = Runner(suite)
    able, unable = methods.available(auto=False)
    for method, why in unable.items():
        tap.skip(method, why)
    units = suite.units()
    pieces = [piece for unit in units for piece in unit.pieces]
    for method in [methods.BARE, *able]:
        runner.choose_prefix(tap, method, pieces[0])
    with concurrent.futures.ThreadPoolExecutor(suite.PARALLEL) as pool:
        jobs = {
            (method, piece): pool.submit(runner.start, method, piece)
            for piece in pieces
            for method in runner.prefix
        }
        results = {key: job.result() for key, job in jobs.items()}
    for unit in units:
        failed = [
            test
            for piece in unit.pieces
            for test, outcome in results[methods.BARE, piece][0].items()
            if outcome == "failed"
        ]
        for test in failed:
            print(f"# fails bare, too: {test}")
        for method in able:
            judge(tap, runner, method, unit, results)
    return tap.end()


sys.exit(main())
