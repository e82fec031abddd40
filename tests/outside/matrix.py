#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""matrix.py DOCUMENT [--write]: programs at work, bare and under each method of `tcpkeep run`.

Each program ends as it ends bare, and says what it says bare. What its sockets got is read by getsockopt() on a
copy of the descriptor and by ss, and makes a row of the document: --write writes it, otherwise a row that is not
the document's is a failure.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys

import document
import methods

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ["alone", "tree", "enforce", "nobody"]
# Modes that have a bare run of their own to be compared with.
APART = ["nobody"]
OURS = [1, 61, 11, 7]
SYSTEM = [0, 7200, 75, 9]
PARALLEL = 3
TIMEOUT_S = 240


def run_pass(method, mode):
    """What collect.py says of one pass."""
    command = ["bash", os.path.join(HERE, "pass.bash"), method, mode]
    if mode == "tree":
        command = methods.prefix(method) + command
    done = subprocess.run(methods.in_room(command), capture_output=True, text=True, timeout=TIMEOUT_S)
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"Bail out! {method}, {mode}: {done.returncode}: {done.stdout}{done.stderr}") from None
    found["said"] = done.stderr
    return found


# ---------------------------------------------------------------------------------- what a socket got


def judge(options, bare):
    """One look: each value is ours, or the program's own, or neither."""
    if options is None:
        return "not seen"
    if options == OURS:
        return "reached"
    if any(value not in (ours, was) for value, ours, was in zip(options, OURS, bare)):
        return "wrong"
    kept = [(value, system) for value, ours, system in zip(options, OURS, SYSTEM) if value != ours]
    return "own" if all(value != system for value, system in kept) else "missed"


def options_bare(options):
    if options is None:
        return "not seen"
    if not options[0]:
        return "off"
    return "on" if options[1:] == SYSTEM[1:] else "own values"


def looks_of(found, key):
    return [look for look in found["looks"] if (look["role"], look["name"]) == key]


def refusal(found, key):
    """What tcpkeep said instead of starting the program, or None."""
    role, name = key
    if role == "client":
        program = found["programs"].get(name)
        said = program["err"] if program and program["status"] == methods.LACKING else ""
    else:
        said = found["logs"].get(name, "")
    return said.strip() if (said or "").startswith("tcpkeep: run: ") and not looks_of(found, key) else None


def whole_refusal(found):
    """The same when it was said to every client: of a server's connection elsewhere nothing is to be seen then."""
    programs = found["programs"].values()
    if not programs or any(program["status"] != methods.LACKING for program in programs):
        return None
    return next(iter(programs))["err"].strip()


def cell(found, key, bare):
    """(a word for what the sockets of a program got in a pass, whether ss agrees)"""
    before = looks_of(bare, key)
    if not before:
        return "-", True
    seen = looks_of(found, key)
    if not seen:
        return ("refused" if refusal(found, key) or whole_refusal(found) else "not seen"), True
    words = {judge(look["options"], before[0]["options"] or SYSTEM) for look in seen}
    return " and ".join(sorted(words)), all(look["ss_agrees"] for look in seen)


def warning(found, key):
    """What tcpkeep warned of before it started the program, or None."""
    role, name = key
    program = found["programs"].get(name, {}) if role == "client" else {}
    said = program.get("err") or found["logs"].get(name) or ""
    return next((line for line in said.splitlines() if line.startswith("tcpkeep: warning: run: ")), None)


def reason(passes, key, cells):
    """In tcpkeep's own words, without the paths: of the first mode in which a socket was not reached."""
    for mode in passes:
        if cells[mode] not in ("refused", "missed"):
            continue
        said = refusal(passes[mode], key) or whole_refusal(passes[mode]) or warning(passes[mode], key)
        if not said:
            return "not said"
        said = re.sub(r"^tcpkeep: (warning: )?run: (method \w+: )?(/\S+ )?", "", said.splitlines()[0]).split(";")[0]
        said = re.sub(r"/\S+?(?=[,:]?( |$))", "PATH", said)
        return said if mode == MODES[0] else f"{mode}: {said}"
    return "what it sets itself stands" if "own" in cells.values() else ""


# ---------------------------------------------------------------------------------------- its behaviour


