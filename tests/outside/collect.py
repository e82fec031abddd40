# SPDX-License-Identifier: MIT
"""collect.py STAGE: what a pass has left behind, as one JSON object."""
import glob
import json
import os
import sys

stage = sys.argv[1]


def text(name):
    try:
        with open(os.path.join(stage, name), errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def names(suffix):
    return sorted(os.path.basename(f)[: -len(suffix)] for f in glob.glob(os.path.join(stage, "*" + suffix)))


programs = {
    name: {
        "status": int(text(f"{name}.status") or -1),
        "out": text(f"{name}.out"),
        "err": text(f"{name}.err"),
    }
    for name in names(".work")
    if not os.path.exists(os.path.join(stage, f"{name}.absent"))
}
json.dump(
    {
        "programs": programs,
        "logs": {name: text(f"{name}.log") for name in names(".log")},
        "absent": {name: text(f"{name}.absent").strip() for name in names(".absent")},
        "looks": [json.loads(line) for line in text("looks").splitlines()],
    },
    sys.stdout,
)
