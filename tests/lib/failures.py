#!/usr/bin/env python3
"""
What failed in one run: its claims and what was said of them, without the rest.

  failures.py meson TESTLOG.json   what meson wrote: claims of failing programs
  failures.py line LOG             of run.py: the failing tests, without the logs of servers
"""

import json
import re
import sys

BAD = re.compile(r"^not ok \d+ - ")
CASE = re.compile(r"^(not )?ok \d+ - ")
GOOD = ("OK", "EXPECTEDFAIL", "SKIP")
STDERR_LINES = 8
MOST_LINES = 60  # of one end-to-end test


def claims(stdout):
    """The failed claims of a TAP program, each with the lines that belong to it."""
    found, inside = [], False
    for line in stdout.splitlines():
        if CASE.match(line):
            inside = BAD.match(line) is not None
        elif line.startswith("# not ok"):  # of the program as a whole
            inside = False
        if inside:
            found.append(line)
    return found


def death(test):
    """Of a program that named no claim: how far it came, and its last words."""
    cases = [line for line in test["stdout"].splitlines() if CASE.match(line)]
    last = cases[-1] if cases else "no claim"
    return ["ended after: " + last] + test["stderr"].splitlines()[-STDERR_LINES:]


def meson(log):
    for line in log.splitlines():
        try:
            test = json.loads(line)
        except ValueError:  # the run was ended while this was written
            continue
        if test["result"] in GOOD:
            continue
        for key in ("stdout", "stderr"):
            test[key] = test.get(key) or ""
        yield f"{test['name']}: {test['result']}, exit status {test['returncode']}"
        for detail in claims(test["stdout"]) or death(test):
            yield "    " + detail


def lines(log):
    left = 0
    for line in log.splitlines():
        if line.startswith("FAILED  "):
            left = MOST_LINES
        elif not line.startswith("    ") or line.startswith("    ---- the end of the log of "):
            left = 0
        if left > 0:
            left -= 1
            yield line


def main():
    kind, path = sys.argv[1:]
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in {"meson": meson, "line": lines}[kind](file.read()):
                print(line)
    except FileNotFoundError:
        pass


if __name__ == "__main__":
    main()
