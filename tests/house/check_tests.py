#!/usr/bin/env python3
"""Every unit test and fuzz target is known to meson; notes name modules without a test."""

import os
import re

import tree

# Modules without a test of their own, and why.
UNTESTED = {
    "base/clock": "two calls of the system",
}

STRING = re.compile(r"'([^'\n]*)'")


def check(root):
    paths = tree.files(root)
    known = strings(root, paths)
    found = []
    for path in paths:
        folder, name = os.path.split(path)
        stem = name[:-len(".c")]
        if folder == "tests/unit" and name.endswith("_test.c"):
            names = {name, stem, stem[:-len("_test")]}
        elif folder == "tests/fuzz" and name.endswith(".c"):
            names = {name, stem}
        else:
            continue
        if not names & known:
            found.append(f"{path}: in no meson.build, so nobody runs it")
    return found


def strings(root, paths):
    """The last parts of all strings in the meson.build files, comments left out."""
    known = set()
    for path in paths:
        if os.path.basename(path) == "meson.build":
            for line in tree.text(root, path).splitlines():
                code = re.sub(r"^([^'#]*('[^']*'[^'#]*)*)#.*", r"\1", line)
                known |= {os.path.basename(word) for word in STRING.findall(code)}
    return known


def untested(root):
    paths = set(tree.files(root))
    for path in sorted(paths):
        module = path[:-len(".c")]
        if (path.endswith(".c") and path.split("/")[0] in ("policy", "zones", "base")
                and module + ".h" in paths and module not in UNTESTED
                and not test_names(module) & paths):
            yield f"{path}: has no tests/unit/{os.path.basename(module)}_test.c"


def test_names(module):
    inner = module.split("/", 1)[1]
    return {f"tests/unit/{name}_test.c"
            for name in (inner, inner.replace("/", "_"), os.path.basename(inner))}


CASES = [
    ("registered by name", {"tests/unit/steer_test.c": "",
                            "policy/meson.build": "unit_tests += { 'steer': policy_dep }\n"}, None),
    ("registered by file", {"tests/unit/steer_test.c": "",
                            "tests/meson.build": "x = files('unit/steer_test.c') # ok\n"}, None),
    ("forgotten test", {"tests/unit/steer_test.c": "",
                        "policy/meson.build": "unit_tests += { 'health': policy_dep }\n"},
     "tests/unit/steer_test.c: in no meson.build"),
    ("the source alone is no registration",
     {"tests/unit/steer_test.c": "", "policy/meson.build": "x = files('steer.c')\n"},
     "tests/unit/steer_test.c: in no meson.build"),
    ("commented out", {"tests/unit/steer_test.c": "",
                       "policy/meson.build": "unit_tests += { # 'steer': policy_dep\n}\n"},
     "tests/unit/steer_test.c: in no meson.build"),
    ("forgotten fuzz target", {"tests/fuzz/query.c": "", "tests/meson.build": "\n"},
     "tests/fuzz/query.c: in no meson.build"),
]

if __name__ == "__main__":
    tree.main(__doc__, check, CASES, untested)
