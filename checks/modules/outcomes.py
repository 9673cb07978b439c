"""Judges how wrong configurations fail.

    outcomes.py thrown         prints those whose message only a failing evaluation tells: system and index
    outcomes.py judge DIRECTORY  reads these messages from DIRECTORY/thrown-SYSTEM-INDEX
"""

import json
import re
import sys


def squeezed(text):
    """What a message says, whatever its colours, quotes and line ends."""
    return re.sub(r"\x1b\[[0-9;]*m|[\s\"'`\u2018\u2019]", "", text)


def problems(system, index, row, directory):
    """What is wrong with the way in which a configuration fails."""
    outcome = row["outcome"]
    if outcome == "right":
        yield "it is taken as right"
        return
    if outcome == "thrown" and not row["first"]:
        return
    if outcome == "thrown":
        with open(f"{directory}/thrown-{system}-{index}") as file:
            said = file.read()
    else:
        said = "\n".join(outcome)
    for fragment in row["says"]:
        if squeezed(fragment) not in squeezed(said):
            yield f"it does not say {fragment!r} but: {said}"


rows = [
    (system, index, row)
    for system, of_system in json.load(sys.stdin).items()
    for index, row in enumerate(of_system)
]
if sys.argv[1] == "thrown":
    for system, index, row in rows:
        if row["outcome"] == "thrown" and row["first"]:
            print(system, index)
else:
    found = [
        f"{system}, row {index}: {problem}"
        for system, index, row in rows
        for problem in problems(system, index, row, sys.argv[2])
    ]
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"{len(rows)} wrong configurations")
    sys.exit(bool(found) or not rows)
