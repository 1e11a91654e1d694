#!/usr/bin/env python3
"""
Count the tests of one run, as "PASSED FAILED SKIPPED".

  count.py meson TESTLOG.json   what meson wrote; the cases of a TAP program count one by one
  count.py line LOG             the last "N passed, N failed[, N skipped]" of a log
"""

import json
import re
import sys

TAP = re.compile(r"^(not )?ok\b[^#\n]*(#\s*skip)?", re.MULTILINE | re.IGNORECASE)
LINE = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.MULTILINE)
GOOD = ("OK", "EXPECTEDFAIL")


def meson(log):
    total = [0, 0, 0]
    for line in log.splitlines():
        test = json.loads(line)
        cases = [0, 0, 0]
        for bad, skip in TAP.findall(test.get("stdout") or ""):
            cases[2 if skip else 1 if bad else 0] += 1
        if test["result"] == "SKIP":
            cases = cases if cases[2] else [0, 0, 1]
        elif test["result"] in GOOD:
            cases = cases if any(cases) else [1, 0, 0]
        elif cases[1] == 0:
            cases[1] = 1  # it died between two cases, or has no cases
        total = [a + b for a, b in zip(total, cases)]
    return total


def line(log):
    found = LINE.findall(log)
    return [int(number or 0) for number in found[-1]] if found else None


def main():
    kind, path = sys.argv[1:]
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            counts = {"meson": meson, "line": line}[kind](file.read())
    except FileNotFoundError:
        counts = None
    if counts is None:
        sys.exit(1)
    print(*counts)


if __name__ == "__main__":
    main()