def behaviour(program):
    """How it ended and what it said; tcpkeep's own lines apart."""
    err = [line for line in (program["err"] or "").splitlines() if not line.startswith("tcpkeep: ")]
    return program["status"], program["out"], err


def difference(found, bare, key):
    """What a client does otherwise than bare, in one line, or None."""
    role, name = key
    if role != "client" or name not in bare["programs"] or refusal(found, key):
        return None
    was, now = behaviour(bare["programs"][name]), behaviour(found["programs"][name])
    return None if was == now else f"bare {was}, now {now}"


# --------------------------------------------------------------------------------------------- the rows


def make_row(passes, yardsticks, key):
    """(the row, notes on what is wrong whatever the document says)"""
    cells, notes = {}, []
    for mode, found in passes.items():
        bare = yardsticks[mode]
        cells[mode], agrees = cell(found, key, bare)
        unlike = difference(found, bare, key)
        if unlike:
            notes.append(f"{mode}: {unlike}")
        if not agrees:
            notes.append(f"{mode}: ss shows another timer: {looks_of(found, key)}")
        if "not seen" in cells[mode] or "wrong" in cells[mode]:
            log = found["logs"].get(key[1], "")
            notes.append(f"{mode}: {cells[mode]}: {looks_of(found, key)} {log} {found['programs'].get(key[1])}")
    title = document.TITLES.get(key, f"{key[1]} ({key[0]})")
    bare = options_bare(looks_of(yardsticks[MODES[0]], key)[0]["options"])
    return [title, bare, *(cells.get(mode, document.UNTRIED) for mode in MODES), reason(passes, key, cells)], notes


def rows_of(results, method):
    """{key: (row, notes)} in the document's order."""
    passes = {mode: found for (its_method, mode), found in results.items() if its_method == method}
    first = results[methods.BARE, MODES[0]]
    yardsticks = {mode: results[methods.BARE, mode] if mode in APART else first for mode in passes}
    order = list(document.TITLES)
    return {
        key: make_row(passes, yardsticks, key)
        for key in sorted(
            {(look["role"], look["name"]) for look in first["looks"]},
            key=lambda k: (order.index(k) if k in order else len(order), k),
        )
    }


def report_bare(tap, bare):
    """The yardstick itself: every client has come to its end."""
    for name, program in bare["programs"].items():
        if program["status"] != 0:
            tap.case(False, f"bare: {name}", [json.dumps(program)])
    for look in bare["looks"]:
        if not look["ss_agrees"]:
            tap.case(False, f"bare: {look['name']}", [json.dumps(look)])


def report(tap, method, rows, written, absent):
    """A case for each row: here and in the document."""
    section = written.get(method, {})
    for row, notes in rows.values():
        if not document.same(section.get(row[0]), row):
            notes = [*notes, f"the document has {section.get(row[0])}, write it: meson compile run-matrix"]
        tap.case(not notes, f"{method}: {row[0]}: {', '.join(row[2:-1])}", notes)
    here = {row[0] for row, _ in rows.values()}
    for title in section:
        if title not in here:
            why = "; ".join(sorted(f"no {program}" for program in absent)) or "not as this user"
            tap.skip(f"{method}: {title}", why)


def main():
    path, write = sys.argv[1], "--write" in sys.argv
    tap = methods.Tap()
    able, unable = methods.available()
    # In a user namespace there is nobody but the caller.
    modes = [mode for mode in MODES if mode != "nobody" or os.getuid() == 0]
    jobs = [(methods.BARE, mode) for mode in modes if mode == MODES[0] or mode in APART]
    jobs += [(method, mode) for method in able for mode in modes]
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        results = dict(zip(jobs, pool.map(lambda job: run_pass(*job), jobs)))
    bare = results[methods.BARE, MODES[0]]
    found = {method: rows_of(results, method) for method in able}
    if write:
        document.write(path, {m: [row for row, _ in rows.values()] for m, rows in found.items()})
    report_bare(tap, bare)
    written = document.read(path)
    for method, rows in found.items():
        report(tap, method, rows, written, set(bare["absent"].values()))
    for method, why in unable.items():
        tap.skip(method, why)
    return tap.end()


sys.exit(main())
